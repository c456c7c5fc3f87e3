//! The last refusals, for whoever is asked why: each explained when it was made, and without its token.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::explanation::Explanation;
use crate::request_id::RequestId;

/// A request that was refused.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecentRefusal {
    /// Its id, if it was given one.
    pub request: Option<RequestId>,
    /// When it was refused, as time since the Unix epoch.
    pub at: Duration,
    /// Its method and its path, shortened, without query, and without what looks like a token.
    pub target: String,
    /// Why.
    pub explanation: Explanation,
}

/// Keeps as many as it was told to; of those that come too quickly not every one, for explaining costs more than refusing.
#[derive(Debug)]
pub(super) struct Recent {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    refusals: VecDeque<RecentRefusal>,
    /// The second that is counted, on the boot clock, and how many were kept in it.
    second: u64,
    count: u32,
}

impl Recent {
    const A_SECOND: u32 = 50;

    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, kept: Mutex::default() }
    }

    /// Whether one more may be explained now, on the boot clock.
    pub(super) fn has_room(&self, now: Duration) -> bool {
        if self.capacity == 0 {
            return false;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.second != now.as_secs() {
            (kept.second, kept.count) = (now.as_secs(), 0);
        }
        kept.count = kept.count.saturating_add(1);
        kept.count <= Self::A_SECOND
    }

    pub(super) fn keep(&self, refusal: RecentRefusal) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.refusals.len() >= self.capacity {
            kept.refusals.pop_front();
        }
        kept.refusals.push_back(refusal);
    }

    /// The newest first.
    pub(super) fn list(&self) -> Vec<RecentRefusal> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.refusals.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_few_are_explained_each_second() {
        let recent = Recent::new(10);
        let of_a_second = |second| (0..500).filter(|_| recent.has_room(Duration::from_secs(second))).count();
        assert_eq!((of_a_second(7), of_a_second(8)), (50, 50));
        assert!(!Recent::new(0).has_room(Duration::ZERO), "nothing is explained that nobody keeps");
    }
}
