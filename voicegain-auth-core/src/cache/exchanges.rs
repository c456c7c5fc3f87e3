//! What outlives its request, and how it hears that it must end (rule C8).
//!
//! One task looks after all of it, whenever something has changed and when the proof would run out. An exchange costs its place
//! in a list, and no task or timer of its own: most are over long before anything is revoked.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Shared, Stamp};
use crate::freshness::{Freshness, Proof};
use crate::ids::WebConfigId;
use crate::web_config::Generation;

/// How long the task goes without looking at the clocks: timers sleep through a suspend, and know nothing of the wall clock.
pub(super) const MAX_NAP: Duration = Duration::from_secs(1);
/// How many are looked at before others get their turn.
const AT_ONCE: usize = 256;
/// So that threads seldom wait for each other, or for the task.
const SHARDS: usize = 16;

/// What a token must still be for an exchange to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authority {
    pub(super) id: WebConfigId,
    pub(super) generation: Generation,
    /// When the token was decided about.
    pub(super) stamp: Stamp,
}

impl Authority {
    fn is_newest(self, machine: &Freshness) -> bool {
        machine.stands(self.id, self.generation, self.stamp.epoch)
    }

    /// Whether it is still, and this is proved. Asked for every exchange that begins: as long as the feed has told of no change
    /// since the decision, as nearly always, the machine and its lock are not needed for it.
    fn stands(self, shared: &Shared) -> bool {
        let published = &shared.published;
        if self.stamp.is_settled() && published.stamp(self.stamp.epoch) == self.stamp {
            holds_now(shared, published.proof())
        } else {
            let machine = shared.machine();
            holds_now(shared, machine.proof()) && self.is_newest(&machine)
        }
    }
}

/// Whether there is a proof and it holds now.
pub(super) fn holds_now(shared: &Shared, proof: Option<Proof>) -> bool {
    proof.is_some_and(|proof| proof.holds(shared.clock.read(), shared.bound))
}

type End = Box<dyn FnOnce() + Send>;

/// Everything that is looked after.
#[derive(Default)]
pub(super) struct Exchanges([Mutex<Shard>; SHARDS]);

#[derive(Default)]
struct Shard {
    /// The task has ended, so that nothing can be looked after any more.
    closed: bool,
    next: u64,
    open: BTreeMap<u64, (Authority, End)>,
}

impl Exchanges {
    fn shard(&self, at: usize) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.0;
        self.0.get(at).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        for at in 0..SHARDS {
            let open = {
                let mut shard = self.shard(at);
                shard.closed = true;
                std::mem::take(&mut shard.open)
            };
            open.into_values().for_each(|(_, end)| call(end));
        }
    }
}

/// Looks after an exchange until it is dropped; see [`SecretCache::on_revoked`](super::SecretCache::on_revoked).
#[must_use = "an exchange is looked after only for as long as this is held"]
pub struct Watch {
    shared: Arc<Shared>,
    at: usize,
    key: u64,
}

impl Watch {
    pub(super) fn new(shared: &Arc<Shared>, authority: Authority, end: End) -> Self {
        let at = shard_of_this_thread();
        let (key, closed) = {
            let mut shard = shared.exchanges.shard(at);
            let key = shard.next;
            shard.next += 1;
            shard.open.insert(key, (authority, end));
            (key, shard.closed)
        };
        let watch = Self { shared: Arc::clone(shared), at, key };
        // What came between the decision and now, the task may have seen to already.
        if closed || !authority.stands(shared) {
            watch.take().into_iter().for_each(call);
        }
        watch
    }

    fn take(&self) -> Option<End> {
        self.shared.exchanges.shard(self.at).open.remove(&self.key).map(|(_, end)| end)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch(…)")
    }
}

fn shard_of_this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    // In a thread that is ending, any will do.
    SHARD.try_with(|shard| *shard).unwrap_or(0)
}

/// Ends one. What panics must not keep the others from being ended.
fn call(end: End) {
    if catch_unwind(AssertUnwindSafe(end)).is_err() {
        tracing::error!("an exchange could not be ended: what was to end it panicked");
    }
}

/// Ends all that is looked after, and whatever comes later, when nobody looks after it any more.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.exchanges.close();
    }
}

