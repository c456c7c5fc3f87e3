//! The task that follows the store's log.

use std::sync::Arc;
use std::time::Duration;

use moka::ops::compute::Op;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::exchanges::holds_now;
use super::{Shared, load};
use crate::clock::Reading;
use crate::freshness::Plan;
use crate::ids::WebConfigId;
use crate::store::{LogEntry, LogRead, Revision, StoreError};

/// What waiters watch.
#[derive(Debug, Clone, Default)]
pub(super) struct FeedStatus {
    /// When the last proof was asked for, on the boot clock.
    pub(super) proved: Duration,
    /// When the last attempt that failed was begun, on the boot clock.
    pub(super) failed: Duration,
    /// When the first of the attempts was begun that have failed since the last one that succeeded.
    pub(super) failing_since: Option<Duration>,
    /// The last revision applied.
    pub(super) applied: Revision,
    pub(super) problem: Option<String>,
    /// Since when there is no proof at all, on the wall clock; `None` while there is one, be it a fresh one or not.
    pub(super) unproved_since: Option<Duration>,
}

const PAGE: usize = 1_000;
/// How long the quick road may take: a proof may be what is missing.
const QUICK_LIMIT: Duration = Duration::from_secs(1);
/// How long a page of living web configs may take at least: it proves nothing, so the bound has no say in it.
const LIST_LIMIT: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

impl FeedStatus {
    /// How long a store may have failed before it is no use to wait for it: a moment's stall is no reason for a refusal.
    const PATIENCE: Duration = Duration::from_millis(1_500);

    /// Whether a proof asked for at or after this moment of the boot clock has been got.
    pub(super) fn is_proved(&self, since: Duration) -> bool {
        self.proved >= since && !self.proved.is_zero()
    }

    /// Whether none is to be expected soon: an attempt that was begun at or after this moment has failed, and not as one of
    /// the first.
    pub(super) fn is_hopeless(&self, since: Duration) -> bool {
        self.failed >= since
            && self.failing_since.is_some_and(|began| self.failed.saturating_sub(began) >= Self::PATIENCE)
    }
}

impl Shared {
    /// Tells the machine of changes. From before that nothing counts that is kept near, until
    /// [`changed`](super::published::Published::changed) is called.
    pub(super) fn tell(&self, entries: &[LogEntry]) -> Vec<WebConfigId> {
        if !entries.is_empty() {
            self.published.change();
        }
        self.machine().apply(entries)
    }

    /// After the status has changed so that somebody may need wait no longer.
    fn tell_waiters(&self) {
        let status = self.status.borrow().clone();
        self.waiters.tell(&status);
    }

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

/// Which way the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Road {
    /// The quick one: what it tells is applied, and proves nothing.
    Quick,
    /// The one that proves.
    Proof,
}

impl Road {
    /// Where proofs cost nothing, every answer may as well be one.
    fn of_hint(proof_interval: Duration) -> Self {
        if proof_interval.is_zero() { Self::Proof } else { Self::Quick }
    }
}

/// When the log is read again, and which way: at once when there is a hint, but a proof no more often than the store allows
/// (rule C7).
#[derive(Debug)]
struct Pace {
    /// When the last proof was asked for.
    proved: Instant,
    /// Whether somebody waits for a newer one.
    wanted: bool,
    /// From when on hints are followed: one that led to nothing may be of something that never comes.
    hints_from: Instant,
    /// Whether it was the store's hint that led to the last read, and not a change made here, which may be known already.
    hinted: bool,
}

impl Pace {
    /// Waits for a reason to read.
    async fn rest(&mut self, shared: &Shared) -> Road {
        let applied = shared.status.borrow().applied;
        let interval = shared.store.proof_interval();
        loop {
            let wait = if self.wanted { interval } else { shared.heartbeat() };
            self.hinted = false;
            tokio::select! {
                biased;
                () = sleep_until(self.proved + wait) => return Road::Proof,
                () = shared.wanted.notified(), if !self.wanted => self.wanted = true,
                () = shared.changed_here.notified() => return Road::of_hint(interval),
                () = hint(shared, self.hints_from, applied) => {
                    self.hinted = true;
                    return Road::of_hint(interval);
                }
            }
        }
    }
}

