//! Many connections that do the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::http2::{Event, connect};

/// How long a flood goes on at most.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a write may take before the other side counts as full.
const STALLED: Duration = Duration::from_secs(1);
/// How many attackers there are.
pub(super) const ATTACKERS: usize = 4;
/// How long the other side may take to say that it speaks HTTP/2.
const GREETING: Duration = Duration::from_secs(5);
/// After so many connections on which it is not spoken an attacker gives up.
const REFUSED: usize = 10;

/// A flood of frames over HTTP/2.
#[derive(Clone)]
pub(super) struct Flood {
    /// Sent once on each connection, behind the settings.
    pub(super) first: Vec<u8>,
    /// Sent again and again; made from the number of the next stream.
    pub(super) batch: Arc<dyn Fn(u32) -> Vec<u8> + Send + Sync>,
    /// How many frames of the attack are in a batch.
    pub(super) frames: usize,
    /// How many streams a batch opens.
    pub(super) streams: u32,
    /// How many frames there are in all.
    pub(super) total: usize,
    /// Whether the attacker reads what comes back.
    pub(super) reads: bool,
    /// How long it is waited between two batches.
    pub(super) pause: Duration,
}

/// What came of a flood.
#[derive(Clone, Debug, Default)]
pub(super) struct Flooded {
    pub(super) sent: usize,
    pub(super) connections: usize,
    /// How often a connection ended in which way.
    pub(super) ends: BTreeMap<String, usize>,
    /// On how many connections HTTP/2 was not spoken: nothing that is sent on them counts.
    pub(super) refused: usize,
}

impl Flooded {
    pub(super) fn describe(&self) -> String {
        let ends: Vec<String> = self.ends.iter().map(|(end, count)| format!("{end} ×{count}")).collect();
        ends.join(", ")
    }

    /// A flood of which nothing was taken proves nothing.
    pub(super) fn finding(&self, total: usize) -> Option<String> {
        (self.sent == 0).then(|| format!("none of {total} frames could be sent: {}", self.describe()))
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.connections += other.connections;
        self.refused += other.refused;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
    }
}

impl Flood {
    /// With time for each batch to be under way before the next one comes.
    pub(super) fn paced(self) -> Self {
        Self { pause: Duration::from_millis(20), ..self }
    }

    /// By several attackers at once, who go on for as long as `lasts` even if all is sent.
    pub(super) async fn run(self, addr: SocketAddr, lasts: Duration) -> Flooded {
        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            attackers.spawn(self.clone().attacker(addr, lasts));
        }
        let mut all = Flooded::default();
        while let Some(one) = attackers.join_next().await {
            all.add(one.unwrap_or_default());
        }
        all
    }

    async fn attacker(self, addr: SocketAddr, lasts: Duration) -> Flooded {
        let begun = Instant::now();
        let mut done = Flooded::default();
        let is_due = |sent| sent < self.total / ATTACKERS || begun.elapsed() < lasts;
        while is_due(done.sent) && begun.elapsed() < LIMIT && done.refused < REFUSED {
            let Ok((mut receiver, mut write)) = connect(addr, &[]).await else {
                *done.ends.entry("no connection".to_owned()).or_default() += 1;
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            done.connections += 1;
            // Servers begin with their settings.
            let greeting = timeout(GREETING, receiver.next(&mut Vec::new())).await;
            if !matches!(greeting, Ok(Ok(Some(_)))) {
                done.refused += 1;
                *done.ends.entry("not HTTP/2".to_owned()).or_default() += 1;
                continue;
            }
            let reads = self.reads;
            let reader = tokio::spawn(async move {
                let mut replies = Vec::new();
                let mut end = None;
                // Whoever does not read keeps the connection open all the same.
                if !reads {
                    std::future::pending::<()>().await;
                }
                while let Ok(Some(event)) = receiver.next(&mut replies).await {
                    replies.clear();
                    if let Event::GoAway(code) = event {
                        end = Some(code);
                    }
                }
                end
            });
            let mut end = "done";
            let mut stream = 1;
            let mut next = self.first.clone();
            while is_due(done.sent) {
                next.extend((self.batch)(stream));
                stream += 2 * self.streams;
                match timeout(STALLED, write.write_all(&std::mem::take(&mut next))).await {
                    Ok(Ok(())) => done.sent += self.frames,
                    Ok(Err(_)) => {
                        end = "closed";
                        break;
                    }
                    Err(_) => {
                        end = "stopped reading";
                        break;
                    }
                }
                if !self.pause.is_zero() {
                    sleep(self.pause).await;
                }
                if begun.elapsed() > LIMIT {
                    end = "time is up";
                    break;
                }
            }
            drop(write);
            let abort = reader.abort_handle();
            let said = timeout(Duration::from_millis(if reads { 300 } else { 0 }), reader).await;
            abort.abort();
            let end = match said {
                Ok(Ok(Some(code))) => format!("GOAWAY {code}"),
                _ => end.to_owned(),
            };
            *done.ends.entry(end).or_default() += 1;
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_that_sent_nothing_says_why() {
        let mut flooded = Flooded { connections: 40, refused: 40, ..Flooded::default() };
        flooded.ends.insert("not HTTP/2".to_owned(), 40);
        assert_eq!(flooded.finding(9).unwrap(), "none of 9 frames could be sent: not HTTP/2 ×40");
        assert_eq!(Flooded { sent: 1, ..flooded }.finding(9), None);
    }
}
