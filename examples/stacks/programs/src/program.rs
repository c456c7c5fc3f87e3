use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use conformance::stacks::gateway::free_ports;
use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long a program may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a program is told where to listen.
#[derive(Clone, Copy, Debug)]
pub enum Address {
    /// By its first argument.
    Argument,
    /// By the port in this variable of the environment.
    Port(&'static str),
}

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The token it has printed.
    pub token: String,
}

impl Program {
    /// Starts it on a free port, which it is told by `address`.
    ///
    /// # Panics
    /// If it does not print a token and listen.
    pub async fn start(binary: &str, address: Address) -> Self {
        let mut problem = String::new();
        // Between finding a free port and the program's taking it, somebody else may.
        for _ in 0..3 {
            match Self::run(binary, address).await {
                Ok(program) => return program,
                Err(output) => problem = output,
            }
            if !problem.contains("Address already in use") && !problem.contains("AddrInUse") {
                break;
            }
        }
        panic!("{binary}: {problem}")
    }

    async fn run(binary: &str, address: Address) -> Result<Self, String> {
        let problem = |error: std::io::Error| error.to_string();
        let [addr, _] = free_ports().map_err(problem)?;
        let output = NamedTempFile::new().map_err(problem)?;
        let [out, err] = [output.as_file().try_clone(), output.as_file().try_clone()];
        let mut command = Command::new(binary);
        match address {
            Address::Argument => command.arg(addr.to_string()),
            Address::Port(name) => command.env(name, addr.port().to_string()),
        };
        command.stdin(Stdio::null()).stdout(out.map_err(problem)?).stderr(err.map_err(problem)?);
        let mut child = command.kill_on_drop(true).spawn().map_err(problem)?;
        let began = Instant::now();
        loop {
            let ended = child.try_wait().map_err(problem)?;
            let listens = TcpStream::connect(addr).await.is_ok();
            let text = std::fs::read(output.path()).map_err(problem)?;
            let text = String::from_utf8_lossy(&text);
            if let Some(status) = ended {
                return Err(format!("it has ended, {status}:\n{text}"));
            }
            let token = text.split_inclusive('\n');
            let token = token.filter_map(|line| line.strip_prefix("TOKEN=")?.strip_suffix('\n')).next();
            if let Some(token) = token.filter(|_| listens) {
                let token = token.to_owned();
                return Ok(Self { child, addr, token });
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("no token and no listener after {PATIENCE:?}:\n{text}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops it as Ctrl-C does.
    ///
    /// # Panics
    /// If it has ended before, or does not end now.
    pub async fn stop(mut self) {
        let id = self.child.id().filter(|_| matches!(self.child.try_wait(), Ok(None)));
        let id = id.expect("it runs until it is stopped");
        // The shell's own: not every machine has a program of that name.
        let sent = Command::new("sh").args(["-c", &format!("kill -INT {id}")]).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "kill");
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it has ended");
        assert!(TcpStream::connect(self.addr).await.is_err(), "nobody listens any more");
    }
}
