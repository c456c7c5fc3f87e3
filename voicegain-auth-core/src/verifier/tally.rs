//! How many decisions were made, and which.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::rejection::{Reason, Rejection};

/// The decisions a [`Verifier`](super::Verifier) has made since it was made itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decisions {
    /// How many requests were let in: with a token, as preflights, and where the policy says so without.
    pub accepted: u64,
    /// How many decisions had to wait for the store.
    pub waited: u64,
    /// How many requests were refused, by reason and cause.
    pub refused: Vec<Refused>,
}

/// How many requests were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// What the client was told.
    pub reason: Reason,
    /// Which of the things that look the same to the client it was (rule V5).
    pub cause: &'static str,
    /// How often.
    pub count: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    accepted: Spread,
    waited: AtomicU64,
    refused: Mutex<Vec<Refused>>,
}

impl Tally {
    pub(super) fn accept(&self) {
        self.accepted.add();
    }

    pub(super) fn wait(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self, rejection: &Rejection) {
        let (reason, cause) = (rejection.reason(), rejection.cause());
        let mut refused = self.refused();
        match refused.iter_mut().find(|known| known.reason == reason && known.cause == cause) {
            Some(known) => known.count = known.count.saturating_add(1),
            // There are few causes, and each is a constant of the program.
            None => refused.push(Refused { reason, cause, count: 1 }),
        }
    }

    pub(super) fn read(&self) -> Decisions {
        let (accepted, waited) = (self.accepted.sum(), self.waited.load(Ordering::Relaxed));
        Decisions { accepted, waited, refused: self.refused().clone() }
    }

    fn refused(&self) -> MutexGuard<'_, Vec<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count in several places, so that threads which count at the same time do not wait for each other's cache line: that
/// would cost as much as the decision that is counted.
#[derive(Debug, Default)]
struct Spread {
    places: [Place; 16],
}

/// On cache lines of its own; processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(AtomicU64);

impl Spread {
    fn add(&self) {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static OWN: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let own = OWN.get().unwrap_or_else(|| {
            let own = THREADS.fetch_add(1, Ordering::Relaxed);
            OWN.set(Some(own));
            own
        });
        if let Some(Place(count)) = self.places.get(own % self.places.len()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sum(&self) -> u64 {
        self.places.iter().fold(0, |sum, Place(count)| sum.saturating_add(count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_is_summed_up() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..1_000).for_each(|_| tally.accept()));
            }
        });
        tally.wait();
        assert_eq!(tally.read(), Decisions { accepted: 40_000, waited: 1, refused: Vec::new() });
    }

    #[test]
    fn v5_refusals_are_counted_by_reason_and_cause() {
        let tally = Tally::default();
        let invalid = |cause| Rejection::new(Reason::InvalidToken, "d").because(cause);
        for rejection in [invalid("b"), invalid("a"), Rejection::missing_token(), invalid("b")] {
            tally.refuse(&rejection);
        }
        let counts: Vec<_> =
            tally.read().refused.iter().map(|it| (it.reason.as_str(), it.cause, it.count)).collect();
        assert_eq!(
            counts,
            [("invalid_token", "b", 2), ("invalid_token", "a", 1), ("missing_token", "missing_token", 1)]
        );
    }
}
