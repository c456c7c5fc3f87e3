//! Requests that wait for a proof (rule C7).
//!
//! The feed wakes them, and one task looks to the time for all of them: forged tokens wait here by the thousand, and a task and a
//! timer each would cost more than all the rest of refusing one.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::feed::FeedStatus;
use super::wait::{Place, Waited};

/// Nobody waits for longer, whatever the limit.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Everybody who waits.
#[derive(Default)]
pub(super) struct Waiters {
    list: Mutex<List>,
    /// Somebody has come.
    arrived: Notify,
}

#[derive(Default)]
struct List {
    /// Nobody looks to the time any more.
    closed: bool,
    next: u64,
    waiting: BTreeMap<u64, Waiter>,
}

enum Waiter {
    Waits {
        since: Duration,
        deadline: Instant,
        waker: Waker,
        _place: Place,
    },
    /// It has been woken, and finds here how its waiting ended.
    Over(Waited),
}

impl Waiters {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the waiting of all for whom `over` tells how, given since when they wait and until when they may.
    fn end(&self, over: impl Fn(Duration, Instant) -> Option<Waited>) {
        let mut wakers = Vec::new();
        for waiter in self.list().waiting.values_mut() {
            if let Waiter::Waits { since, deadline, .. } = waiter
                && let Some(waited) = over(*since, *deadline)
                && let Waiter::Waits { waker, .. } = std::mem::replace(waiter, Waiter::Over(waited))
            {
                wakers.push(waker);
            }
        }
        // Not with the list locked: they are another's, and may do anything.
        for waker in wakers {
            if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
                tracing::error!("who waited for a proof could not be woken: the waker panicked");
            }
        }
    }

    /// Tells everybody for whom this decides it.
    pub(super) fn tell(&self, status: &FeedStatus) {
        self.end(|since, _| outcome(status, since));
    }

    fn close(&self) {
        self.list().closed = true;
        self.end(|_, _| Some(SHUT_DOWN));
    }
}

const SHUT_DOWN: Waited = Waited::InVain("the runtime is shutting down");
const TOO_LATE: Waited = Waited::InVain("the store did not answer in time");

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
    shared: Arc<Shared>,
    since: Duration,
    state: State,
}

enum State {
    /// It has not been polled yet.
    New(Place),
    /// It is in the list under this key.
    Listed(u64),
    Done,
}

impl ForProof {
    pub(super) fn new(place: Place, since: Duration) -> Self {
        Self { shared: Arc::clone(place.shared()), since, state: State::New(place) }
    }
}

impl Future for ForProof {
    type Output = Waited;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited> {
        let Self { shared, since, state } = self.get_mut();
        let waker = cx.waker().clone();
        let mut list = shared.waiters.list();
        let other = match std::mem::replace(state, State::Done) {
            State::New(place) => {
                // With the list locked: the feed says what it found before it takes the lock, and then finds this waiter there.
                if let Some(waited) = outcome(&shared.status.borrow(), *since) {
                    return Poll::Ready(waited);
                }
                if list.closed {
                    return Poll::Ready(SHUT_DOWN);
                }
                let deadline = Instant::now() + shared.wait_limit.min(LONGEST);
                let waiter = Waiter::Waits { since: *since, deadline, waker, _place: place };
                shared.waiters.arrived.notify_one();
                let key = list.next;
                list.next += 1;
                list.waiting.insert(key, waiter);
                *state = State::Listed(key);
                return Poll::Pending;
            }
            State::Listed(key) => match list.waiting.get_mut(&key) {
                Some(Waiter::Waits { waker: known, .. }) => {
                    *state = State::Listed(key);
                    std::mem::replace(known, waker)
                }
                Some(&mut Waiter::Over(waited)) => {
                    list.waiting.remove(&key);
                    return Poll::Ready(waited);
                }
                None => return Poll::Ready(SHUT_DOWN),
            },
            State::Done => return Poll::Ready(SHUT_DOWN),
        };
        // Its drop may do anything too.
        drop(list);
        drop(other);
        Poll::Pending
    }
}

impl Drop for ForProof {
    fn drop(&mut self) {
        if let State::Listed(key) = self.state {
            let waiter = self.shared.waiters.list().waiting.remove(&key);
            drop(waiter);
        }
    }
}

impl fmt::Debug for ForProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForProof").field("since", &self.since).finish_non_exhaustive()
    }
}

/// Lets nobody wait any more when nobody looks to the time.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.waiters.close();
    }
}

/// Looks to the time for as long as it is polled; once it is dropped, polled or not, nobody waits any more. All may wait equally
/// long, so that nobody who comes while this sleeps has to be woken earlier than those who were there.
pub(super) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
    let closing = Closing(shared);
    async move {
        let waiters = &closing.0.waiters;
        loop {
            let deadline = |waiter: &Waiter| match waiter {
                Waiter::Waits { deadline, .. } => Some(*deadline),
                Waiter::Over(_) => None,
            };
            let first = waiters.list().waiting.values().filter_map(deadline).min();
            match first {
                Some(deadline) => sleep_until(deadline).await,
                None => waiters.arrived.notified().await,
            }
            let now = Instant::now();
            waiters.end(|_, deadline| (deadline <= now).then_some(TOO_LATE));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::SecretCache;
    use crate::testing::{World, until};

    fn waiting(cache: &SecretCache) -> usize {
        cache.inner.shared.waiters.list().waiting.len()
    }

    fn wait(cache: &SecretCache) -> impl Future<Output = Waited> + use<> {
        let cache = &cache.inner.shared;
        super::super::wait::for_proof(cache, cache.clock.read().boot)
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

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_waits_when_the_runtime_has_gone_before_it_ran_anything() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = crate::MemoryStore::new().unwrap();
        let cache = SecretCache::builder(store).runtime(runtime.handle().clone()).build().unwrap();
        let waits = wait(&cache);
        runtime.shutdown_background();
        assert!(matches!(waits.await, Waited::InVain(_)));
        assert!(matches!(wait(&cache).await, Waited::InVain(_)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_waker_that_panics_keeps_nobody_waiting() {
        struct Panics;
        impl std::task::Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("as the test wants it");
            }
        }
        let world = World::new().await;
        world.controls.no_proofs.store(true, Ordering::SeqCst);
        let mut broken = Box::pin(wait(&world.cache));
        let waker = Waker::from(Arc::new(Panics));
        assert!(broken.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let other = tokio::spawn(wait(&world.cache));
        until("both wait", || waiting(&world.cache) == 2).await;
        let epoch = world.cache.inner.shared.published.epoch();
        world.controls.no_proofs.store(false, Ordering::SeqCst);
        assert_eq!(other.await.unwrap(), Waited::Look);
        assert_eq!(broken.await, Waited::Look, "it finds how it ended when it is polled");
        assert_eq!(world.cache.inner.shared.published.epoch(), epoch, "the feed has gone on");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_place_is_given_back_also_by_who_is_never_polled_again() {
        let world = World::new().await;
        world.controls.no_proofs.store(true, Ordering::SeqCst);
        let mut forgotten = Box::pin(wait(&world.cache));
        assert!(forgotten.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let places = || world.cache.inner.shared.waiting_for_proof.load(Ordering::SeqCst);
        assert_eq!(places(), 1);
        world.controls.no_proofs.store(false, Ordering::SeqCst);
        until("the place is free", || places() == 0).await;
        drop(forgotten);
        assert_eq!(waiting(&world.cache), 0);
    }
}
