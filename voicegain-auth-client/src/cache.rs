//! The newest token for each request, in memory alone, and one mint at a time for each.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::error::MintError;
use crate::request::TokenRequest;
use crate::short_lived::ShortLivedToken;

/// So many requests are remembered: an audience may come from strangers.
const CAPACITY: usize = 1_000;
/// How long a token that is nearly over is used on before the next attempt, after one has failed.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Cache {
    slots: Mutex<HashMap<TokenRequest, Arc<Slot>>>,
}

impl Cache {
    pub(crate) fn slot(&self, request: &TokenRequest, clock: &Clock) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(request) {
            return Arc::clone(slot);
        }
        if slots.len() >= CAPACITY {
            make_room(&mut slots, clock.now());
        }
        Arc::clone(slots.entry(request.clone()).or_default())
    }
}

/// Drops what is over, and if that is nothing, any one of them: it is then minted once more.
fn make_room(slots: &mut HashMap<TokenRequest, Arc<Slot>>, now: Moment) {
    let lives = |slot: &Slot| slot.current().is_some_and(|token| !token.remaining_at(now).is_zero());
    slots.retain(|_, slot| Arc::strong_count(slot) > 1 || lives(slot));
    if slots.len() >= CAPACITY
        && let Some(any) = slots.keys().next().cloned()
    {
        slots.remove(&any);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("requests", &lock(&self.slots).len()).finish()
    }
}

#[derive(Default)]
pub(crate) struct Slot {
    token: Mutex<Option<ShortLivedToken>>,
    /// Held by whoever mints.
    minting: tokio::sync::Mutex<LastFailure>,
    /// How many mints have ended, well or not.
    ended: AtomicU64,
}

#[derive(Default)]
struct LastFailure(Option<(MintError, Moment)>);

impl Slot {
    pub(crate) fn current(&self) -> Option<ShortLivedToken> {
        lock(&self.token).clone()
    }

    /// The newest token, or the next one, for which one caller asks while the others wait. Those share its failure, too.
    pub(crate) async fn get<F>(&self, clock: &Clock, mint: F) -> Result<ShortLivedToken, MintError>
    where
        F: AsyncFnOnce() -> Result<ShortLivedToken, MintError>,
    {
        let ended = self.ended.load(Ordering::Acquire);
        let good = || self.current().filter(|token| !token.is_nearly_over(clock.now()));
        // One that is nearly over is good until it is: whoever does not mint need not wait.
        let usable = || self.current().filter(|token| !token.remaining_at(clock.now()).is_zero());
        if let Some(token) = good() {
            return Ok(token);
        }
        let mut last = match self.minting.try_lock() {
            Ok(held) => held,
            Err(_) => match usable() {
                Some(token) => return Ok(token),
                None => self.minting.lock().await,
            },
        };
        if let Some(token) = good() {
            return Ok(token);
        }
        // What was waited for, however little of a short life the waiting has left of it.
        if self.ended.load(Ordering::Acquire) != ended
            && let Some(token) = usable()
        {
            return Ok(token);
        }
        if let LastFailure(Some((error, when))) = &*last {
            match usable() {
                Some(token) if when.age(clock.now()) < PAUSE => return Ok(token),
                Some(_) => {}
                None if self.ended.load(Ordering::Acquire) != ended => return Err(error.clone()),
                None => {}
            }
        }
        let outcome = mint().await;
        *last = LastFailure(outcome.as_ref().err().map(|error| (error.clone(), clock.now())));
        let outcome = match outcome {
            Ok(token) => {
                *lock(&self.token) = Some(token.clone());
                Ok(token)
            }
            Err(error) if error.is_temporary() => usable().ok_or(error),
            Err(error) => {
                // Who may not mint has no use for what was minted before: it ended with its secret (rule W3).
                *lock(&self.token) = None;
                Err(error)
            }
        };
        self.ended.fetch_add(1, Ordering::AcqRel);
        outcome
    }

    /// Forgets this token, unless there is another by now.
    pub(crate) fn forget(&self, refused: &ShortLivedToken) {
        let mut token = lock(&self.token);
        if token.as_ref().is_some_and(|token| token.is(refused)) {
            *token = None;
        }
    }
}

/// Nothing is left half done under these locks, whatever has panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