async fn hint(shared: &Shared, from: Instant, applied: Revision) {
    sleep_until(from).await;
    shared.store.changed(applied).await;
}

/// What the operator is told of a store that does not answer: that it began, now and then that it goes on, and that it is over.
#[derive(Debug, Default)]
struct Outage(Option<(Instant, Instant)>);

impl Outage {
    const REMINDER: Duration = Duration::from_secs(10);

    fn failed(&mut self, problem: &str) {
        let now = Instant::now();
        let (began, said) = *self.0.get_or_insert((now, now));
        let for_seconds = (now - began).as_secs();
        if now == began {
            tracing::warn!(error = problem, "the change feed could not read the store");
        } else if now - said >= Self::REMINDER {
            tracing::warn!(error = problem, for_seconds, "the change feed still cannot read the store");
            self.0 = Some((began, now));
        } else {
            tracing::debug!(error = problem, for_seconds, "the change feed could not read the store");
        }
    }

    fn is_over(&mut self) {
        if let Some((began, _)) = self.0.take() {
            tracing::info!(
                after_seconds = began.elapsed().as_secs(),
                "the change feed can read the store again"
            );
        }
    }
}

async fn follow(shared: Arc<Shared>) {
    let mut outage = Outage::default();
    let mut backoff = BACKOFF_MIN;
    let mut road = Road::Proof;
    let begin = || Pace { proved: Instant::now(), wanted: false, hints_from: Instant::now(), hinted: false };
    let mut pace = begin();
    loop {
        let asked = shared.clock.read();
        let before = shared.status.borrow().applied;
        if road == Road::Proof {
            pace = begin();
        }
        let outcome = step(&shared, road, asked).await;
        if road == Road::Proof && outcome.is_ok() {
            // It answers, whether or not that was all there is.
            shared.status.send_if_modified(|status| status.failing_since.take().is_some());
        }
        match outcome {
            Ok(Step::Applied) => {
                if road == Road::Proof {
                    backoff = BACKOFF_MIN;
                    outage.is_over();
                } else if pace.hinted && shared.status.borrow().applied == before {
                    pace.hints_from = Instant::now() + shared.store.proof_interval();
                }
                road = pace.rest(&shared).await;
            }
            Ok(Step::More) => {
                // What is missing is fetched the quick way, and then proved.
                road = Road::Quick;
                pace.wanted = true;
            }
            Ok(Step::Listed) => road = Road::Proof,
            Ok(Step::Doubtful) => {
                sleep_until(pace.proved + shared.store.proof_interval()).await;
                road = Road::Proof;
            }
            // A store that contradicts itself is not asked as fast as it answers.
            Ok(Step::Anew) => {
                sleep(BACKOFF_MIN).await;
                road = Road::Proof;
            }
            Err(error) => {
                if road == Road::Proof {
                    shared.count(|work| &mut work.unproved);
                }
                if shared.machine().failed() {
                    distrusted(&shared);
                }
                let problem = error.chain();
                outage.failed(&problem);
                shared.status.send_modify(|status| {
                    if road == Road::Proof {
                        status.failed = asked.boot;
                        status.failing_since.get_or_insert(asked.boot);
                    }
                    status.problem = Some(problem);
                });
                shared.tell_waiters();
                let interval = shared.store.proof_interval();
                road = match road {
                    Road::Quick => {
                        sleep_until(pace.proved + interval).await;
                        Road::Proof
                    }
                    Road::Proof => {
                        sleep(backoff.max(interval)).await;
                        backoff = (backoff * 2).min(BACKOFF_MAX);
                        pace.wanted = true;
                        // Where nothing can be proved, changes may still be heard of.
                        if interval.is_zero() { Road::Proof } else { Road::Quick }
                    }
                };
            }
        }
    }
}

