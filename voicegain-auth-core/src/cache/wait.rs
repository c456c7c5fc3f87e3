//! Waiting, always bounded: in time, and in how many may do so.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Shared;
use super::load::{self, Outcome};
use super::waiters::ForProof;
use crate::ids::WebConfigId;
use crate::store::Revision;

/// How many requests may wait at once for a proof, and as many for a look-up, so that made-up tokens do not take the places
/// of good ones (rules C6, C7); beyond that they are told to come again.
const MAX_WAITING: usize = 4_096;
/// How long a change made here waits for the feed to apply it.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Look again.
    Look,
    /// No: the store failed or took too long, or too many were waiting.
    InVain(&'static str),
}

/// Any executor can poll it: what needs a runtime waits on the cache's own.
#[derive(Debug)]
pub(crate) enum Waiting {
    Task(JoinHandle<Waited>),
    Proof(ForProof),
    InVain(&'static str),
}

impl Future for Waiting {
    type Output = Waited;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited> {
        match self.get_mut() {
            Self::Task(task) => Pin::new(task)
                .poll(cx)
                .map(|ended| ended.unwrap_or(Waited::InVain("the runtime is shutting down"))),
            Self::Proof(waiter) => Pin::new(waiter).poll(cx),
            Self::InVain(why) => Poll::Ready(Waited::InVain(why)),
        }
    }
}

/// Which of the counters.
type Queue = fn(&Shared) -> &AtomicUsize;

/// A request that waits; counted until it is dropped.
pub(super) struct Place(Arc<Shared>, Queue);

impl Place {
    fn take(shared: &Arc<Shared>, queue: Queue) -> Option<Self> {
        let place = Self(Arc::clone(shared), queue);
        // One too many is counted for a moment, until the place is dropped again.
        (queue(shared).fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

const CROWDED: Waiting = Waiting::InVain("too many requests are waiting");

fn wait(place: Place, future: impl Future<Output = Waited> + Send + 'static) -> Waiting {
    let shared = Arc::clone(&place.0);
    let limit = shared.wait_limit;
    Waiting::Task(shared.runtime.spawn(async move {
        let _place = place;
        timeout(limit, future).await.unwrap_or(Waited::InVain("the store did not answer in time"))
    }))
}

pub(super) fn for_proof(shared: &Arc<Shared>, since: Duration) -> Waiting {
    let Some(place) = Place::take(shared, |shared| &shared.waiting_for_proof) else { return CROWDED };
    shared.wanted.notify_one();
    Waiting::Proof(ForProof::new(place, since))
}

/// Waits for a proof asked for from now on, however many attempts fail before.
pub(super) fn until_ready(shared: &Arc<Shared>) -> Waiting {
    let Some(place) = Place::take(shared, |shared| &shared.waiting_for_proof) else { return CROWDED };
    let mut status = shared.status.subscribe();
    let since = shared.clock.read().boot;
    shared.wanted.notify_one();
    wait(place, async move {
        match status.wait_for(|status| status.proved >= since).await {
            Ok(_) => Waited::Look,
            Err(_) => Waited::InVain("the change feed has ended"),
        }
    })
}

pub(super) fn for_record(shared: &Arc<Shared>, id: WebConfigId) -> Waiting {
    // First the place: a look-up that nobody waits for must not be begun.
    let Some(place) = Place::take(shared, |shared| &shared.waiting_for_record) else { return CROWDED };
    let Some(mut outcome) = load::join(shared, id) else {
        return Waiting::InVain("the last look-up of this web config failed just now");
    };
    wait(place, async move {
        match outcome.wait_for(Option::is_some).await.map(|outcome| *outcome) {
            Ok(Some(Outcome::Look)) => Waited::Look,
            _ => Waited::InVain("the web config could not be loaded"),
        }
    })
}

/// Waits until the feed has applied this revision, or has found out that the log does not lead there, or has failed to.
pub(super) async fn caught_up(shared: &Shared, revision: Revision) {
    let mut status = shared.status.subscribe();
    let since = shared.clock.read().boot;
    shared.wanted.notify_one();
    let _ = status
        .wait_for(|status| status.applied >= revision || status.proved >= since || status.failed >= since)
        .await;
}

/// Waits until the feed has applied this revision.
async fn applied(shared: &Shared, revision: Revision) {
    let mut status = shared.status.subscribe();
    shared.changed_here.notify_one();
    let _ = status.wait_for(|status| status.applied >= revision).await;
}

pub(super) async fn for_revision(shared: &Arc<Shared>, revision: Revision) {
    let task = {
        let shared = Arc::clone(shared);
        async move { timeout(SETTLE_LIMIT, applied(&shared, revision)).await.is_ok() }
    };
    let _ = shared.runtime.spawn(task).await;
}
