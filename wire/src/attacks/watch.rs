//! Clients that are given up on in the end: watched while everything else goes on.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::http2::{self, END_HEADERS, END_STREAM, PREFACE, block, frame, kind, pair, settings};

use super::Outcome;
use super::slow::slow_head;

/// By then every one of them must be closed: the gateways promise 30 seconds for a head and for silence behind an answer,
/// and on HTTP/2 as long again for the answer to a ping, or until it is seen that nothing more is asked.
const LIMIT: Duration = Duration::from_secs(75);
/// Between two bytes.
const PACE: Duration = Duration::from_secs(1);

struct Client {
    name: &'static str,
    first: Vec<u8>,
    drip: Vec<u8>,
    /// Whether pings and settings are answered, as on a connection that is of use.
    answers: bool,
}

/// One connection of each kind.
#[derive(Debug)]
pub struct Watch {
    begun: Instant,
    clients: JoinSet<(&'static str, Option<Duration>)>,
}

fn clients() -> Vec<Client> {
    let http2 = [PREFACE.to_vec(), settings(&[])].concat();
    let refused = b"GET /v1/case HTTP/1.1\r\nHost: gw.example\r\n\r\n";
    let client = |name, first: &[u8], drip: &[u8]| Client {
        name,
        first: first.into(),
        drip: drip.into(),
        answers: false,
    };
    let fields = [
        pair(":method", "GET"),
        pair(":scheme", "http"),
        pair(":authority", "gw.example"),
        pair(":path", "/v1/case"),
    ];
    let request = frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields));
    let answering = |name, first: &[u8]| Client { answers: true, ..client(name, first, b"") };
    vec![
        client("nothing said", b"", b""),
        client("half a preface", &PREFACE[..10], b""),
        client("a head of a byte a second", b"GET /v1/case HTTP/1.1\r\nX: ", b"x"),
        client("nothing said behind an answer", refused, b""),
        client("half a head behind an answer", &[&refused[..], b"GET /v1/case HT"].concat(), b""),
        client("an HTTP/2 head of a byte a second", &slow_head(), &frame(kind::CONTINUATION, 0, 1, b"y")),
        client("half a frame of HTTP/2", &[&http2[..], &[0, 0, 9, 1]].concat(), b""),
        client("HTTP/2 and no request", &http2, b""),
        answering("HTTP/2 and no request, pings answered", b""),
        answering("HTTP/2 and one request, pings answered", &request),
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
                (client.name, closed.then(|| begun.elapsed()))
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
        for (name, closed) in all {
            match closed {
                Some(after) => seen.push(format!("{name}: closed after {:.0} s", after.as_secs_f64())),
                None => {
                    seen.push(format!("{name}: open"));
                    findings.push(format!("{name}: still open after {LIMIT:?}"));
                }
            }
        }
        let sent = format!("one connection each, watched for {:.0} s", self.begun.elapsed().as_secs_f64());
        Outcome { sent, client: seen.join("; "), upstream: "nothing".to_owned(), findings }
    }
}

impl Client {
    async fn until_closed(&self, addr: SocketAddr, limit: Instant) -> bool {
        if self.answers {
            return timeout_at(limit, self.answered(addr)).await.is_ok();
        }
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

    async fn answered(&self, addr: SocketAddr) {
        let Ok((mut receiver, mut write)) = http2::connect(addr, &[]).await else { return };
        let mut bytes = self.first.clone();
        loop {
            if write.write_all(&std::mem::take(&mut bytes)).await.is_err() {
                return;
            }
            // Whoever says farewell has not closed yet.
            if !matches!(receiver.next(&mut bytes).await, Ok(Some(_))) {
                return;
            }
        }
    }
}
