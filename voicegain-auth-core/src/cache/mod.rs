//! The current secrets of this process's web configs: moka and look-ups, a shell around [`crate::freshness`].
//!
//! Two rules of order make the lock-free hit path right:
//!
//! - A **reader** takes the epoch, then the published proof, then the record (from [`near`] or from moka), then the clocks,
//!   and then the epoch once more: if that is another, it has no proof. The record it finds is then at least as new as the
//!   proof, both are of the one epoch, and the proof is judged by clocks read after everything else (rule C1).
//! - The **feed** says that there is a change, tells the machine about it, then removes the cached record, and only then
//!   publishes the proof that vouches for it. A look-up commits inside moka's per-key lock and asks the machine there, so it
//!   either is seen by the removal or sees the change (rule C3).

mod builder;
mod contexts;
mod exchanges;
mod feed;
mod load;
mod near;
mod preload;
mod published;
mod uses;
mod wait;
mod waiters;
mod work;

use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::task::AbortHandle;

pub use builder::SecretCacheBuilder;
pub use contexts::{ContextQuery, ContextSummary};
pub use exchanges::Watch;
pub(crate) use near::{Held, Stamp};
pub(crate) use wait::{Waited, Waiting};
pub use work::StoreWork;

use self::exchanges::{Authority, Exchanges};
use self::feed::FeedStatus;
use self::load::LookUps;
use self::near::Near;
use self::published::Published;
use self::uses::Uses;
use self::waiters::Waiters;
use crate::clock::{Clock, Reading};
use crate::freshness::{Freshness, Life, Proof};
use crate::ids::WebConfigId;
use crate::long_lived::LongLivedForm;
use crate::record::Record;
use crate::store::{ChangeFeed, ErasedStore, Revision, SecretStore};
use crate::verifier::Identity;

/// The cached secrets of one store, kept current by its change feed.
///
/// Cloning is cheap, and all clones share one cache and one feed, which ends with the last of them. Any number of
/// [`Verifier`](crate::Verifier)s and [`Issuer`](crate::Issuer)s can use it.
#[derive(Clone)]
pub struct SecretCache {
    inner: Arc<Owner>,
}

/// Ends the feed's task and the others, when the last handle goes; look-ups under way hold only what they need.
struct Owner {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Shared {
    store: Arc<dyn ErasedStore>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    /// `max_revocation_delay`, rule C1.
    bound: Duration,
    /// How long a request may wait for the store.
    wait_limit: Duration,
    records: moka::sync::Cache<WebConfigId, Cached>,
    /// In front of `records`.
    near: Near,
    /// How this deployment writes long-lived tokens.
    long_lived: LongLivedForm,
    machine: Mutex<Freshness>,
    published: Published,
    status: watch::Sender<FeedStatus>,
    /// Ticks with every change applied.
    changes: watch::Sender<()>,
    /// What has to end when its token does.
    exchanges: Exchanges,
    /// Who waits for a proof.
    waiters: Waiters,
    /// Somebody wants a proof.
    wanted: Notify,
    /// Somebody here knows of a change: a hint like the store's own. It costs no proof, or who wants one next would have to
    /// wait for it (rule C7).
    changed_here: Notify,
    look_ups: Mutex<LookUps>,
    /// Bounds the look-ups that run at once.
    permits: Semaphore,
    /// How many requests wait for a proof.
    waiting_for_proof: AtomicUsize,
    /// How many requests wait for a look-up.
    waiting_for_record: AtomicUsize,
    /// How many web configs `records` holds at most.
    capacity: u64,
    /// Whether all web configs are still being loaded ahead.
    preloading: watch::Sender<bool>,
    /// What was used and is to be written, and how often it is.
    uses: Uses,
    last_use_interval: Duration,
    /// Counted by look-ups and the feed, never by a request.
    work: Mutex<StoreWork>,
}

/// A record that the machine let in, and the epoch it did so in: in a later one it counts no more.
#[derive(Clone)]
struct Cached {
    record: Arc<Record>,
    epoch: u64,
}

/// What a request sees of one web config at one moment.
pub(crate) struct Seen {
    pub(crate) record: Option<Held>,
    /// The proof that vouches for it, if it holds at `now`.
    pub(crate) proof: Option<Proof>,
    pub(crate) now: Reading,
    /// Read before the record.
    pub(crate) stamp: Stamp,
}

/// How a cache is doing, for a readiness probe.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatus {
    /// Whether the promise can be kept now, so that requests can be decided (rules C1, V6).
    pub ready: bool,
    /// Since when it cannot, as time since the Unix epoch; `None` while it can.
    pub not_ready_since: Option<Duration>,
    /// How old the last proof of freshness is.
    pub proof_age: Option<Duration>,
    /// The bound it is held against.
    pub max_revocation_delay: Duration,
    /// How many web configs are known to live.
    pub living: usize,
    /// How many of them are cached.
    pub cached: u64,
    /// Whether all of them are still being loaded ahead, see [`SecretCacheBuilder::preload`].
    pub preloading: bool,
    /// The last revision of the store's log that is known here.
    pub revision: Revision,
    /// The last thing that went wrong, if nothing went right since.
    pub problem: Option<String>,
    /// What was asked of the store.
    pub work: StoreWork,
}

