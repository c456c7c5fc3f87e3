//! What runs in the proxy's thread.

use std::fmt;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time;

use super::{Command, Counters, Fault, Origin, State};

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) upstream: Arc<Mutex<SocketAddr>>,
    pub(super) counters: Arc<Counters>,
    pub(super) state: watch::Sender<State>,
    pub(super) origin: Option<Origin>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    pub(super) async fn run(
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

pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}
