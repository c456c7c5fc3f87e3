//! Each operation on a real PostgreSQL, seen from outside.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use test_servers::{Fault, Postgres, Proxy, Shutdown};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Whether the server answers a request for TLS, the shortest exchange there is, within a second.
fn answers(server: &Postgres) -> bool {
    let Ok(mut stream) = TcpStream::connect(server.address()) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).is_ok() && stream.read_exact(&mut [0]).is_ok()
}

/// What `psql` says when it connects by TCP, as a client does.
fn connect(url: &str, settings: &[(&str, &str)]) -> Result<String, String> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-t", "-d", url, "-c", "SELECT 'seen'"])
        .env_remove("PGPASSWORD")
        .stdin(Stdio::null());
    let output = psql.envs(settings.iter().copied()).arg("-w").output().expect("psql");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn a_shared_server_has_a_database_for_each_test() -> Outcome {
    let server = Postgres::shared()?;
    let (one, other) = (server.create_database()?, server.create_database()?);
    assert_ne!(one, other);
    assert!(std::ptr::eq(server, Postgres::shared()?));
    assert_eq!(connect(&one, &[])?, "seen");
    assert_eq!(server.execute("SHOW fsync")?, "off");
    server.execute_in("postgres", "SELECT 1/0").expect_err("an error of a statement is one");
    Ok(())
}

#[test]
fn it_keeps_its_data_and_port_when_it_ends() -> Outcome {
    let server = Postgres::start()?;
    assert_eq!(server.execute("SHOW fsync")?, "on");
    server.execute("CREATE TABLE kept (n int)")?;
    for (number, end) in [
        (1, &(|| server.stop(Shutdown::Fast)) as &dyn Fn() -> Result<(), test_servers::ServerError>),
        (2, &|| server.stop(Shutdown::Immediate)),
        (3, &|| server.kill()),
    ] {
        server.execute(&format!("INSERT INTO kept VALUES ({number})"))?;
        assert!(answers(&server));
        server.start_again().expect_err("it runs");
        end()?;
        assert!(!answers(&server));
        server.pause().expect_err("it does not run");
        server.start_again()?;
        assert_eq!(server.execute("SELECT count(*) FROM kept")?, number.to_string());
    }
    assert!(server.log().contains("database system was not properly shut down"), "a kill is a crash");
    Ok(())
}

#[test]
fn paused_it_is_silent_and_resumed_it_goes_on() -> Outcome {
    let server = Postgres::start()?;
    let mut open = TcpStream::connect(server.address())?;
    server.pause()?;
    assert!(!answers(&server), "no answer within a second");
    server.resume()?;
    assert!(answers(&server));
    open.write_all(&[0, 0, 0, 8, 4, 210, 22, 47])?;
    open.read_exact(&mut [0])?;

    // A paused server can be ended too.
    server.pause()?;
    server.kill()?;
    server.start_again()?;
    server.pause()?;
    server.stop(Shutdown::Fast)?;
    Ok(())
}

#[test]
fn a_synchronous_standby_is_waited_for_and_can_take_over() -> Outcome {
    let primary = Postgres::builder().password("it's").start()?;
    primary.execute("CREATE TABLE t (n int)")?;
    let proxy = Proxy::start(primary.address())?;
    let standby = primary.standby_through("second", proxy.address())?;
    primary.set("synchronous_standby_names", "second")?;
    primary.execute("INSERT INTO t VALUES (1)")?;
    assert_eq!(primary.execute("SELECT sync_state FROM pg_stat_replication")?, "sync");
    standby.execute("INSERT INTO t VALUES (9)").expect_err("a standby is read-only");

    proxy.set(Fault::Stall);
    thread::scope(|scope| {
        let commit = scope.spawn(|| primary.execute("INSERT INTO t VALUES (2)"));
        thread::sleep(Duration::from_secs(1));
        assert!(!commit.is_finished(), "the commit waits for the standby");
        proxy.set(Fault::None);
        commit.join().expect("a thread")
    })?;
    primary.execute("INSERT INTO t VALUES (3)")?;

    primary.kill()?;
    standby.promote()?;
    standby.execute("INSERT INTO t VALUES (4)")?;
    assert_eq!(standby.execute("SELECT count(*) FROM t")?, "4");
    standby.promote().expect_err("it is no standby any more");

    primary.start_again()?;
    primary.set("synchronous_standby_names", "")?;
    primary.execute("INSERT INTO t VALUES (5)")?;
    Ok(())
}

