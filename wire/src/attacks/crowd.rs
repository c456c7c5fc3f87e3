//! Many connections that are held open, and what they cost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::process;

use super::case::describe;
use super::{Outcome, Stage, left_behind};

/// How many connections are being opened at once.
const OPENING: usize = 200;
/// How long one may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// How long the gateway may take to let go of connections that are closed.
const LET_GO: Duration = Duration::from_secs(10);
/// What the good client may hold besides.
const OTHERS: usize = 32;

/// What each connection of a crowd does.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    pub(super) connections: usize,
    /// Sent at once.
    pub(super) first: Vec<u8>,
    /// Sent again and again, with this pause.
    pub(super) drip: Option<(Vec<u8>, Duration)>,
    /// How long all are held once all are open.
    pub(super) hold: Duration,
    /// Whether what comes back is read.
    pub(super) reads: bool,
}

/// How one connection ended.
#[derive(Default)]
struct Held {
    opened: bool,
    closed: bool,
    status: Option<String>,
}

impl Crowd {
    pub(super) async fn run(self, stage: Stage<'_>) -> Outcome {
        let addr = stage.subject.addr;
        let pid = stage.subject.process.as_ref().and_then(process::Process::pid);
        let before = pid.and_then(process::resident);
        let (end, ended) = watch::channel(false);
        let (opened, mut is_open) = watch::channel(0_usize);
        let opened = Arc::new(opened);
        let turns = Arc::new(Semaphore::new(OPENING));
        let mut all = JoinSet::new();
        for _ in 0..self.connections {
            all.spawn(self.clone().hold(addr, turns.clone(), opened.clone(), ended.clone()));
        }
        let limit = Duration::from_secs(30);
        let everyone = is_open.wait_for(|count| *count == self.connections);
        let _ = timeout(limit, everyone).await;
        sleep(self.hold).await;
        let now = pid.and_then(process::resident);
        let _ = end.send(true);
        let mut held = Vec::new();
        while let Some(one) = all.join_next().await {
            held.push(one.unwrap_or_default());
        }
        let mut findings = Vec::new();
        let begun = Instant::now();
        while process::connections(addr.port()) > OTHERS {
            if begun.elapsed() > LET_GO {
                let held = process::connections(addr.port());
                findings
                    .push(format!("{held} connections are held {LET_GO:?} after their clients have gone"));
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        let seen = stage.seen().await;
        findings.extend(seen.problems.clone());
        findings.extend(left_behind(stage).await);
        let sent = format!(
            "{} connections, {} bytes each, held {:?}",
            self.connections,
            self.first.len(),
            self.hold
        );
        let kept = match stage.subject.upstream.record.open() {
            kept @ 200.. => format!("; {kept} connections are kept"),
            _ => String::new(),
        };
        let each = before.zip(now).map(|(before, now)| now.saturating_sub(before) / self.connections as u64);
        Outcome { sent, client: summary(&held, each), upstream: describe(&seen) + &kept, findings }
    }

    async fn hold(
        self,
        addr: SocketAddr,
        turns: Arc<Semaphore>,
        opened: Arc<watch::Sender<usize>>,
        mut ended: watch::Receiver<bool>,
    ) -> Held {
        let mut held = Held::default();
        let turn = turns.acquire().await;
        let stream = timeout(OPEN_LIMIT, TcpStream::connect(addr)).await;
        drop(turn);
        opened.send_modify(|count| *count += 1);
        let Ok(Ok(mut stream)) = stream else { return held };
        held.opened = true;
        let (mut read, mut write) = stream.split();
        let sending = async {
            let _ = write.write_all(&self.first).await;
            let Some((drip, pause)) = &self.drip else { return std::future::pending().await };
            let mut ticks = interval(*pause);
            loop {
                ticks.tick().await;
                if write.write_all(drip).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut start = Vec::new();
        let reading = async {
            if !self.reads {
                return std::future::pending().await;
            }
            let mut chunk = [0; 1024];
            loop {
                match read.read(&mut chunk).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) if start.len() < 12 => start.extend_from_slice(&chunk[..count]),
                    Ok(_) => {}
                }
            }
        };
        tokio::select! {
            () = sending => {}
            () = reading => held.closed = true,
            _ = ended.wait_for(|ended| *ended) => {}
        }
        let status = start.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
        held.status = status.map(|status| String::from_utf8_lossy(status).into_owned());
        held
    }
}

fn summary(held: &[Held], each: Option<u64>) -> String {
    let count = |what: fn(&Held) -> bool| held.iter().filter(|one| what(one)).count();
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    for status in held.iter().filter_map(|one| one.status.as_deref()) {
        *statuses.entry(status).or_default() += 1;
    }
    let mut text = format!("{} opened, {} closed", count(|one| one.opened), count(|one| one.closed));
    for (status, count) in statuses {
        text += &format!(", {status} ×{count}");
    }
    if let Some(each) = each {
        text += &format!(", {:.1} KiB each", each as f64 / 1024.0);
    }
    text
}