impl SecretCache {
    /// Begins to set up a cache over a store.
    pub fn builder(store: impl SecretStore + ChangeFeed) -> SecretCacheBuilder {
        SecretCacheBuilder::new(crate::store::erase(store))
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> CacheStatus {
        let shared = &self.inner.shared;
        let (proof, living) = {
            let machine = shared.machine();
            (machine.proof(), machine.living_count())
        };
        let now = shared.clock.read();
        let feed = shared.status.borrow();
        let ready = proof.is_some_and(|proof| proof.holds(now, shared.bound));
        // A proof that does not hold ran out at its age, or was voided by a wall clock that jumped just now.
        let ran_out = proof.map(|proof| proof.asked.wall.saturating_add(shared.bound).min(now.wall));
        CacheStatus {
            ready,
            not_ready_since: ran_out.or(feed.unproved_since).filter(|_| !ready),
            proof_age: proof.and_then(|proof| now.boot.checked_sub(proof.asked.boot)),
            max_revocation_delay: shared.bound,
            living,
            cached: {
                // Which counts what was put in and taken out since the last time.
                shared.records.run_pending_tasks();
                shared.records.entry_count()
            },
            preloading: *shared.preloading.borrow(),
            revision: feed.applied,
            problem: feed.problem.clone(),
            work: *shared.work(),
        }
    }

    /// The first contexts that are asked for, in the order of account and context ids, as far as changes have been heard of.
    /// For people: it walks all web configs that are known, and whatever else asks what is known waits meanwhile.
    #[must_use]
    pub fn contexts(&self, query: &ContextQuery) -> Vec<ContextSummary> {
        query.find(&self.inner.shared.machine())
    }

    /// Waits until the promise can be kept, as after a start, and answers whether it can now. Gives up after the time a
    /// request would wait.
    pub async fn ready(&self) -> bool {
        self.status().ready || {
            let _ = wait::until_ready(&self.inner.shared).await;
            self.status().ready
        }
    }

    /// Calls `end` when an exchange that outlives its request must end (rule C8): the token it was authorised with is no longer
    /// its web config's newest, or whether it is cannot be told within the promise, or the last handle of this cache is gone, or
    /// its runtime. That may be now, before this returns. It is called once at most, and not for what is given up by dropping
    /// what is returned, unless its turn had come.
    ///
    /// A task on the cache's runtime looks after all exchanges and calls their ends one after the other: an end must return
    /// soon, and that runtime must be driven. It costs an exchange no task and no timer, so that it can be had for every request.
    pub fn on_revoked(&self, identity: &Identity, end: impl FnOnce() + Send + 'static) -> Watch {
        let authority = Authority {
            id: identity.web_config_id(),
            generation: identity.generation(),
            stamp: identity.stamp(),
        };
        Watch::new(&self.inner.shared, authority, Box::new(end))
    }

    /// The same as a future, which resolves when the exchange must end.
    pub fn revoked(&self, identity: &Identity) -> impl Future<Output = ()> + Send + use<> {
        let (end, ended) = oneshot::channel();
        let watch = self.on_revoked(identity, || {
            let _ = end.send(());
        });
        async move {
            let _ = ended.await;
            drop(watch);
        }
    }

    pub(crate) fn store(&self) -> &dyn ErasedStore {
        &*self.inner.shared.store
    }

    pub(crate) fn now(&self) -> Reading {
        self.inner.shared.clock.read()
    }

    /// Where its own tasks run.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.inner.shared.runtime
    }

    /// How this deployment writes long-lived tokens.
    pub(crate) fn long_lived(&self) -> &LongLivedForm {
        &self.inner.shared.long_lived
    }

    /// The hit path. The order of its reads matters, see above.
    #[inline]
    pub(crate) fn see(&self, id: WebConfigId) -> Seen {
        let shared = &*self.inner.shared;
        let epoch = shared.published.epoch();
        let proof = shared.published.proof();
        let in_cache = || {
            let cached = shared.records.get(&id).filter(|cached| cached.epoch == epoch);
            cached.map(|cached| cached.record)
        };
        let stamp = shared.published.stamp(epoch);
        let record = if stamp.is_settled() {
            shared.near.get(id, stamp, in_cache)
        } else {
            in_cache().map(Held::Cached)
        };
        let now = shared.clock.read();
        // A thread that was held up may have taken the proof of a later epoch than the record, or have found what a listing
        // says that nothing has proved yet.
        let proof = proof.filter(|_| shared.published.epoch() == epoch);
        Seen { record, proof: proof.filter(|proof| proof.holds(now, shared.bound)), now, stamp }
    }

    /// Whether this web config lives as far as the feed knows, for somebody who [saw](Self::see) this epoch (rule C6).
    pub(crate) fn life(&self, id: WebConfigId, epoch: u64) -> Life {
        self.inner.shared.machine().life(id, epoch)
    }

    /// Waits for a proof that was asked for at or after this moment of the boot clock (rule C7).
    pub(crate) fn wait_for_proof(&self, since: Duration) -> Waiting {
        wait::for_proof(&self.inner.shared, since)
    }

    /// Waits for a look-up of this web config, one that is under way or a new one (rule C6).
    pub(crate) fn wait_for_record(&self, id: WebConfigId) -> Waiting {
        wait::for_record(&self.inner.shared, id)
    }

    /// After a change made here has returned: waits a moment for the feed to apply it, so that this process forgets the
    /// old record at once. Whatever comes of it, the promise holds without.
    pub(crate) async fn settle(&self, revision: Revision) {
        wait::for_revision(&self.inner.shared, revision).await;
    }
}

impl Shared {
    fn machine(&self) -> MutexGuard<'_, Freshness> {
        // The machine's methods do not panic half-way; if one did, its state is still no more trusting than before.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, StoreWork> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more of these.
    fn count(&self, which: impl FnOnce(&mut StoreWork) -> &mut u64) {
        let mut work = self.work();
        let count = which(&mut work);
        *count = count.saturating_add(1);
    }

    fn look_ups(&self) -> MutexGuard<'_, LookUps> {
        self.look_ups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SecretCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCache").field("status", &self.status()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
