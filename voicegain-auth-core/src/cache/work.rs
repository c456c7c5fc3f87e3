//! What was asked of the store, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a cache has asked of its store since it was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreWork {
    /// Look-ups that found a web config.
    pub found: u64,
    /// Look-ups of one that does not live.
    pub absent: u64,
    /// Look-ups that failed.
    pub failed: u64,
    /// Proofs of freshness.
    pub proved: u64,
    /// Attempts at one that failed.
    pub unproved: u64,
}

/// Counted by look-ups and the feed, never by a request.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) found: Count,
    pub(super) absent: Count,
    pub(super) failed: Count,
    pub(super) proved: Count,
    pub(super) unproved: Count,
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(super) fn read(&self) -> StoreWork {
        let Self { found, absent, failed, proved, unproved } = self;
        StoreWork {
            found: found.get(),
            absent: absent.get(),
            failed: failed.get(),
            proved: proved.get(),
            unproved: unproved.get(),
        }
    }
}
