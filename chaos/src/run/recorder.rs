//! Everything that happens, on one clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use simulation::history::{Event, History, Time};

/// Where it is kept.
#[derive(Debug)]
pub struct Recorder {
    begun: Instant,
    events: Mutex<Vec<Event>>,
    next: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { begun: Instant::now(), events: Mutex::default(), next: AtomicU64::new(1) }
    }
}

impl Recorder {
    /// Now, in nanoseconds since the beginning.
    pub fn now(&self) -> Time {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A number that was not given before, for a change or a secret.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Keeps this.
    pub fn push(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// All of it.
    pub fn history(&self) -> History {
        History { events: std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner)) }
    }
}
