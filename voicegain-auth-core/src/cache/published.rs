use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::near::Stamp;
use crate::clock::Reading;
use crate::freshness::Proof;

/// The machine's proof and epoch, where the hit path can read them without its lock.
#[derive(Debug)]
pub(super) struct Published {
    /// When the proof was asked for, in nanoseconds of the boot clock; zero: there is none.
    boot: AtomicU64,
    /// By how much the wall clock was ahead of the boot clock then, in nanoseconds.
    offset: AtomicI64,
    epoch: AtomicU64,
    /// Counts rounds of changes, twice each: odd while the feed tells of one.
    changes: AtomicU64,
}

impl Published {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            boot: AtomicU64::new(0),
            offset: AtomicI64::new(0),
            epoch: AtomicU64::new(epoch),
            changes: AtomicU64::new(0),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The last proof. A reader that comes between the two stores of [`prove`](Self::prove) pairs the older time with the
    /// newer offset, which is right: the newer proof was asked for after whatever moved the wall clock.
    pub(super) fn proof(&self) -> Option<Proof> {
        let boot = self.boot.load(Ordering::Acquire);
        let offset = self.offset.load(Ordering::Acquire);
        let wall = boot.checked_add_signed(offset)?;
        let asked = Reading { boot: Duration::from_nanos(boot), wall: Duration::from_nanos(wall) };
        (boot != 0).then_some(Proof { asked })
    }

    pub(super) fn prove(&self, proof: Proof) {
        // Saturating keeps absurd clocks on the safe side: such a proof looks old.
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let boot = nanos(proof.asked.boot);
        self.offset.store(nanos(proof.asked.wall).saturating_sub(boot), Ordering::Release);
        self.boot.store(boot.unsigned_abs(), Ordering::Release);
    }

    /// The feed is about to tell the machine of changes. It alone calls this and [`changed`](Self::changed), and one of it runs
    /// at a time.
    pub(super) fn change(&self) {
        self.changes.fetch_or(1, Ordering::AcqRel);
    }

    /// Whatever was changed has been forgotten.
    pub(super) fn changed(&self) {
        let round = self.changes.load(Ordering::Acquire) | 1;
        self.changes.store(round.wrapping_add(1), Ordering::Release);
    }

    /// Between which changes this is, for somebody who has read this epoch.
    pub(super) fn stamp(&self, epoch: u64) -> Stamp {
        Stamp { epoch, round: self.changes.load(Ordering::Acquire) }
    }

    pub(super) fn distrust(&self, epoch: u64) {
        self.boot.store(0, Ordering::Release);
        self.epoch.store(epoch, Ordering::Release);
    }
}