/// Looks after the exchanges for as long as it is polled; once it is dropped, polled or not, all end.
pub(super) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
    let closing = Closing(shared);
    async move {
        let shared = &*closing.0;
        let mut changes = shared.changes.subscribe();
        loop {
            let begun = Instant::now();
            // Before the sweep: a proof that runs out during it is looked at again.
            let until = begun + nap(shared);
            for at in 0..SHARDS {
                sweep(shared, at).await;
            }
            // With very many of them, changes in quick succession are seen to together: a tenth of a processor is enough for it,
            // and far from what the bound allows.
            let rest = (begun.elapsed() * 9).min(shared.bound / 10);
            if rest >= Duration::from_millis(1) {
                sleep_until(until.min(Instant::now() + rest)).await;
            }
            let _ = timeout_at(until, changes.changed()).await;
        }
    }
}

async fn sweep(shared: &Shared, at: usize) {
    let mut next = 0;
    loop {
        let mut ended = Vec::new();
        {
            let mut shard = shared.exchanges.shard(at);
            let machine = shared.machine();
            let is_proved = holds_now(shared, machine.proof());
            let over = |authority: &Authority| !is_proved || !authority.is_newest(&machine);
            let mut keys = Vec::new();
            let mut last = None;
            for (key, (authority, _)) in shard.open.range(next..).take(AT_ONCE) {
                last = Some(*key);
                if over(authority) {
                    keys.push(*key);
                }
            }
            drop(machine);
            ended.extend(keys.iter().filter_map(|key| shard.open.remove(key)));
            let Some(last) = last else { return };
            next = last + 1;
        }
        ended.into_iter().for_each(|(_, end)| call(end));
        // Requests that begin want the same locks.
        yield_now().await;
    }
}

