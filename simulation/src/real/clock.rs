//! Clocks that are the paused runtime's, and what is done to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use voicegain_auth_core::Clock;
use voicegain_auth_core::clock::Reading;

use crate::history::Time;

/// The history's clock: the runtime's, and the time that everything was suspended.
#[derive(Debug, Clone)]
pub(super) struct Universal {
    begun: Instant,
    suspended: Arc<AtomicU64>,
}

impl Universal {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), suspended: Arc::default() }
    }

    pub(super) fn now(&self) -> Time {
        let awake = Instant::now().saturating_duration_since(self.begun);
        // Never near zero: a reading of zero means that there is none.
        1_000_000_000 + awake.as_nanos() as Time + self.suspended.load(Ordering::Relaxed)
    }

    /// Time passes in which no timer runs.
    pub(super) fn suspend(&self, by: Time) {
        self.suspended.fetch_add(by, Ordering::Relaxed);
    }
}

/// One process's clocks.
#[derive(Debug, Clone)]
pub(super) struct Own {
    universal: Universal,
    boot: Arc<AtomicI64>,
    wall: Arc<AtomicI64>,
}

impl Own {
    pub(super) fn new(universal: Universal, boot: i64) -> Self {
        let wall = Arc::new(AtomicI64::new(1_700_000_000_000_000_000));
        Self { universal, boot: Arc::new(AtomicI64::new(boot)), wall }
    }

    pub(super) fn move_boot(&self, by: i64) {
        self.boot.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn move_wall(&self, by: i64) {
        self.wall.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for Own {
    fn read(&self) -> Reading {
        let now = self.universal.now();
        let of = |offset: &AtomicI64| {
            Duration::from_nanos(now.saturating_add_signed(offset.load(Ordering::Relaxed)))
        };
        Reading { boot: of(&self.boot), wall: of(&self.wall) }
    }
}
