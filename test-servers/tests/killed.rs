//! Servers do not outlive the process that started them, however it ends.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use test_servers::{EtcdCluster, Postgres, ServerError};

/// Set in the process that is to end.
const CHILD: &str = "VOICEGAIN_TEST_CHILD";
/// Guards against hanging. It decides no test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts what a test may, says where it is, and ends as it is told.
fn child(how: &str) -> Result<(), ServerError> {
    // In a thread that ends at once, as those of tests do: that must not end the shared servers.
    let shared = thread::spawn(|| Ok::<_, ServerError>((Postgres::shared()?, EtcdCluster::shared()?)));
    let (postgres, etcd) = shared.join().expect("a thread")?;
    let own = Postgres::builder().fsync(false).start()?;
    let paused = EtcdCluster::builder().fsync(false).start()?;
    thread::sleep(Duration::from_millis(200));
    for server in [postgres, &own] {
        println!("folder {}", server.execute("SHOW unix_socket_directories")?);
    }
    assert!(etcd.etcdctl(&["endpoint", "health"]).is_ok());
    own.pause()?;
    paused.pause(0)?;
    println!("ready");
    match how {
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "panic" => panic!("as a failed test does"),
        _ => loop {
            thread::park();
        },
    }
}

/// The processes that work in a temporary folder of the child's.
fn left(guards_of: u32) -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").expect("processes").flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&command).replace('\0', " ");
        if line.contains("voicegain-test-") && parent_is(&entry.path(), guards_of) {
            left.push(line);
        }
    }
    left
}

fn parent_is(process: &Path, parent: u32) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string()))
}

/// The folders that a process's servers and guards work in: the last argument of each guard.
fn folders(lines: &[String]) -> Vec<String> {
    let guards = lines.iter().filter(|line| line.contains("voicegain-test-guard"));
    guards.filter_map(|line| line.split_whitespace().last().map(str::to_owned)).collect()
}

fn works_in(folder: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let mut directories = processes.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
    // Also one that has been removed, whose path then says so at its end.
    directories.any(|directory| directory.to_string_lossy().starts_with(folder))
}

#[test]
fn nothing_is_left_of_a_process_that_ended() {
    if let Some(how) = env::var_os(CHILD) {
        child(&how.to_string_lossy()).expect("servers");
        return;
    }
    for how in ["kill", "exit", "abort", "panic"] {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "nothing_is_left_of_a_process_that_ended", "--nocapture"])
            .env(CHILD, how)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut lines =
            BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let mut told = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.ends_with("ready")) {
            told.extend(line.split_once("folder ").map(|(_, folder)| folder.to_owned()));
        }
        assert_eq!(told.len(), 2, "{how}: {told:?}");
        let mut used = if how == "kill" { folders(&left(child.id())) } else { Vec::new() };
        if how == "kill" {
            assert_eq!(used.len(), 4, "a guard for each server: {used:?}");
            assert!(used.iter().all(|folder| works_in(folder)), "before");
            child.kill().expect("killing it");
        }
        child.wait().expect("its end");
        used.extend(told);
        let begun = Instant::now();
        while used.iter().any(|folder| works_in(folder) || Path::new(folder).exists()) {
            assert!(begun.elapsed() < PATIENCE, "{how}: something is left in {used:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
