//! The servers and the proxy do what their names say.

use std::net::SocketAddr;
use std::time::Duration;

use test_servers::{Etcd, EtcdOptions, Fault, Postgres, PostgresOptions, Proxy, Shutdown};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[test]
fn postgres_keeps_what_it_was_told_across_crashes_and_goes_back_when_restored() {
    let mut server = Postgres::start().unwrap();
    let database = server.create_database().unwrap();
    server.execute(&database, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").unwrap();
    server.kill().unwrap();
    server.execute(&database, "SELECT 1").unwrap_err();
    server.start_again().unwrap();
    assert_eq!(server.execute(&database, "SELECT n FROM t").unwrap(), "1");

    server.stop(Shutdown::Fast).unwrap();
    let backup = server.backup().unwrap();
    server.start_again().unwrap();
    server.execute(&database, "UPDATE t SET n = 2").unwrap();
    server.stop(Shutdown::Immediate).unwrap();
    server.restore(&backup).unwrap();
    server.start_again().unwrap();
    assert_eq!(server.execute(&database, "SELECT n FROM t").unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_postgres_is_silent_and_goes_on() {
    let server = Postgres::start().unwrap();
    let answers = |server: SocketAddr| async move {
        let mut stream = TcpStream::connect(server).await.unwrap();
        // An SSLRequest, which is answered by one byte.
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
        timeout(Duration::from_secs(1), stream.read_u8()).await.is_ok()
    };
    assert!(answers(server.address()).await);
    server.pause();
    assert!(!answers(server.address()).await);
    server.resume();
    assert_eq!(server.execute("postgres", "SELECT 1").unwrap(), "1");
}

#[test]
fn a_standby_follows_and_can_be_promoted() {
    let primary = Postgres::start().unwrap();
    let standby = primary.standby("one").unwrap();
    primary.set("synchronous_standby_names", "one").unwrap();
    primary.execute("postgres", "CREATE TABLE t (n int)").unwrap();
    standby.execute("postgres", "CREATE TABLE u (n int)").unwrap_err();
    standby.promote().unwrap();
    standby.execute("postgres", "INSERT INTO t VALUES (1)").unwrap();
}

#[test]
fn a_full_disk_is_full_until_it_is_freed() {
    let options = PostgresOptions { disk_mib: Some(300), ..PostgresOptions::default() };
    let server = match Postgres::with(options) {
        Ok(server) => server,
        Err(error) => {
            println!("not run: this user may not mount a disk of its own ({error})");
            return;
        }
    };
    let fill = "CREATE TABLE IF NOT EXISTS t AS SELECT repeat('x', 1000) FROM generate_series(1, 10000)";
    server.fill_disk().unwrap();
    server.execute("postgres", fill).unwrap_err();
    server.free_disk();
}

#[test]
fn etcd_has_a_leader_and_survives_its_loss() {
    let mut cluster = Etcd::with(EtcdOptions { members: 3, quick: true, ..EtcdOptions::default() }).unwrap();
    cluster.control(&["put", "k", "1"]).unwrap();
    let saved = cluster.snapshot().unwrap();
    let leader = cluster.leader().unwrap();
    cluster.kill(leader);
    let begun = std::time::Instant::now();
    while cluster.control(&["put", "k", "2"]).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no new leader");
    }
    cluster.start_again(leader).unwrap();
    cluster.compact().unwrap();
    cluster.restore(&saved).unwrap();
    assert!(cluster.control(&["get", "k"]).unwrap().ends_with('1'));
}

#[test]
fn etcd_asks_for_a_password_and_speaks_tls() {
    let password = Some("secret-enough".to_owned());
    let cluster =
        Etcd::with(EtcdOptions { tls: true, password, quick: true, ..EtcdOptions::default() }).unwrap();
    cluster.control(&["put", "k", "1"]).unwrap();
    assert!(cluster.endpoints()[0].starts_with("https://"));
    assert!(cluster.ca_certificate().unwrap().is_file());
}

/// Answers every byte with itself.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    if stream.write_u8(byte).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

async fn byte(stream: &mut TcpStream) -> Option<std::io::Result<u8>> {
    timeout(Duration::from_millis(300), stream.read_u8()).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_stalls_loses_resets_and_delays() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_u8(1).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 1);

    proxy.set(Fault::Stall);
    stream.write_u8(2).await.unwrap();
    assert!(byte(&mut stream).await.is_none());
    proxy.set(Fault::None);
    assert_eq!(stream.read_u8().await.unwrap(), 2);

    for fault in [Fault::BlackholeToServer, Fault::BlackholeToClient] {
        proxy.set(fault);
        stream.write_u8(3).await.unwrap();
        assert!(byte(&mut stream).await.is_none(), "{fault:?}");
        proxy.set(Fault::None);
        assert!(byte(&mut stream).await.is_none(), "lost: {fault:?}");
    }

    proxy.set(Fault::Delay(Duration::from_millis(400)));
    stream.write_u8(4).await.unwrap();
    assert!(byte(&mut stream).await.is_none());
    assert_eq!(stream.read_u8().await.unwrap(), 4);

    proxy.set(Fault::Reset);
    let reset = timeout(Duration::from_secs(10), stream.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    proxy.set(Fault::Refuse);
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(timeout(Duration::from_secs(10), refused.read_u8()).await.unwrap().is_err());
    assert_eq!(proxy.accepted(), 2);
}

/// Set in the program that is killed.
const TO_BE_KILLED: &str = "VOICEGAIN_TEST_TO_BE_KILLED";

#[test]
fn servers_end_with_a_test_that_is_killed() {
    use std::io::{BufRead as _, BufReader};
    if std::env::var_os(TO_BE_KILLED).is_some() {
        let server = Postgres::start().unwrap();
        println!("port {}", server.address().port());
        std::thread::sleep(Duration::from_secs(120));
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers_end_with_a_test_that_is_killed", "--nocapture"])
        .env(TO_BE_KILLED, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port =
        lines.map_while(Result::ok).find_map(|line| line.split("port ").nth(1)?.trim().parse::<u16>().ok());
    child.kill().unwrap();
    child.wait().unwrap();
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port.unwrap())).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it still listens");
        std::thread::sleep(Duration::from_millis(50));
    }
}
