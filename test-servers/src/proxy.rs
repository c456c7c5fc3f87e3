mod server;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, watch};

use self::server::{Server, listen};
use crate::{Result, ServerError, free_port};

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: bytes pass both ways.
    #[default]
    None,
    /// Nobody listens: connections are closed, and new ones are refused by the system.
    Refuse,
    /// Connections stay open, new ones are accepted, and no byte passes, not even the news that a side has
    /// closed. What was held passes when the fault is lifted.
    Stall,
    /// What the client sends is lost, as if every packet were dropped; what the server sends passes. A
    /// connection that has lost bytes passes no more of them in that direction when the fault is lifted.
    BlackholeToServer,
    /// What the server sends is lost, as with [`BlackholeToServer`](Self::BlackholeToServer) the other way.
    BlackholeToClient,
    /// Each chunk, at most 16 KiB, is held for this long, each way.
    Delay(Duration),
    /// Connections are reset (`ECONNRESET`), new ones as soon as they are accepted.
    Reset,
}

/// A TCP proxy on a free port of 127.0.0.1, with faults. It works in a thread of its own.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    commands: Option<mpsc::UnboundedSender<(Command, blocking::Sender<()>)>>,
    upstream: Arc<Mutex<SocketAddr>>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

/// Which of several parties a connection comes from, by its two ends: the client's address alone may be that of other
/// connections too. Who cannot be told is turned away, since nobody could cut it off.
pub(crate) type Origin = Arc<dyn Fn(SocketAddr, SocketAddr) -> Option<usize> + Send + Sync>;

#[derive(Debug)]
enum Command {
    Set(Fault),
    Drop,
    Forget,
    Isolate(usize),
    Rejoin(usize),
}

#[derive(Debug, Default)]
struct Counters {
    open: AtomicUsize,
    accepted: AtomicU64,
    bytes: AtomicU64,
}

/// What a connection must know at any time.
#[derive(Debug, Default)]
struct State {
    fault: Fault,
    /// Connections with a number below this are silent forever.
    forgotten: u64,
    /// Connections with a number below this are to end.
    ended: u64,
    /// Connections of these origins are stalled.
    isolated: BTreeSet<usize>,
}

impl Proxy {
    /// Starts a proxy to `upstream`, without a fault.
    ///
    /// # Errors
    /// If there is no free port or no thread to be had.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        Self::start_for(upstream, None)
    }

    /// One whose clients are told apart, and can be cut off one by one.
    pub(crate) fn start_with(upstream: SocketAddr, origin: Origin) -> Result<Self> {
        Self::start_for(upstream, Some(origin))
    }

    /// Somebody who knows nothing of reserved ports may take one just before the proxy does.
    fn start_for(upstream: SocketAddr, origin: Option<Origin>) -> Result<Self> {
        const ATTEMPTS: u8 = 5;

        let mut attempt = 1;
        loop {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            match Self::start_at(address, upstream, origin.clone()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < ATTEMPTS => attempt += 1,
                started => return started.map_err(ServerError::io(address.to_string())),
            }
        }
    }

    fn start_at(address: SocketAddr, upstream: SocketAddr, origin: Option<Origin>) -> io::Result<Self> {
        let upstream = Arc::new(Mutex::new(upstream));
        let counters = Arc::new(Counters::default());
        let (commands, received) = mpsc::unbounded_channel();
        let (tell, told) = std::sync::mpsc::channel();
        let server = Server {
            address,
            upstream: Arc::clone(&upstream),
            counters: Arc::clone(&counters),
            state: watch::Sender::default(),
            origin,
        };
        let thread = thread::Builder::new().name("proxy".into()).spawn(move || {
            // Made and dropped in its own thread: one that waits for something else may do neither.
            let begun = runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
                let listener = runtime.block_on(async { listen(address) })?;
                Ok((runtime, listener))
            });
            match begun {
                Ok((runtime, listener)) => {
                    let _ = tell.send(Ok(()));
                    runtime.block_on(server.run(listener, received));
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        told.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { address, commands: Some(commands), upstream, counters, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this fault, instead of the one before, for all connections there are and will be. It is in
    /// force when this returns.
    pub fn set(&self, fault: Fault) {
        self.command(Command::Set(fault));
    }

    /// Connections to come go to another server.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// Closes the connections there are; both sides notice.
    pub fn drop_connections(&self) {
        self.command(Command::Drop);
    }

    /// The connections there are stay open and silent for good, as after a lost entry in a router's table:
    /// neither side notices. New ones are as the fault says.
    pub fn forget_connections(&self) {
        self.command(Command::Forget);
    }

    pub(crate) fn isolate(&self, origin: usize) {
        self.command(Command::Isolate(origin));
    }

    pub(crate) fn rejoin(&self, origin: usize) {
        self.command(Command::Rejoin(origin));
    }

    /// How many clients are connected.
    pub fn connections_open(&self) -> usize {
        self.counters.open.load(Ordering::SeqCst)
    }

    /// How many connections were accepted so far, also those reset at once.
    pub fn accepted(&self) -> u64 {
        self.counters.accepted.load(Ordering::SeqCst)
    }

    /// How many bytes were passed on so far, both ways together.
    pub fn bytes(&self) -> u64 {
        self.counters.bytes.load(Ordering::SeqCst)
    }

    fn command(&self, command: Command) {
        let (done, wait) = blocking::channel();
        if let Some(commands) = &self.commands
            && commands.send((command, done)).is_ok()
        {
            let _ = wait.recv();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net;

    use super::*;

    #[test]
    fn who_could_not_be_cut_off_is_turned_away() {
        let upstream = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::start_with(upstream.local_addr().unwrap(), Arc::new(|_, _| None)).unwrap();
        let mut client = net::TcpStream::connect(proxy.address()).unwrap();
        // To hold it open would fail here by the test's own limit.
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!((proxy.accepted(), proxy.connections_open()), (1, 0));
    }
}