/// How long nothing can run out.
fn nap(shared: &Shared) -> Duration {
    let proof = shared.machine().proof();
    let now = shared.clock.read().boot;
    let left = proof.map(|proof| shared.bound.saturating_sub(now.saturating_sub(proof.asked.boot)));
    match left {
        // A little more than what is left, so that it has run out for certain if no other has come.
        Some(left) if !left.is_zero() => left.saturating_add(Duration::from_millis(1)).min(MAX_NAP),
        _ => MAX_NAP,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::head::testing::TestHead;
    use crate::testing::{API_URL, PausedClock, TestStore, World, until};
    use crate::{CreateRequest, Identity, Issued, Issuer, MemoryStore, Policy, SecretCache, Verifier};

    async fn identity(world: &World, issued: &Issued) -> Identity {
        let head = TestHead::get("/v1/x").bearer(&issued.jwt);
        let admitted = world.verifier(Policy::default()).authorize(&head).await.unwrap();
        admitted.caller().identity().unwrap().clone()
    }

    /// An exchange of this identity that counts how often it was ended.
    fn counted(world: &World, identity: &Identity) -> (Watch, Arc<AtomicU32>) {
        let ended = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&ended);
        let watch = world.cache.on_revoked(identity, move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        (watch, ended)
    }

    fn open(world: &World) -> usize {
        (0..SHARDS).map(|at| world.cache.inner.shared.exchanges.shard(at).open.len()).sum()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn c8_those_of_a_replaced_token_end_once_and_no_others() {
        let world = World::new().await;
        let (issued, other) = (world.create().await, world.create().await);
        let (id, other) = (identity(&world, &issued).await, identity(&world, &other).await);
        let ending: Vec<_> = (0..100).map(|_| counted(&world, &id)).collect();
        let going_on: Vec<_> = (0..100).map(|_| counted(&world, &other)).collect();
        let (dropped, never) = counted(&world, &id);
        drop(dropped);
        assert_eq!(open(&world), 200);
        world.issuer.regenerate(issued.config.id).await.unwrap();
        let all = || ending.iter().all(|(_, ended)| ended.load(Ordering::SeqCst) == 1);
        until("all have ended", all).await;
        // What is begun with the old token now ends before it has been begun.
        let (_late, ended) = counted(&world, &id);
        assert_eq!(ended.load(Ordering::SeqCst), 1);
        drop(ending);
        assert!(going_on.iter().all(|(_, ended)| ended.load(Ordering::SeqCst) == 0));
        assert_eq!((open(&world), never.load(Ordering::SeqCst)), (100, 0));
        drop(going_on);
        assert_eq!(open(&world), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn c8_all_end_when_the_promise_can_no_longer_be_kept() {
        let world = World::new().await;
        let issued = world.create().await;
        let id = identity(&world, &issued).await;
        let (_watch, ended) = counted(&world, &id);
        world.controls.fail_feed.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.clock.advance(Duration::from_secs(15));
        tokio::time::sleep(MAX_NAP + Duration::from_millis(200)).await;
        assert_eq!(ended.load(Ordering::SeqCst), 0, "the last proof still holds");
        world.clock.advance(Duration::from_secs(16));
        until("it has ended", || ended.load(Ordering::SeqCst) == 1).await;
        let (_late, ended) = counted(&world, &id);
        assert_eq!(ended.load(Ordering::SeqCst), 1, "and so does what comes later");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn c8_those_begun_in_any_thread_end() {
        let world = World::new().await;
        let (issued, other) = (world.create().await, world.create().await);
        let (id, other) = (identity(&world, &issued).await, identity(&world, &other).await);
        let begun: Vec<_> = std::thread::scope(|scope| {
            let begin = || (counted(&world, &id), counted(&world, &other));
            let threads: Vec<_> = (0..2 * SHARDS).map(|_| scope.spawn(begin)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        world.issuer.regenerate(issued.config.id).await.unwrap();
        let all = || begun.iter().all(|((_, ended), _)| ended.load(Ordering::SeqCst) == 1);
        until("all have ended", all).await;
        assert!(begun.iter().all(|(_, (_, ended))| ended.load(Ordering::SeqCst) == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn c8_all_end_at_the_moment_when_the_promise_can_no_longer_be_kept() {
        // No multiple of how long the task naps at most.
        let bound = Duration::from_millis(2_500);
        let store = TestStore::new(MemoryStore::new().unwrap());
        let controls = Arc::clone(&store.controls);
        let cache = SecretCache::builder(store)
            .clock(PausedClock::new())
            .max_revocation_delay(bound)
            .build()
            .unwrap();
        let issuer = Issuer::new(cache.clone(), API_URL).unwrap();
        let request = CreateRequest::new("acc".parse().unwrap(), "ctx".parse().unwrap(), "test");
        let issued = issuer.create(request).await.unwrap();
        assert!(cache.ready().await);
        let head = TestHead::get("/v1/x").bearer(&issued.jwt);
        let admitted = Verifier::new(cache.clone(), Policy::default()).authorize(&head).await.unwrap();
        let ended = cache.revoked(admitted.caller().identity().unwrap());
        controls.fail_feed.store(true, Ordering::SeqCst);
        ended.await;
        let age = cache.status().proof_age.unwrap();
        assert!(age > bound && age < bound + Duration::from_millis(50), "{age:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn c8_one_that_panics_keeps_no_other_from_ending() {
        let world = World::new().await;
        let issued = world.create().await;
        let id = identity(&world, &issued).await;
        let _broken = world.cache.on_revoked(&id, || panic!("as the test wants it"));
        let (_watch, ended) = counted(&world, &id);
        let _broken_too = world.cache.on_revoked(&id, || panic!("as the test wants it"));
        let new = world.issuer.regenerate(issued.config.id).await.unwrap();
        until("it has ended", || ended.load(Ordering::SeqCst) == 1).await;
        let (_watch, ended) = counted(&world, &identity(&world, &new).await);
        world.issuer.delete(issued.config.id).await.unwrap();
        until("so does a later one", || ended.load(Ordering::SeqCst) == 1).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn c8_an_end_may_give_up_other_exchanges() {
        let world = World::new().await;
        let issued = world.create().await;
        let id = identity(&world, &issued).await;
        let others: Vec<_> = (0..50).map(|_| counted(&world, &id).0).collect();
        let ended = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&ended);
        let _watch = world.cache.on_revoked(&id, move || {
            drop(others);
            count.fetch_add(1, Ordering::SeqCst);
        });
        world.issuer.regenerate(issued.config.id).await.unwrap();
        until("it has ended", || ended.load(Ordering::SeqCst) == 1).await;
        assert_eq!(open(&world), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn c8_all_end_with_the_cache() {
        let world = World::new().await;
        let issued = world.create().await;
        let id = identity(&world, &issued).await;
        let (_watch, ended) = counted(&world, &id);
        let World { cache, issuer, .. } = world;
        drop(issuer);
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        drop(cache);
        until("it has ended", || ended.load(Ordering::SeqCst) == 1).await;
    }
}
