//! Good requests, and how they fare.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::counted::Made;
use super::{percentile, text};
use crate::gateway::Gateway;
use crate::http::Http;

/// What became of good requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) unavailable: u64,
    /// A good token called anything else.
    pub(super) refused: u64,
    /// No answer.
    pub(super) failed: u64,
    /// How long the accepted ones took, sorted.
    pub(super) took: Vec<Duration>,
    /// The first accept, and the last 503.
    pub(super) first_accept: Option<Instant>,
    pub(super) last_unavailable: Option<Instant>,
}

impl Tally {
    fn count(&mut self, status: Option<u16>, took: Duration) -> bool {
        let now = Instant::now();
        match status {
            Some(200) => {
                self.accepted += 1;
                self.took.push(took);
                self.first_accept.get_or_insert(now);
                return true;
            }
            Some(503) => {
                self.unavailable += 1;
                self.last_unavailable = Some(now);
            }
            Some(_) => self.refused += 1,
            None => self.failed += 1,
        }
        false
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.unavailable += other.unavailable;
        self.refused += other.refused;
        self.failed += other.failed;
        self.took.extend(other.took);
        let firsts = [self.first_accept, other.first_accept];
        self.first_accept = firsts.into_iter().flatten().min();
        self.last_unavailable = self.last_unavailable.max(other.last_unavailable);
    }

    /// In milliseconds.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        percentile(&self.took, share).as_secs_f64() * 1e3
    }

    /// All that tasks have counted.
    pub(super) async fn of(mut tasks: JoinSet<Self>) -> Result<Self, String> {
        let mut all = Self::default();
        while let Some(tally) = tasks.join_next().await {
            all.add(tally.map_err(text)?);
        }
        all.took.sort_unstable();
        Ok(all)
    }
}

async fn ask(gateway: &Gateway, http: &Http, jwt: &str) -> Option<u16> {
    gateway.call(http, "/v1/anything", jwt, None).await.ok().map(|(status, _)| status)
}

/// Each token once, again and again until it is accepted; what counts is the time from the first attempt.
pub(super) async fn pass(
    gateway: &Arc<Gateway>,
    made: &Arc<Vec<Made>>,
    connections: usize,
) -> Result<Tally, String> {
    const AGAIN: Duration = Duration::from_millis(20);
    let mut tasks = JoinSet::new();
    for first in 0..connections {
        let (gateway, made) = (Arc::clone(gateway), Arc::clone(made));
        tasks.spawn(async move {
            let (http, mut tally) = (Http::default(), Tally::default());
            for made in made.iter().skip(first).step_by(connections) {
                let begun = Instant::now();
                while !tally.count(ask(&gateway, &http, &made.jwt).await, begun.elapsed()) {
                    sleep(AGAIN).await;
                }
            }
            tally
        });
    }
    Tally::of(tasks).await
}

/// One token after another until it is over, each once and with this pause before it.
pub(super) fn keep_asking(
    gateway: &Arc<Gateway>,
    made: &Arc<Vec<Made>>,
    connections: usize,
    pause: Duration,
    over: &Arc<AtomicBool>,
) -> JoinSet<Tally> {
    let mut tasks = JoinSet::new();
    for first in 0..connections {
        let (gateway, made, over) = (Arc::clone(gateway), Arc::clone(made), Arc::clone(over));
        tasks.spawn(async move {
            let (http, mut tally) = (Http::default(), Tally::default());
            for made in made.iter().cycle().skip(first).step_by(connections) {
                sleep(pause).await;
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let begun = Instant::now();
                let status = ask(&gateway, &http, &made.jwt).await;
                tally.count(status, begun.elapsed());
            }
            tally
        });
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_accept_is_one() {
        let mut tally = Tally::default();
        let second = Duration::from_secs(1);
        assert!(tally.count(Some(200), second));
        for status in [Some(503), Some(401), Some(403), None] {
            assert!(!tally.count(status, second));
        }
        let counts = (tally.accepted, tally.unavailable, tally.refused, tally.failed);
        assert_eq!(counts, (1, 1, 2, 1));
        assert_eq!(tally.took, [second]);
        let mut both = Tally::default();
        both.add(tally);
        assert!(both.first_accept.is_some() && both.last_unavailable.is_some());
    }
}
