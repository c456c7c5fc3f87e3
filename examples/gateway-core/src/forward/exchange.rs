//! What the two bodies of one exchange and the wait for its response share, and how they are ended together.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::ForwardError;

/// Why the request body was cut short. The upstream's client only reports that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    TooLarge,
    ClientGone,
    ClientSilent,
}

/// A part of an exchange that can be ended from outside.
pub(super) trait End: Send + Sync {
    fn end(&self);
}

/// What ends an exchange early. Given up with the exchange.
pub struct Ending(Box<dyn FnOnce(EndNow) -> Hold + Send>);

/// Ends an exchange.
pub struct EndNow(Ended);

enum Ended {
    Exchange(Weak<Exchange>),
    Waiter(oneshot::Sender<()>),
}

impl EndNow {
    /// Ends it, if it is not over.
    pub fn end(self) {
        match self.0 {
            Ended::Exchange(exchange) => {
                if let Some(exchange) = exchange.upgrade() {
                    exchange.end();
                }
            }
            Ended::Waiter(waiter) => {
                let _ = waiter.send(());
            }
        }
    }
}

impl fmt::Debug for EndNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndNow(…)")
    }
}

/// Whatever must be held for an ending to come.
type Hold = Box<dyn Send + Sync>;

impl Ending {
    /// By what arranges for its argument to be used, at once if need be, as long as what it returns is held.
    pub fn by<H: Send + Sync + 'static>(arrange: impl FnOnce(EndNow) -> H + Send + 'static) -> Self {
        Self(Box::new(|end| Box::new(arrange(end))))
    }

    /// When this resolves, in a task of its own.
    pub fn when(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::by(|end| {
            let done = CancellationToken::new();
            let hold = done.clone().drop_guard();
            tokio::spawn(async move {
                if done.run_until_cancelled(future).await.is_some() {
                    end.end();
                }
            });
            hold
        })
    }

    pub(crate) async fn has_come(self) {
        let (end, come) = oneshot::channel();
        let hold = (self.0)(EndNow(Ended::Waiter(end)));
        let _ = come.await;
        drop(hold);
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending(…)")
    }
}

pub(super) struct Exchange {
    state: Mutex<State>,
    /// Cancelled when the exchange is ended, for what can be cancelled.
    ended: CancellationToken,
    /// For as long as a part of the exchange is there.
    hold: OnceLock<Hold>,
    /// Among those that may be under way.
    _place: Option<OwnedSemaphorePermit>,
}

struct State {
    ended: bool,
    fault: Option<Fault>,
    /// When the request body last moved.
    moved: Instant,
    /// The upstream wants more of the request body and the client has not sent it yet.
    waiting_for_client: bool,
    parts: Vec<Weak<dyn End>>,
}

impl Exchange {
    /// Starts an exchange that is ended when `ending` has come, polled or not: a body that waits for a
    /// peer that has stopped reading is not polled.
    pub(super) fn start(ending: Option<Ending>, place: Option<OwnedSemaphorePermit>) -> Arc<Self> {
        let exchange = Arc::new(Self {
            state: Mutex::new(State {
                ended: false,
                fault: None,
                moved: Instant::now(),
                waiting_for_client: false,
                parts: Vec::new(),
            }),
            ended: CancellationToken::new(),
            hold: OnceLock::new(),
            _place: place,
        });
        if let Some(Ending(arrange)) = ending {
            let hold = arrange(EndNow(Ended::Exchange(Arc::downgrade(&exchange))));
            let _ = exchange.hold.set(hold);
        }
        exchange
    }

    /// Adds a part; if the exchange is over already, the part is ended at once.
    pub(super) fn add(&self, part: Weak<dyn End>) {
        let mut state = self.state();
        if state.ended {
            drop(state);
            end(&part);
        } else {
            state.parts.push(part);
        }
    }

    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        let parts = std::mem::take(&mut state.parts);
        drop(state);
        self.ended.cancel();
        parts.iter().for_each(end);
    }

    /// Is cancelled when the exchange is ended.
    pub(super) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Notes the first fault.
    pub(super) fn fault(&self, fault: Fault) {
        self.state().fault.get_or_insert(fault);
    }

    pub(super) fn request_body_moved(&self) {
        let mut state = self.state();
        state.moved = Instant::now();
        state.waiting_for_client = false;
    }

    pub(super) fn request_body_waits(&self) {
        self.state().waiting_for_client = true;
    }

    /// Completes when the upstream has been silent for `limit` since the request body last moved.
    pub(super) async fn upstream_silent_for(&self, limit: Duration) {
        loop {
            let (moved, waiting) = {
                let state = self.state();
                (state.moved, state.waiting_for_client)
            };
            let now = Instant::now();
            let deadline = if waiting { now + limit } else { moved + limit };
            if deadline <= now {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    /// The error to report instead of what the upstream's client said, if the cause was on this side.
    pub(super) fn own_error(&self) -> Option<ForwardError> {
        let state = self.state();
        if state.ended {
            return Some(ForwardError::ended());
        }
        state.fault.map(|fault| match fault {
            Fault::TooLarge => ForwardError::too_large(),
            Fault::ClientGone => {
                ForwardError::invalid("The request body ended early; send it again in full.")
            }
            Fault::ClientSilent => {
                ForwardError::invalid("The request body stopped arriving; send it again without long pauses.")
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(part: &Weak<dyn End>) {
    if let Some(part) = part.upgrade() {
        part.end();
    }
}
