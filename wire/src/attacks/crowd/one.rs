use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{interval, timeout};

use crate::http2::kind;

use super::{Answer, Crowd};

/// How long one may take to open.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// One of the connections that are being opened, until this is dropped: then it is ready, or never will be.
pub(super) struct Turn {
    ready: Arc<watch::Sender<usize>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    pub(super) async fn take(turns: Arc<Semaphore>, ready: Arc<watch::Sender<usize>>) -> Self {
        Self { ready, _permit: turns.acquire_owned().await.ok() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.ready.send_modify(|count| *count += 1);
    }
}

/// How one connection ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// Why it could not be opened.
    pub(super) problem: Option<String>,
    /// Whether the gateway closed it.
    pub(super) closed: bool,
    /// The first that came: a status, or `SETTINGS`.
    pub(super) answer: Option<String>,
    /// Its own port.
    pub(super) port: Option<u16>,
}

impl Crowd {
    pub(super) async fn hold(
        self,
        addr: SocketAddr,
        turn: impl Future<Output = Turn>,
        mut ended: watch::Receiver<bool>,
    ) -> Held {
        let mut held = Held::default();
        let mut turn = Some(turn.await);
        let mut stream = match timeout(OPEN_LIMIT, TcpStream::connect(addr)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Held { problem: Some(error.to_string()), ..held },
            Err(_) => return Held { problem: Some(format!("not within {OPEN_LIMIT:?}")), ..held },
        };
        held.port = stream.local_addr().ok().map(|addr| addr.port());
        if let Answer::NeedNot(_) = self.answer {
            drop(turn.take());
        }
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
        let reading = async {
            if !self.reads {
                return std::future::pending().await;
            }
            let (mut start, mut chunk) = (Vec::new(), [0; 1024]);
            loop {
                match read.read(&mut chunk).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) if held.answer.is_none() => start.extend_from_slice(&chunk[..count]),
                    Ok(_) => {}
                }
                if held.answer.is_none() {
                    held.answer = answer(&start);
                    if held.answer.is_some() {
                        drop(turn.take());
                    }
                }
            }
        };
        let closed = tokio::select! {
            () = sending => false,
            () = reading => true,
            _ = ended.wait_for(|ended| *ended) => false,
        };
        Held { closed, ..held }
    }
}

fn answer(start: &[u8]) -> Option<String> {
    match start {
        [_, _, _, kind::SETTINGS, ..] if start.len() >= 9 && start[5..9] == [0; 4] => {
            Some("SETTINGS".to_owned())
        }
        _ => {
            let status = start.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3))?;
            Some(String::from_utf8_lossy(status).into_owned())
        }
    }
}

pub(super) fn summary(held: &[Held], expected: Answer) -> String {
    let count = |what: fn(&Held) -> bool| held.iter().filter(|one| what(one)).count();
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in held.iter().filter_map(|one| one.answer.as_deref()) {
        *answers.entry(answer).or_default() += 1;
    }
    let mut text =
        format!("{} opened, {} closed", count(|one| one.problem.is_none()), count(|one| one.closed));
    for (answer, count) in answers {
        text += &format!(", {answer} ×{count}");
    }
    if let Answer::NeedNot(why) = expected {
        text += &format!(", none need be answered: {why}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::settings;

    #[test]
    fn answers_are_told_by_their_start() {
        assert_eq!(answer(b"HTTP/1.1 401 Un").as_deref(), Some("401"));
        assert_eq!(answer(&settings(&[])).as_deref(), Some("SETTINGS"));
        assert_eq!((answer(b"HTTP/1.1 4"), answer(b"")), (None, None));
    }
}
