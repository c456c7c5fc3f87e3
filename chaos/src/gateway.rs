//! One gateway's process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use test_servers::free_port;
use tokio::time::{Instant, sleep};

use crate::http::{Http, Reply};

/// The admin token of every gateway here.
pub const ADMIN_TOKEN: &str = "admin-token-of-a-test";
/// A master key of no worth.
pub const MASTER_KEYS: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const START_LIMIT: Duration = Duration::from_secs(60);

/// A gateway that can be killed and started again on the same ports.
#[derive(Debug)]
pub struct Gateway {
    /// The port of its API.
    pub port: u16,
    /// The port of its admin API.
    pub admin_port: u16,
    arguments: Vec<String>,
    store: String,
    binary: PathBuf,
    log: PathBuf,
    child: Mutex<Option<Child>>,
    life: AtomicU32,
    http: Http,
}

static LIVES: AtomicU32 = AtomicU32::new(1);

/// The gateway that is to be run.
///
/// # Errors
/// If there is none.
pub fn binary() -> Result<PathBuf, String> {
    let named = std::env::var_os("VOICEGAIN_GATEWAY_BIN").map(PathBuf::from);
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("voicegain-gateway")));
    let found = named.or(beside).filter(|path| path.is_file());
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    found.ok_or_else(|| {
        format!(
            "no gateway to run: build one with `cargo build{release} -p voicegain-gateway --features etcd`, or name it in \
             VOICEGAIN_GATEWAY_BIN"
        )
    })
}

impl Gateway {
    /// One that is not started yet.
    ///
    /// # Errors
    /// If there is no port or no program for it.
    pub fn new(name: &str, store: &str, arguments: &[&str], folder: &Path) -> Result<Self, String> {
        let port = || free_port().map_err(|error| error.to_string());
        Ok(Self {
            port: port()?,
            admin_port: port()?,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            store: store.to_owned(),
            binary: binary()?,
            log: folder.join(format!("{name}.log")),
            child: Mutex::new(None),
            life: AtomicU32::new(0),
            http: Http::default(),
        })
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which life of it this is; each start begins one.
    pub fn life(&self) -> u32 {
        self.life.load(Ordering::SeqCst)
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// Starts it, and waits until it says that it is ready.
    ///
    /// # Errors
    /// If it does not start, or is not ready in time.
    pub async fn start(&self) -> Result<(), String> {
        self.launch()?;
        let begun = Instant::now();
        while !self.is_ready().await {
            if self.has_ended() || begun.elapsed() > START_LIMIT {
                return Err(self.did_not_start());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether it has ended by itself, or was never started.
    pub fn has_ended(&self) -> bool {
        self.child().as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// What to say of a start that came to nothing.
    pub fn did_not_start(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let end = log.lines().rev().take(10).collect::<Vec<_>>().join("\n");
        format!("a gateway did not start; its log ends, last line first:\n{end}")
    }

    /// Starts it, and does not wait.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn launch(&self) -> Result<(), String> {
        let log =
            File::options().create(true).append(true).open(&self.log).map_err(|error| error.to_string())?;
        let again = log.try_clone().map_err(|error| error.to_string())?;
        let child = Command::new(&self.binary)
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--admin-listen", &format!("127.0.0.1:{}", self.admin_port)])
            .args(&self.arguments)
            .env("VOICEGAIN_STORE", &self.store)
            .env("VOICEGAIN_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("VOICEGAIN_MASTER_KEYS", MASTER_KEYS)
            .env("RUST_LOG", "warn,voicegain_auth_core=info")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(again)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.binary.display()))?;
        *self.child() = Some(child);
        self.life.store(LIVES.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        Ok(())
    }

    /// What `/readyz` says.
    pub async fn is_ready(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.admin_port);
        let answer = self.http.send(Method::GET, &url, ADMIN_TOKEN, None, None, Duration::from_secs(2)).await;
        matches!(answer, Ok((200, _)))
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Stops it where it is.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to end, and blocks until it has.
    pub fn end(&self) {
        self.signal(Signal::TERM);
        if let Some(mut child) = self.child().take() {
            let _ = child.wait();
        }
    }

    /// Kills it at once.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A request to its API.
    pub async fn call(&self, http: &Http, path: &str, token: &str, origin: Option<&str>) -> Reply {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        http.send(Method::GET, &url, token, origin, None, Duration::from_secs(15)).await
    }

    /// A request to its admin API.
    pub async fn administer(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let url = format!("http://127.0.0.1:{}{path}", self.admin_port);
        self.http.send(method, &url, ADMIN_TOKEN, None, body, Duration::from_secs(20)).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}
