//! Requests that wait for a proof (rule C7).
//!
//! The feed wakes them, and one task looks to the time for all of them: forged tokens wait here by the thousand, and a task and a
//! timer each would cost more than all the rest of refusing one.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::feed::FeedStatus;
use super::wait::{Place, Waited};

/// Everybody who waits.
#[derive(Default)]
pub(super) struct Waiters {
    list: Mutex<List>,
    /// The first of them has come.
    arrived: Notify,
}

#[derive(Default)]
struct List {
    /// Nobody looks to the time any more.
    closed: bool,
    next: u64,
    waiting: BTreeMap<u64, Waiter>,
}

struct Waiter {
    since: Duration,
    deadline: Instant,
    waker: Waker,
}

impl Waiters {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out and wakes whoever need wait no longer.
    fn wake(&self, is_over: impl Fn(&Waiter) -> bool) {
        let over: Vec<_> = {
            let mut list = self.list();
            let keys: Vec<_> =
                list.waiting.iter().filter(|(_, waiter)| is_over(waiter)).map(|(key, _)| *key).collect();
            keys.iter().filter_map(|key| list.waiting.remove(key)).collect()
        };
        over.into_iter().for_each(|waiter| waiter.waker.wake());
    }

    /// Wakes those for whom this decides it.
    pub(super) fn tell(&self, status: &FeedStatus) {
        self.wake(|waiter| outcome(status, waiter.since).is_some());
    }

    fn close(&self) {
        self.list().closed = true;
        self.wake(|_| true);
    }
}

/// What the feed has to say to somebody who has waited since this moment of the boot clock.
fn outcome(status: &FeedStatus, since: Duration) -> Option<Waited> {
    if status.is_proved(since) {
        Some(Waited::Look)
    } else if status.is_hopeless(since) {
        Some(Waited::InVain("the change feed could not read the store"))
    } else {
        None
    }
}

/// Waits for a proof. Any executor can poll it.
pub(crate) struct ForProof {
    place: Place,
    since: Duration,
    /// Since it was polled first.
    deadline: Option<Instant>,
    key: Option<u64>,
}

impl ForProof {
    pub(super) fn new(place: Place, since: Duration) -> Self {
        Self { place, since, deadline: None, key: None }
    }
}

impl Future for ForProof {
    type Output = Waited;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited> {
        let this = self.get_mut();
        let shared = this.place.shared();
        let mut list = shared.waiters.list();
        // With the list locked: the feed says what it found before it takes the lock to wake, and finds this waiter there.
        if let Some(waited) = outcome(&shared.status.borrow(), this.since) {
            return Poll::Ready(waited);
        }
        if list.closed {
            return Poll::Ready(Waited::InVain("the runtime is shutting down"));
        }
        let now = Instant::now();
        let deadline = *this.deadline.get_or_insert(now + shared.wait_limit);
        if now >= deadline {
            return Poll::Ready(Waited::InVain("the store did not answer in time"));
        }
        let waker = cx.waker().clone();
        let other = match this.key.and_then(|key| list.waiting.get_mut(&key)) {
            Some(waiter) => std::mem::replace(&mut waiter.waker, waker),
            None => {
                if list.waiting.is_empty() {
                    shared.waiters.arrived.notify_one();
                }
                let key = list.next;
                list.next += 1;
                list.waiting.insert(key, Waiter { since: this.since, deadline, waker });
                this.key = Some(key);
                return Poll::Pending;
            }
        };
        // Its drop may do anything.
        drop(list);
        drop(other);
        Poll::Pending
    }
}

impl Drop for ForProof {
    fn drop(&mut self) {
        let waiter = self.key.and_then(|key| self.place.shared().waiters.list().waiting.remove(&key));
        drop(waiter);
    }
}

impl fmt::Debug for ForProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForProof").field("since", &self.since).finish_non_exhaustive()
    }
}

/// Lets nobody wait any more when nobody looks to the time.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.waiters.close();
    }
}

/// Looks to the time for as long as it is polled. All may wait equally long, so that nobody who comes while this sleeps has to
/// be woken earlier than those who were there.
pub(super) async fn run(shared: Arc<Shared>) {
    let _closing = Closing(&shared);
    let waiters = &shared.waiters;
    loop {
        let first = waiters.list().waiting.values().map(|waiter| waiter.deadline).min();
        match first {
            Some(deadline) => sleep_until(deadline).await,
            None => waiters.arrived.notified().await,
        }
        let now = Instant::now();
        waiters.wake(|waiter| waiter.deadline <= now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::SecretCache;
    use crate::testing::World;

    fn waiting(cache: &SecretCache) -> usize {
        cache.inner.shared.waiters.list().waiting.len()
    }

    fn wait(cache: &SecretCache) -> impl Future<Output = Waited> + use<> {
        let cache = &cache.inner.shared;
        super::super::wait::for_proof(cache, cache.clock.read().boot)
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        for _ in 0..20_000 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("never: {what}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn c7_one_proof_wakes_all_who_wait() {
        let world = World::new().await;
        world.controls.no_proofs.store(true, Ordering::SeqCst);
        let all: Vec<_> = (0..100).map(|_| tokio::spawn(wait(&world.cache))).collect();
        until("all wait", || waiting(&world.cache) == 100).await;
        world.controls.no_proofs.store(false, Ordering::SeqCst);
        for each in all {
            assert_eq!(each.await.unwrap(), Waited::Look);
        }
        assert_eq!(waiting(&world.cache), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_gives_up_leaves_nothing_behind() {
        let world = World::new().await;
        world.controls.no_proofs.store(true, Ordering::SeqCst);
        let (gone, stays) = (tokio::spawn(wait(&world.cache)), tokio::spawn(wait(&world.cache)));
        until("both wait", || waiting(&world.cache) == 2).await;
        gone.abort();
        until("one waits", || waiting(&world.cache) == 1).await;
        world.controls.no_proofs.store(false, Ordering::SeqCst);
        assert_eq!(stays.await.unwrap(), Waited::Look);
        let shared = &world.cache.inner.shared;
        assert_eq!(shared.waiting_for_proof.load(Ordering::SeqCst), 0, "places are given back");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_waits_for_a_cache_that_is_gone() {
        let world = World::new().await;
        world.controls.no_proofs.store(true, Ordering::SeqCst);
        let wait = wait(&world.cache);
        let earlier = tokio::spawn(super::super::wait::for_proof(&world.cache.inner.shared, Duration::MAX));
        until("it waits", || waiting(&world.cache) == 1).await;
        drop(world);
        assert!(matches!(earlier.await.unwrap(), Waited::InVain(_)));
        assert!(matches!(wait.await, Waited::InVain(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_the_limit() {
        let store = crate::MemoryStore::new().unwrap();
        let limit = Duration::from_secs(7);
        let cache = SecretCache::builder(store).wait_limit(limit).build().unwrap();
        assert!(cache.ready().await);
        for pause in [0, 3, 10] {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            let first = tokio::spawn(super::super::wait::for_proof(&cache.inner.shared, Duration::MAX));
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let second = super::super::wait::for_proof(&cache.inner.shared, Duration::MAX);
            assert!(matches!(second.await, Waited::InVain(_)));
            let waited = begun.elapsed().as_secs();
            assert_eq!(waited, 9, "two seconds, and then the limit");
            assert!(first.is_finished());
        }
    }
}
