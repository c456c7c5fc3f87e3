//! The upstream: reads strictly, records what it receives connection by connection, and answers as the path asks.
//!
//! | path below the base path | answer |
//! | --- | --- |
//! | `/large` | 200 and 8 MiB |
//! | `/hold` | none |
//! | `/early` | as to all else, but before the body comes |
//! | `/unread` | none, and nothing behind the head is read until [`Record::end_unread`] |
//! | `/ws` | 101 as it should be, then gives back every byte |
//! | `/ws-late` | the same, after a while in which nothing may come |
//! | `/ws-wrong` | 101 with a wrong `Sec-WebSocket-Accept` |
//! | `/ws-no` | 200 |
//! | `/uninvited` | 101 for no handshake |
//! | all else | 200 with method, target and length of the body |

mod answer;
mod record;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::judge::Judge;
use crate::strict::{self, Request};
use answer::Answer;
pub use answer::{body_of_answer, is_early};
use record::UnderWay;
pub use record::{Arrived, Record, Seen};

/// How many connections may wait to be accepted: a gateway may open thousands at once.
const BACKLOG: u32 = 16_384;
/// How much the system keeps of an answer that the gateway does not take, in bytes. By itself Linux takes up to 4 MiB for
/// each, which on a machine of its own would be the upstream's affair: here the good client runs short of it.
const SENDING: u32 = 64 * 1024;
/// How long nothing may come before a 101 that is late.
const LATE: Duration = Duration::from_millis(150);

/// A running upstream. It ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What it has seen.
    pub record: Arc<Record>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    /// Starts it. `judge` is told the upstream's own authority.
    ///
    /// # Errors
    /// If there is no port for it.
    pub async fn start(judge: impl FnOnce(String) -> Judge) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        socket.set_send_buffer_size(SENDING)?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let record = Arc::new(Record::new(judge(addr.to_string())));
        let shared = record.clone();
        let task = tokio::spawn(async move {
            let connections = AtomicU64::new(0);
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let connection = Connection { number, record: shared.clone(), stream, under_way: None };
                let record = shared.clone();
                record.opened();
                tokio::spawn(async move {
                    let _ = connection.serve().await;
                    record.closed();
                });
            }
        });
        Ok(Self { addr, record, task })
    }
}

struct Connection {
    number: u64,
    record: Arc<Record>,
    stream: TcpStream,
    under_way: Option<UnderWay>,
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut bytes = Vec::new();
        while let Some(request) = self.request(&mut bytes).await? {
            let answer = Answer::to(&request);
            self.record.arrived(self.number, request);
            if matches!(answer, Answer::Early) {
                // It was answered before: what stands behind it is the next request.
                self.under_way = None;
                continue;
            }
            if matches!(answer, Answer::Late(_)) {
                let _ = timeout(LATE, self.stream.read_buf(&mut bytes)).await;
            }
            // A client that waits for each answer has nothing to say before it.
            let mut early = [0; 512];
            if let Ok(count) = self.stream.try_read(&mut early) {
                bytes.extend_from_slice(&early[..count]);
            }
            if !bytes.is_empty() {
                self.problem("bytes behind a request that has no answer yet", &bytes);
                return Ok(());
            }
            match answer {
                Answer::Nothing => return self.wait_for_end().await,
                Answer::Early => {}
                Answer::Whole(answer) => self.stream.write_all(&answer).await?,
                Answer::Large => answer::send_large(&mut self.stream).await?,
                Answer::Closing(answer) => {
                    self.stream.write_all(&answer).await?;
                    self.under_way = None;
                    return self.wait_for_end().await;
                }
                Answer::Tunnel(answer) | Answer::Late(answer) => {
                    self.stream.write_all(&answer).await?;
                    return self.tunnel().await;
                }
            }
            self.under_way = None;
        }
        Ok(())
    }

    /// The next request once all of it is there. Its head is judged when it comes: a server acts on it, whatever follows.
    async fn request(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<Request>> {
        let mut judged = false;
        loop {
            let found = match strict::begun(bytes) {
                Ok(found) => found,
                Err(problem) => {
                    self.problem(&problem, bytes);
                    return Ok(None);
                }
            };
            let is_new = found.is_some() && !judged;
            if let Some((request, _)) = &found
                && is_new
            {
                self.under_way = self.record.begun(self.number, request);
                judged = true;
                if is_early(&request.head.target) {
                    self.stream.write_all(&answer::echo(request)).await?;
                }
            }
            let unfinished = match found {
                Some((request, Some(length))) => {
                    bytes.drain(..length);
                    return Ok(Some(request));
                }
                Some((request, None)) => Some(request),
                None => None,
            };
            if let Some(request) = &unfinished {
                self.record.unfinished(self.number, request.clone(), is_new);
                if answer::is_unread(request) {
                    // The other side's end would stand behind what is not read.
                    self.record.unread_ends().await;
                    return Ok(None);
                }
            }
            // A connection that breaks is at its end too.
            if self.stream.read_buf(bytes).await.unwrap_or(0) == 0 {
                unfinished.inspect(|request| self.record.cut_off(self.number, request));
                return Ok(None);
            }
        }
    }

    /// Nothing may come any more.
    async fn wait_for_end(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.stream.read_buf(&mut bytes).await? > 0 {}
        if !bytes.is_empty() {
            self.problem("bytes after an answer that closes", &bytes);
        }
        Ok(())
    }

    async fn tunnel(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        loop {
            let count = self.stream.read(&mut chunk).await?;
            if count == 0 {
                return Ok(());
            }
            self.record.tunnelled(&chunk[..count]);
            self.stream.write_all(&chunk[..count]).await?;
        }
    }

    fn problem(&self, problem: &str, bytes: &[u8]) {
        let shown = &bytes[..bytes.len().min(600)];
        self.record.problem(format!("connection {}: {problem}: `{}`", self.number, shown.escape_ascii()));
    }
}