enum Step {
    /// A page of living web configs was taken.
    Listed,
    /// There is more to read before anything is proved.
    More,
    /// All that follows was applied, and proved if that was asked for.
    Applied,
    /// The quick road does not know the last entry. It may lead to a server that lags behind: the other road will tell.
    Doubtful,
    /// Everything was distrusted.
    Anew,
}

/// A read that hangs must not keep the next one from being tried. Only reads may be given up on: what was applied must also
/// be forgotten before anything else is proved.
async fn in_time<T>(
    limit: Duration,
    read: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match timeout(limit, read).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreError::unavailable("the store did not answer in time")),
    }
}

async fn step(shared: &Shared, road: Road, asked: Reading) -> Result<Step, StoreError> {
    let plan = shared.machine().plan();
    let after = match plan {
        Plan::List { after } => {
            let limit = shared.heartbeat().max(LIST_LIMIT);
            let page = in_time(limit, shared.store.living(after, PAGE)).await?;
            if page.next.is_some() && page.next <= after {
                return Err(StoreError::damaged("a page of living web configs does not lead on to the next"));
            }
            shared.machine().listed(&page);
            return Ok(Step::Listed);
        }
        Plan::Follow { after } => after,
    };
    let read = match road {
        Road::Quick => {
            in_time(shared.heartbeat().min(QUICK_LIMIT), shared.store.read_log(after, PAGE)).await?
        }
        Road::Proof => in_time(shared.heartbeat(), shared.store.prove(after, PAGE)).await?,
    };
    let (entries, more) = match (read, road) {
        (LogRead::Entries { entries, more }, _) => (entries, more),
        (LogRead::Gone, Road::Quick) => return Ok(Step::Doubtful),
        (LogRead::Gone, Road::Proof) => {
            distrust(shared, after.revision);
            return Ok(Step::Anew);
        }
    };
    let changed = shared.tell(&entries);
    for ids in changed.chunks(PAGE) {
        for id in ids {
            forget_unless_current(shared, *id);
        }
        load::forget_failures(shared, ids);
        // A bulk end may have changed very many.
        yield_now().await;
    }
    if !entries.is_empty() {
        shared.published.changed();
        shared.changes.send_replace(());
    }
    let applied = entries.last().map_or(after.revision, |entry| entry.position.revision);
    if more || road == Road::Quick {
        shared.status.send_modify(|status| status.applied = applied);
        return Ok(if more { Step::More } else { Step::Applied });
    }
    let (had_lapsed, proof) = {
        let mut machine = shared.machine();
        (!holds_now(shared, machine.proof()), machine.prove(asked))
    };
    let Some(proof) = proof else {
        distrust(shared, applied);
        return Ok(Step::Anew);
    };
    shared.published.prove(proof);
    shared.count(|work| &mut work.proved);
    if had_lapsed {
        // Exchanges may begin again, and this proof may run out soon.
        shared.changes.send_replace(());
    }
    shared.status.send_modify(|status| {
        status.applied = applied;
        status.proved = asked.boot;
        status.failing_since = None;
        status.problem = None;
        status.unproved_since = None;
    });
    shared.tell_waiters();
    Ok(Step::Applied)
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
    // Also if the feed ended half-way.
    shared.published.changed();
    shared.changes.send_replace(());
    let now = shared.clock.read().wall;
    shared.status.send_modify(|status| {
        status.unproved_since.get_or_insert(now);
    });
}

/// Drops a cached record that a change has made old. What a look-up has brought since that change stays.
fn forget_unless_current(shared: &Shared, id: WebConfigId) {
    shared.records.entry_by_ref(&id).and_compute_with(|cached| match cached {
        Some(cached) if !shared.machine().is_current(id, cached.value().record.position) => Op::Remove,
        _ => Op::Nop,
    });
}
