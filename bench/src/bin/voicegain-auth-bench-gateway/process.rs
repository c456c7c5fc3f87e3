//! Processes that end with the bench, and the processor time they take.

use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A process of the bench's. It is told to end when this is dropped, and by the system if the bench is killed.
pub(crate) struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Process {
    /// Starts a program, with what it says in a file of the folder.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: &[(&str, &str)],
        folder: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        let log = folder.join(format!("{}.log", name.replace(|letter: char| !letter.is_alphanumeric(), "-")));
        let said = File::create(&log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .map_err(|error| format!("setpriv, which starts {name}: {error}"))?;
        Ok(Self { child, name, log })
    }

    /// Waits until it accepts connections there.
    pub(crate) fn wait_for(&mut self, address: SocketAddr) -> Result<(), Box<dyn Error>> {
        self.wait(|_| TcpStream::connect(address).ok().map(drop))
    }

    /// Waits until it has said where it listens, behind these words.
    pub(crate) fn address_behind(&mut self, words: &str) -> Result<SocketAddr, Box<dyn Error>> {
        self.wait(|said| address_behind(said, words))
    }

    fn wait<T>(&mut self, mut ready: impl FnMut(&str) -> Option<T>) -> Result<T, Box<dyn Error>> {
        let began = Instant::now();
        loop {
            // Looked at first, so that what was said before the end is seen.
            let ended = self.child.try_wait()?;
            let said = fs::read_to_string(&self.log)?;
            match (ready(&said), ended) {
                (_, Some(status)) => {
                    return Err(format!("{} has ended ({status}):\n{said}", self.name).into());
                }
                (Some(it), None) => return Ok(it),
                (None, None) if began.elapsed() > PATIENCE => {
                    return Err(format!("{} does not get ready:\n{said}", self.name).into());
                }
                (None, None) => thread::sleep(PAUSE),
            }
        }
    }

    /// The processor time of all its threads, and of its children's.
    pub(crate) fn spent(&self) -> Result<Duration, Box<dyn Error>> {
        of_process(&self.child.id().to_string()).map(Duration::from_nanos)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx ends its workers only when it is asked to.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            thread::sleep(PAUSE);
        }
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> Result<SocketAddr, Box<dyn Error>> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A program of this name. Servers are not in everybody's PATH.
pub(crate) fn program(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{name} is not there; `cargo xtask bench-gateway` installs it").into())
}

fn address_behind(said: &str, words: &str) -> Option<SocketAddr> {
    let line = said.lines().find_map(|line| line.strip_prefix(words))?;
    // A line that is only half written has no end, and may look like another port.
    said.contains(&format!("{line}\n")).then(|| line.trim().parse().ok())?
}

fn of_process(pid: &str) -> Result<u64, Box<dyn Error>> {
    let mut spent = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        // A thread may end while one looks.
        let Ok(schedstat) = fs::read_to_string(thread.join("schedstat")) else { continue };
        spent += on_processor(&schedstat).ok_or("/proc has no schedstat that can be read")?;
        let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            spent += of_process(child)?;
        }
    }
    Ok(spent)
}

/// The first of a schedstat's three figures: nanoseconds spent on a processor.
fn on_processor(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_come_first_in_a_schedstat() {
        assert_eq!(on_processor("1288237 3608314 4\n"), Some(1_288_237));
        assert_eq!(on_processor("\n"), None);
        assert_eq!(on_processor("- 1 2\n"), None);
    }

    #[test]
    fn a_process_says_where_it_listens() {
        let said = "listening on http://127.0.0.1:4711\nadmin on http://127.0.0.1:4712\n";
        assert_eq!(address_behind(said, "admin on http://"), Some(([127, 0, 0, 1], 4712).into()));
        assert_eq!(address_behind(said, "another on http://"), None);
        assert_eq!(address_behind("listening on http://127.0.0.1:47", "listening on http://"), None);
    }

    #[test]
    fn work_takes_processor_time_and_waiting_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = |script: &str| {
            Process::start("sh", Path::new("/bin/sh"), ["-c", script], &[], folder.path()).expect("a shell")
        };
        // The shell has a child, which is what works, or waits. Both end by themselves: a shell takes none along.
        let busy = start("sh -c 'i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done; sleep 10'; true");
        let idle = start("sh -c 'sleep 10'; true");
        let spent = |process: &Process| process.spent().expect("its time");
        // However little of the processor it gets, it is waited for.
        let began = Instant::now();
        while spent(&busy) < Duration::from_millis(200) {
            assert!(began.elapsed() < PATIENCE, "{:?}", spent(&busy));
            thread::sleep(PAUSE);
        }
        let [busy, idle] = [&busy, &idle].map(spent);
        assert!(busy > 5 * idle && busy > Duration::from_millis(30), "{busy:?} and {idle:?}");
    }
}
