//! Clients that are given up on in the end: watched while everything else goes on.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::http2::{PREFACE, frame, kind, settings};

use super::Outcome;
use super::slow::slow_head;

/// By then every one of them that must be closed must be closed: the gateways promise 30 seconds for a head, and on
/// HTTP/2 as long again for the answer to a ping.
const LIMIT: Duration = Duration::from_secs(65);
/// Between two bytes.
const PACE: Duration = Duration::from_secs(1);

struct Client {
    name: &'static str,
    first: Vec<u8>,
    drip: Vec<u8>,
    /// Whether it must be given up on.
    must: bool,
}

/// One connection of each kind.
#[derive(Debug)]
pub struct Watch {
    begun: Instant,
    clients: JoinSet<(&'static str, bool, Option<Duration>)>,
}

fn clients() -> Vec<Client> {
    let http2 = [PREFACE.to_vec(), settings(&[])].concat();
    let refused = b"GET /v1/case HTTP/1.1\r\nHost: gw.example\r\n\r\n";
    let client =
        |name, first: &[u8], drip: &[u8], must| Client { name, first: first.into(), drip: drip.into(), must };
    vec![
        client("nothing said", b"", b"", true),
        client("half a preface", &PREFACE[..10], b"", true),
        client("a head of a byte a second", b"GET /v1/case HTTP/1.1\r\nX: ", b"x", true),
        client(
            "an HTTP/2 head of a byte a second",
            &slow_head(),
            &frame(kind::CONTINUATION, 0, 1, b"y"),
            true,
        ),
        client("half a frame of HTTP/2", &[&http2[..], &[0, 0, 9, 1]].concat(), b"", true),
        client("HTTP/2 and no request", &http2, b"", false),
        client("nothing said behind an answer", refused, b"", false),
    ]
}

impl Watch {
    /// Begins.
    #[must_use]
    pub fn start(addr: SocketAddr) -> Self {
        let begun = Instant::now();
        let mut watched = JoinSet::new();
        for client in clients() {
            watched.spawn(async move {
                let closed = client.until_closed(addr, begun + LIMIT).await;
                (client.name, client.must, closed.then(|| begun.elapsed()))
            });
        }
        Self { begun, clients: watched }
    }

    /// Waits for the last of them.
    pub async fn end(mut self) -> Outcome {
        let mut all = Vec::new();
        while let Some(Ok(one)) = self.clients.join_next().await {
            all.push(one);
        }
        let mut findings = Vec::new();
        let mut seen = Vec::new();
        all.sort_by_key(|(name, ..)| *name);
        for (name, must, closed) in all {
            match closed {
                Some(after) => seen.push(format!("{name}: closed after {:.0} s", after.as_secs_f64())),
                None => {
                    seen.push(format!("{name}: open"));
                    if must {
                        findings.push(format!("{name}: still open after {LIMIT:?}"));
                    }
                }
            }
        }
        let sent = format!("one connection each, watched for {:.0} s", self.begun.elapsed().as_secs_f64());
        Outcome { sent, client: seen.join("; "), upstream: "nothing".to_owned(), findings }
    }
}

impl Client {
    async fn until_closed(&self, addr: SocketAddr, limit: Instant) -> bool {
        let Ok(stream) = TcpStream::connect(addr).await else { return true };
        let (mut read, mut write) = stream.into_split();
        let sending = async {
            let _ = write.write_all(&self.first).await;
            loop {
                sleep(PACE).await;
                if !self.drip.is_empty() && write.write_all(&self.drip).await.is_err() {
                    return;
                }
            }
        };
        let reading = async {
            let mut chunk = [0; 1024];
            while matches!(read.read(&mut chunk).await, Ok(1..)) {}
        };
        let closed = async {
            tokio::select! { () = sending => {}, () = reading => {} }
        };
        timeout_at(limit, closed).await.is_ok()
    }
}
