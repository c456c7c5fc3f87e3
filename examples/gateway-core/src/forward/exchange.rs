//! What the two bodies of one exchange and the wait for its response share, and how they are ended together.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

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

/// Resolves when an exchange must end. Dropped with the exchange.
pub struct Ending(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Ending {
    /// When this resolves.
    pub fn when(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }

    pub(crate) async fn has_come(self) {
        self.0.await;
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
    /// Cancelled when the last part of the exchange is dropped.
    _done: DropGuard,
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
    pub(super) fn start(ending: Option<Ending>) -> Arc<Self> {
        let done = CancellationToken::new();
        let exchange = Arc::new(Self {
            state: Mutex::new(State {
                ended: false,
                fault: None,
                moved: Instant::now(),
                waiting_for_client: false,
                parts: Vec::new(),
            }),
            ended: CancellationToken::new(),
            _done: done.clone().drop_guard(),
        });
        if let Some(ending) = ending {
            let exchange = Arc::downgrade(&exchange);
            // The only task that a request costs, besides its connection's.
            tokio::spawn(async move {
                if done.run_until_cancelled(ending.has_come()).await.is_some()
                    && let Some(exchange) = exchange.upgrade()
                {
                    exchange.end();
                }
            });
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
