use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::folder::Folder;
use crate::{Result, ServerError};

/// How long anything may take before it counts as failed. Machines that run tests are busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > LIMIT {
            return Err(ServerError::failed(what, format!("not within {LIMIT:?}")));
        }
        thread::sleep(STEP);
    }
    Ok(())
}

/// The process, if it runs.
pub(crate) fn running(process: &mut Option<Process>) -> Result<&mut Process> {
    let stopped = || ServerError::failed("the server", "it does not run");
    let process = process.as_mut().ok_or_else(stopped)?;
    if process.has_ended() { Err(stopped()) } else { Ok(process) }
}

/// A server's main process with all its children: every process that works inside its home.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    home: PathBuf,
    paused: bool,
}

impl Process {
    /// Starts a server in its home; what it prints goes to a log in the folder.
    pub(crate) fn start(command: &mut Command, folder: &Folder, home: &Path, log: &str) -> Result<Self> {
        let child = command
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(folder.log(log)?)
            .stderr(folder.log(log)?)
            .spawn()
            .map_err(ServerError::io(command.get_program()))?;
        Ok(Self { child, home: home.to_path_buf(), paused: false })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops every process and returns when none runs any more.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.paused = true;
        let mut quiet = 0;
        wait_until("pausing a server", || {
            let running =
                processes(&self.home).into_iter().filter(|pid| is_running(*pid)).collect::<Vec<_>>();
            // The main process first, since it starts others; twice none, since it may have during the first
            // look.
            if self.signal(Signal::STOP) {
                signal(&running, Signal::STOP);
            }
            quiet = if running.is_empty() { quiet + 1 } else { 0 };
            Ok(quiet == 2)
        })
    }

    pub(crate) fn resume(&mut self) {
        self.paused = false;
        signal(&processes(&self.home), Signal::CONT);
    }

    /// Ends every process without a chance to tidy up.
    pub(crate) fn kill(&mut self) -> Result<()> {
        wait_until("killing a server", || {
            self.signal(Signal::KILL);
            let ended = self.has_ended();
            let left = processes(&self.home);
            signal(&left, Signal::KILL);
            Ok(ended && left.is_empty())
        })
    }

    /// Asks the main process to end, and waits for that.
    pub(crate) fn stop(&mut self, how: Signal) -> Result<()> {
        if self.paused {
            self.resume();
        }
        self.signal(how);
        wait_until("stopping a server", || Ok(self.has_ended() && processes(&self.home).is_empty()))
    }

    /// To the main process, unless it has ended and its id may be another's.
    fn signal(&mut self, with: Signal) -> bool {
        let ended = self.has_ended();
        if !ended {
            signal(&[Pid::from_child(&self.child)], with);
        }
        !ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn signal(processes: &[Pid], signal: Signal) {
    for pid in processes {
        // One that has ended meanwhile needs no signal.
        let _ = kill_process(*pid, signal);
    }
}

/// The processes whose working directory is `home` or below. Zombies have none.
fn processes(home: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| {
        fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()))
            .is_ok_and(|directory| directory.starts_with(home))
    })
    .collect()
}

/// Whether it is neither stopped nor dead.
fn is_running(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let state = status.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
    state.is_some_and(|state| !matches!(state, 'T' | 't' | 'Z' | 'X'))
}
