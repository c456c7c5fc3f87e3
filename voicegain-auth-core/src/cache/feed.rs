//! The task that follows the store's log.

use std::sync::Arc;
use std::time::Duration;

use moka::ops::compute::Op;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Shared;
use crate::clock::Reading;
use crate::freshness::Plan;
use crate::ids::WebConfigId;
use crate::store::{LogRead, Revision, StoreError};

/// What waiters watch.
#[derive(Debug, Clone, Default)]
pub(super) struct FeedStatus {
    /// When the last proof was asked for, on the boot clock.
    pub(super) proved: Duration,
    /// When the last attempt that failed was begun, on the boot clock.
    pub(super) failed: Duration,
    /// The last revision applied.
    pub(super) applied: Revision,
    pub(super) problem: Option<String>,
}

const PAGE: usize = 1_000;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

impl Shared {
    /// How often the log's head is asked for when nothing else calls for it. Several attempts fit into the bound.
    fn heartbeat(&self) -> Duration {
        (self.bound / 4).min(Duration::from_secs(5))
    }
}

/// Follows the log for as long as it is polled. A store that panics does not end it: that is how feeds die unnoticed.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        // Dropped with this future, and the task in it then ends too.
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(Arc::clone(&shared)));
        if let Some(Err(error)) = tasks.join_next().await {
            tracing::error!(%error, "the change feed's task ended; it is started again, and everything is read anew");
            // It may have ended between hearing of a change and forgetting the old record.
            shared.machine().distrust();
            distrusted(&shared);
        }
        sleep(BACKOFF_MAX).await;
    }
}

async fn follow(shared: Arc<Shared>) {
    let mut backoff = BACKOFF_MIN;
    loop {
        let asked = shared.clock.read();
        // A read that hangs must not keep the next one from being tried.
        let outcome = match timeout(shared.heartbeat(), step(&shared, asked)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::unavailable("the store did not answer in time")),
        };
        match outcome {
            Ok(Step::Proved) => {
                backoff = BACKOFF_MIN;
                rest(&shared).await;
            }
            Ok(Step::More) => {}
            // A store that contradicts itself is not asked as fast as it answers.
            Ok(Step::Anew) => sleep(BACKOFF_MIN).await,
            Err(error) => {
                if shared.machine().failed() {
                    distrusted(&shared);
                }
                let problem = error.chain();
                tracing::warn!(error = %problem, "the change feed could not read the store");
                shared.status.send_modify(|status| {
                    status.failed = asked.boot;
                    status.problem = Some(problem);
                });
                sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

enum Step {
    /// There is more to read before anything is proved.
    More,
    Proved,
    /// Everything was distrusted.
    Anew,
}

async fn step(shared: &Shared, asked: Reading) -> Result<Step, StoreError> {
    let plan = shared.machine().plan();
    match plan {
        Plan::List { after } => {
            let page = shared.store.living(after, PAGE).await?;
            shared.machine().listed(&page);
            Ok(Step::More)
        }
        Plan::Follow { after } => match shared.store.read_log(after, PAGE).await? {
            LogRead::Entries { entries, more } => {
                shared.machine().apply(&entries);
                for entry in &entries {
                    forget_unless_current(shared, entry.id);
                }
                if !entries.is_empty() {
                    shared.changes.send_replace(());
                }
                let applied = entries.last().map_or(after.revision, |entry| entry.position.revision);
                if more {
                    shared.status.send_modify(|status| status.applied = applied);
                    return Ok(Step::More);
                }
                let Some(proof) = shared.machine().prove(asked) else {
                    distrust(shared, applied);
                    return Ok(Step::Anew);
                };
                shared.published.prove(proof);
                shared.status.send_modify(|status| {
                    status.applied = applied;
                    status.proved = asked.boot;
                    status.problem = None;
                });
                Ok(Step::Proved)
            }
            LogRead::Gone => {
                distrust(shared, after.revision);
                Ok(Step::Anew)
            }
        },
    }
}

/// The log does not go on from what is known (rule C4).
fn distrust(shared: &Shared, revision: Revision) {
    tracing::error!(
        %revision,
        "the store's log no longer holds the entry last seen: it was compacted, or the store went back in time; \
         everything cached is distrusted and read anew"
    );
    shared.machine().distrust();
    distrusted(shared);
}

/// Tells the hit path and the long exchanges that the machine has begun a new epoch.
fn distrusted(shared: &Shared) {
    shared.published.distrust(shared.machine().epoch());
    shared.records.invalidate_all();
    shared.changes.send_replace(());
}

/// Drops a cached record that a change has made old. What a look-up has brought since that change stays.
fn forget_unless_current(shared: &Shared, id: WebConfigId) {
    shared.records.entry_by_ref(&id).and_compute_with(|cached| match cached {
        Some(cached) if !shared.machine().is_current(id, cached.value().record.position) => Op::Remove,
        _ => Op::Nop,
    });
}

/// Waits for a reason to read the log again, but never asks for proofs more often than the store allows.
async fn rest(shared: &Shared) {
    let applied = shared.status.borrow().applied;
    sleep(shared.store.proof_interval()).await;
    tokio::select! {
        () = shared.wanted.notified() => {}
        () = shared.store.changed(applied) => {}
        () = sleep(shared.heartbeat()) => {}
    }
}
