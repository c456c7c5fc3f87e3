//! A gateway's process: started, watched, ended.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use conformance::stacks::gateway::{HttpAdmin, free_ports, is_ready};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How long a gateway may take to be ready.
const START: Duration = Duration::from_secs(30);
const ADMIN_TOKEN: &str = "admin-token-of-a-test";

/// A gateway that runs until this is dropped.
#[derive(Debug)]
pub struct Process {
    /// Its main port.
    pub addr: SocketAddr,
    admin: SocketAddr,
    child: Child,
    log: PathBuf,
    /// The log, read as far as [`written`](Self::written) has told of it.
    unread: fs::File,
    _folder: TempDir,
}

/// Lets this process and those it starts open as many files as the system allows, and says how many that is.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

impl Process {
    /// Starts the gateway in front of an upstream and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start, or is not ready in time.
    pub async fn start(binary: &Path, arguments: &[&str], upstream: SocketAddr) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let [addr, admin] = free_ports().map_err(|error| error.to_string())?;
        let log = folder.path().join("log");
        let out = fs::File::create(&log).map_err(|error| error.to_string())?;
        let err = out.try_clone().map_err(|error| error.to_string())?;
        let unread = fs::File::open(&log).map_err(|error| error.to_string())?;
        let child = Command::new(binary)
            .args(["--listen", &addr.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--store", "memory:", "--token-sources", "header,query,protocol,cookie:vg"])
            .args(["--upstream", &format!("http://{upstream}")])
            .args(arguments)
            .env("VOICEGAIN_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("RUST_LOG", "error")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut process = Self { addr, admin, child, log, unread, _folder: folder };
        let begun = Instant::now();
        while !is_ready(process.admin).await {
            if begun.elapsed() > START || !process.is_alive() {
                return Err(format!("the gateway did not start: {}", process.log()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(process)
    }

    /// Changes of its web configs.
    #[must_use]
    pub fn admin(&self) -> HttpAdmin {
        HttpAdmin::new(self.admin, ADMIN_TOKEN.to_owned())
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written.
    pub fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(4000)..]).into_owned()
    }

    /// What it has written since this was last asked.
    pub fn written(&mut self) -> Vec<u8> {
        let mut new = Vec::new();
        let _ = self.unread.read_to_end(&mut new);
        new
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

/// What a process holds in memory now, in bytes.
pub fn resident(pid: u32) -> Option<u64> {
    status(pid, "VmRSS:")
}

/// The most it has held since [`forget_peak`].
pub fn peak(pid: u32) -> Option<u64> {
    status(pid, "VmHWM:")
}

/// Begins a new measurement of the peak.
pub fn forget_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// How many files a process has open, connections among them.
pub fn open_files(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// How many of the connections whose other ends have these ports a listener has not let go of, as the system counts them. What
/// the system still sends of one is no matter of the listener's.
pub fn held(port: u16, other_ends: &HashSet<u16>) -> usize {
    /// Established, and closed by the other side alone.
    const HELD: [&str; 2] = ["01", "08"];
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port_of = |end: &str| u16::from_str_radix(end.rsplit(':').next()?, 16).ok();
    let is_held = |line: &&str| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let [Some(local), Some(remote), Some(state)] = [columns.next(), columns.next(), columns.next()]
        else {
            return false;
        };
        HELD.contains(&state)
            && port_of(local) == Some(port)
            && port_of(remote).is_some_and(|remote| other_ends.contains(&remote))
    };
    table.lines().filter(is_held).count()
}

fn status(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}
