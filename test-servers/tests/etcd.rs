//! Each operation on real etcd members, seen from outside.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use test_servers::{EtcdCluster, ServerError};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Guards against hanging. It decides no test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a member answers its health page within a second, whatever it says there.
fn answers(member: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(member) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

fn eventually<T>(mut attempt: impl FnMut() -> Result<T, ServerError>) -> T {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    }
}

fn three() -> Result<EtcdCluster, ServerError> {
    EtcdCluster::builder().members(3).fsync(false).start()
}

#[test]
fn one_member_is_shared_by_all_tests_of_a_process() -> Outcome {
    let cluster = EtcdCluster::shared()?;
    assert!(std::ptr::eq(cluster, EtcdCluster::shared()?));
    cluster.etcdctl(&["put", "shared/k", "v"])?;
    assert_eq!(cluster.etcdctl(&["get", "shared/k", "--print-value-only"])?, "v");
    cluster.etcdctl(&["no such command"]).expect_err("an error of a command is one");
    cluster.kill(1).expect_err("there is one member");
    Ok(())
}

#[test]
fn members_keep_their_data_and_ports_when_they_end() -> Outcome {
    let cluster = EtcdCluster::start(1)?;
    let address = cluster.addresses()[0];
    assert_eq!(cluster.endpoints(), [format!("http://{address}")]);
    for (value, kill) in [("killed", true), ("stopped", false)] {
        cluster.etcdctl(&["put", "k", value])?;
        if kill {
            cluster.kill(0)?
        } else {
            cluster.stop(0)?
        }
        assert!(!answers(address));
        cluster.pause(0).expect_err("it does not run");
        cluster.start_again(0)?;
        cluster.start_again(0).expect_err("it runs");
        assert_eq!(cluster.etcdctl(&["get", "k", "--print-value-only"])?, value);
    }
    assert!(cluster.log(0)?.contains("terminated"), "a stop is in the log");
    Ok(())
}

#[test]
fn without_its_leader_a_cluster_finds_another() -> Outcome {
    let cluster = three()?;
    let leader = cluster.leader()?;
    cluster.kill(leader)?;
    eventually(|| cluster.etcdctl(&["put", "k", "without"]));
    assert_ne!(cluster.leader()?, leader);
    cluster.start_again(leader)?;
    assert_eq!(cluster.etcdctl_at(leader, &["get", "k", "--print-value-only"])?, "without");

    // Without a majority nothing is written; one more, and it is again.
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    others.into_iter().try_for_each(|member| cluster.kill(member))?;
    cluster.etcdctl_at(leader, &["put", "k", "alone", "--command-timeout=1s"]).expect_err("no majority");
    cluster.start_again(others[0])?;
    eventually(|| cluster.etcdctl(&["put", "k", "two"]));
    Ok(())
}

#[test]
fn a_paused_member_is_silent_and_resumed_it_goes_on() -> Outcome {
    let cluster = three()?;
    let paused = cluster.leader()?;
    cluster.pause(paused)?;
    assert!(!answers(cluster.addresses()[paused]), "no answer within a second");
    eventually(|| cluster.etcdctl(&["put", "k", "meanwhile"]));
    cluster.resume(paused)?;
    assert!(answers(cluster.addresses()[paused]));
    let read = || cluster.etcdctl_at(paused, &["get", "k", "--print-value-only"]);
    assert_eq!(eventually(read), "meanwhile");
    Ok(())
}

#[test]
fn an_isolated_member_shows_old_data_until_it_rejoins() -> Outcome {
    let cluster = three()?;
    cluster.etcdctl(&["put", "k", "old"])?;
    for isolated in [cluster.leader()?, (cluster.leader()? + 1) % 3] {
        let value = format!("without {isolated}");
        // It has it: a read that a majority confirms.
        let before = cluster.etcdctl_at(isolated, &["get", "k", "--print-value-only"])?;
        cluster.isolate(isolated)?;
        let other = (isolated + 2) % 3;
        eventually(|| cluster.etcdctl_at(other, &["put", "k", &value]));
        let local = ["get", "k", "--print-value-only", "--consistency=s"];
        assert_eq!(
            cluster.etcdctl_at(isolated, &local)?,
            before,
            "clients reach it, and it does not know better"
        );
        let confirmed = ["get", "k", "--command-timeout=1s"];
        cluster.etcdctl_at(isolated, &confirmed).expect_err("nobody confirms a read");
        cluster.rejoin(isolated)?;
        let read = || cluster.etcdctl_at(isolated, &["get", "k", "--print-value-only"]);
        assert_eq!(eventually(read), value);
    }
    Ok(())
}

#[test]
fn compacted_revisions_are_gone() -> Outcome {
    let cluster = EtcdCluster::builder().fsync(false).setting("quota-backend-bytes", "16777216").start()?;
    cluster.etcdctl(&["put", "k", "1"])?;
    let then = cluster.revision()?.to_string();
    cluster.etcdctl(&["put", "k", "2"])?;
    assert_eq!(cluster.etcdctl(&["get", "k", "--print-value-only", "--rev", &then])?, "1");
    cluster.compact()?;
    let error = cluster.etcdctl(&["get", "k", "--rev", &then]).expect_err("it is compacted");
    assert!(error.to_string().contains("compacted"), "{error}");
    Ok(())
}

#[test]
fn a_restored_cluster_shows_old_data() -> Outcome {
    for members in [1, 3] {
        let cluster = EtcdCluster::builder().members(members).fsync(false).password("pass").start()?;
        let addresses = cluster.addresses();
        cluster.etcdctl(&["put", "k", "old"])?;
        let revision = cluster.revision()?;
        let snapshot = cluster.snapshot()?;
        cluster.etcdctl(&["put", "k", "new"])?;
        cluster.kill(0)?;
        cluster.restore(&snapshot)?;
        assert_eq!(cluster.addresses(), addresses);
        for member in 0..members {
            assert_eq!(cluster.etcdctl_at(member, &["get", "k", "--print-value-only"])?, "old");
        }
        assert_eq!(cluster.revision()?, revision);
    }
    Ok(())
}

#[test]
fn tls_and_a_password_are_asked_for() -> Outcome {
    let cluster = EtcdCluster::builder().fsync(false).tls(true).password("pass").start()?;
    assert!(cluster.endpoints()[0].starts_with("https://127.0.0.1:"));
    assert!(cluster.ca_certificate().expect("a certificate").is_file());
    cluster.etcdctl(&["put", "k", "v"])?;
    cluster.etcdctl(&["put", "k", "v", "--user=root:wrong"]).expect_err("a wrong password");
    cluster
        .etcdctl(&["put", "k", "v", "--cacert=/etc/ssl/certs/ca-certificates.crt"])
        .expect_err("that authority");
    let mut plain = TcpStream::connect(cluster.addresses()[0])?;
    plain.write_all(b"GET /version HTTP/1.0\r\n\r\n")?;
    let mut said = String::new();
    plain.read_to_string(&mut said)?;
    assert!(!said.contains("etcdserver"), "no TLS: {said}");
    Ok(())
}