#[test]
fn a_restored_server_shows_old_data() -> Outcome {
    let server = Postgres::start()?;
    server.execute("CREATE TABLE t AS SELECT 1 AS n")?;
    let backup = server.backup()?;
    for stopped_before in [true, false] {
        server.execute("INSERT INTO t VALUES (2)")?;
        let port = server.port();
        if stopped_before {
            server.stop(Shutdown::Fast)?;
        }
        server.restore_from(&backup)?;
        assert_eq!(server.port(), port);
        assert_eq!(server.execute("SELECT string_agg(n::text, ' ') FROM t")?, "1");
    }
    Ok(())
}

#[test]
fn tls_and_a_password_are_asked_for() -> Outcome {
    let server = Postgres::builder().tls(true).password("p@ss:w/rd").max_connections(20).start()?;
    let authority = server.ca_certificate().expect("a certificate").to_string_lossy().into_owned();
    let url = server.url("postgres");
    assert!(url.ends_with("?sslmode=require"), "{url}");
    let verify = url.replace("sslmode=require", "sslmode=verify-full");
    assert_eq!(connect(&verify, &[("PGSSLROOTCERT", &authority)])?, "seen");
    connect(&verify, &[("PGSSLROOTCERT", "/etc/ssl/certs/ca-certificates.crt")])
        .expect_err("an unknown authority");
    connect(&url.replace("require", "disable"), &[]).expect_err("no TLS");
    connect(&url.replace(":p%40ss%3Aw%2Frd@", "@"), &[]).expect_err("no password");
    connect(&url.replace(":p%40ss%3Aw%2Frd@", ":wrong@"), &[]).expect_err("a wrong password");

    let standby = server.standby("copy")?;
    let verify = standby.url("postgres").replace("sslmode=require", "sslmode=verify-full");
    let authority = standby.ca_certificate().expect("a certificate").to_string_lossy().into_owned();
    assert_eq!(connect(&verify, &[("PGSSLROOTCERT", &authority)])?, "seen");
    Ok(())
}

#[test]
fn a_full_disk_fails_writes_until_there_is_room() -> Outcome {
    let server = match Postgres::builder().disk_size(64 << 20).start() {
        Ok(server) => server,
        Err(error) => {
            assert!(error.to_string().contains("mounting a small disk"), "{error}");
            return Ok(());
        }
    };
    server.execute("CREATE TABLE t (text text)")?;
    server.fill_disk()?;
    let much = "INSERT INTO t SELECT repeat(md5(n::text), 100) FROM generate_series(1, 3000) n";
    let error = server.execute(much).expect_err("the disk is full").to_string();
    assert!(
        error.contains("No space left on device") || error.contains("terminat") || error.contains("closed"),
        "{error}"
    );
    assert!(server.log().contains("No space left on device"));
    server.free_disk()?;
    if server.execute("SELECT 1").is_err() {
        // It gave up when there was no room for its log.
        server.start_again()?;
    }
    server.execute("INSERT INTO t VALUES ('room')")?;
    Postgres::shared()?.fill_disk().expect_err("that disk is everybody's");
    Ok(())
}

#[test]
fn it_is_gone_when_dropped_and_never_was_root() -> Outcome {
    let server = Postgres::start()?;
    let folder = server.execute("SHOW data_directory")?;
    let process = server.execute("SELECT pg_backend_pid()")?;
    let parent = server.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")?;
    assert_ne!(process, parent);
    let status = fs::read_to_string(format!("/proc/{parent}/status"))?;
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a user");
    assert!(!user.split_whitespace().any(|id| id == "0"), "{user}");
    server.pause()?;
    drop(server);
    assert!(!Path::new(&folder).exists());
    fs::read_link(format!("/proc/{parent}/cwd")).expect_err("it is dead, if not yet buried");
    Ok(())
}
