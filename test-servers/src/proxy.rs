use std::collections::BTreeSet;
use std::fmt;
use std::future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time;

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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

struct Server {
    address: SocketAddr,
    upstream: Arc<Mutex<SocketAddr>>,
    counters: Arc<Counters>,
    state: watch::Sender<State>,
    origin: Option<Origin>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    async fn run(
        self,
        listener: TcpListener,
        mut commands: mpsc::UnboundedReceiver<(Command, blocking::Sender<()>)>,
    ) {
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => {
                    let Some((command, done)) = command else { return };
                    if let Command::Set(fault) = command {
                        if fault == Fault::Refuse {
                            listener = None;
                        } else if listener.is_none() {
                            // The port is reserved, so nobody else has it.
                            listener = listen(self.address).ok();
                        }
                    }
                    if self.apply(command, number) {
                        while connections.join_next().await.is_some() {}
                    }
                    let _ = done.send(());
                }
                (client, from) = accept(listener.as_ref()) => {
                    self.counters.accepted.fetch_add(1, Ordering::SeqCst);
                    let origin = self.origin.as_ref().map(|origin| origin(from, self.address));
                    if origin == Some(None) {
                        continue;
                    }
                    let connection = Connection {
                        number,
                        origin: origin.flatten(),
                        upstream: *self.upstream.lock().unwrap_or_else(PoisonError::into_inner),
                        state: self.state.subscribe(),
                        open: Open::new(Arc::clone(&self.counters)),
                    };
                    number += 1;
                    connections.spawn(connection.run(client));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Answers whether all connections are to end.
    fn apply(&self, command: Command, next: u64) -> bool {
        let end = matches!(command, Command::Drop | Command::Set(Fault::Refuse | Fault::Reset));
        self.state.send_modify(|state| {
            match command {
                Command::Set(fault) => state.fault = fault,
                Command::Drop => {}
                Command::Forget => state.forgotten = next,
                Command::Isolate(origin) => {
                    state.isolated.insert(origin);
                }
                Command::Rejoin(origin) => {
                    state.isolated.remove(&origin);
                }
            }
            if end {
                state.ended = next;
            }
        });
        end
    }
}

async fn accept(listener: Option<&TcpListener>) -> (TcpStream, SocketAddr) {
    let Some(listener) = listener else { return future::pending().await };
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Most likely out of file descriptors.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Counts a connection for as long as it is there.
#[derive(Debug)]
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: Arc<Counters>) -> Self {
        counters.open.fetch_add(1, Ordering::SeqCst);
        Self(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

/// What becomes of a chunk.
enum Fate {
    Pass,
    PassAfter(Duration),
    Hold,
    Lose,
}

struct Connection {
    number: u64,
    origin: Option<usize>,
    upstream: SocketAddr,
    state: watch::Receiver<State>,
    open: Open,
}

impl Connection {
    async fn run(self, mut client: TcpStream) {
        // Small messages must not wait for one another here if they did not in front of the proxy.
        let _ = client.set_nodelay(true);
        let mut server = None;
        tokio::select! {
            biased;
            () = self.end() => {}
            // An error on one side, or the end of both directions, ends the connection.
            _ = self.exchange(&mut client, &mut server) => {}
        }
        if self.state.borrow().fault == Fault::Reset {
            let _ = client.set_zero_linger();
            let _ = server.map(|server: TcpStream| server.set_zero_linger());
        }
    }

    async fn end(&self) {
        let is_over = |state: &State| self.number < state.ended || state.fault == Fault::Reset;
        let _ = self.state.clone().wait_for(is_over).await;
    }

    async fn exchange(&self, client: &mut TcpStream, server: &mut Option<TcpStream>) -> io::Result<()> {
        self.while_held(Direction::ToServer).await;
        let server = server.insert(TcpStream::connect(self.upstream).await?);
        let _ = server.set_nodelay(true);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::try_join!(
            self.pump(from_client, to_server, Direction::ToServer),
            self.pump(from_server, to_client, Direction::ToClient),
        )?;
        Ok(())
    }

    async fn pump(
        &self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        direction: Direction,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            self.while_held(direction).await;
            let length = from.read(&mut buffer).await?;
            let chunk = buffer.get(..length).unwrap_or_default();
            // The fault may have come while nothing was sent.
            let mut fate = self.while_held(direction).await;
            if let Fate::PassAfter(delay) = fate {
                time::sleep(delay).await;
                fate = self.while_held(direction).await;
            }
            if matches!(fate, Fate::Lose) {
                return lose(from).await;
            }
            if chunk.is_empty() {
                return to.shutdown().await;
            }
            to.write_all(chunk).await?;
            self.open.0.bytes.fetch_add(chunk.len() as u64, Ordering::SeqCst);
        }
    }

    /// Waits while bytes in this direction are held; answers what becomes of them then.
    async fn while_held(&self, direction: Direction) -> Fate {
        let mut state = self.state.clone();
        loop {
            let fate = self.fate(&state.borrow_and_update(), direction);
            if !matches!(fate, Fate::Hold) {
                return fate;
            }
            if state.changed().await.is_err() {
                return Fate::Lose;
            }
        }
    }

    fn fate(&self, state: &State, direction: Direction) -> Fate {
        if self.number < state.forgotten || self.origin.is_some_and(|origin| state.isolated.contains(&origin))
        {
            return Fate::Hold;
        }
        match (state.fault, direction) {
            (Fault::Stall, _) => Fate::Hold,
            (Fault::BlackholeToServer, Direction::ToServer) => Fate::Lose,
            (Fault::BlackholeToClient, Direction::ToClient) => Fate::Lose,
            (Fault::Delay(delay), _) => Fate::PassAfter(delay),
            _ => Fate::Pass,
        }
    }
}

/// Reads on, for the sender's window to stay open, but passes nothing on, not even the end.
async fn lose(mut from: ReadHalf<'_>) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    while from.read(&mut buffer).await? > 0 {}
    future::pending().await
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
