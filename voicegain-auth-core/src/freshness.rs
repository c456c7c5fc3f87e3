//! What may be believed about a cached record: a machine without I/O.
//!
//! It knows the log up to one position, which web configs live there and at which revision, and the highest generation
//! this process has ever seen of each. The shell around it ([`crate::cache`]) reads the store and the clocks, and does as
//! it is told:
//!
//! - one proof of freshness vouches for every cached record that matches what is known here (rule C5);
//! - a record that was read from the store is kept only if [`judge`](Freshness::judge) says so (rule C3);
//! - what is known comes from the log alone, entry by entry, each following the one before: a record counts only if the
//!   very entry that made it was applied here, so that nothing from a store's lost branch is kept;
//! - when the log no longer holds the last entry known, everything is distrusted and the known set is read anew
//!   (rule C4); only the highest generations survive that, so that a store that went back in time is found out.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Reading;
use crate::ids::WebConfigId;
use crate::store::{Change, EntryId, Living, LivingPage, LogEntry, LogPosition, Revision};
use crate::web_config::Generation;

/// By how much the wall clock may run ahead of the other one before a proof is void (rule C1).
const WALL_CLOCK_SLACK: Duration = Duration::from_secs(1);

/// Tells two secrets of the same generation apart without holding them.
pub(crate) type Fingerprint = [u8; 8];

/// "At this moment the log's head was where we are": counted from before it was asked for (rule C1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) asked: Reading,
}

impl Proof {
    /// Whether a decision made now may rely on it.
    pub(crate) fn holds(&self, now: Reading, bound: Duration) -> bool {
        let Some(age) = now.boot.checked_sub(self.asked.boot) else { return false };
        // A wall clock that went back says nothing; one that ran ahead may have seen a pause the other clock has not.
        let wall = now.wall.saturating_sub(self.asked.wall);
        age <= bound && wall <= age.saturating_add(WALL_CLOCK_SLACK)
    }
}

/// What is known of one web config.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// In which epoch `position` and `living` were learned; they mean nothing in another.
    epoch: u64,
    /// The last change known.
    position: LogPosition,
    /// Whether it lives as of that change.
    living: bool,
    /// The highest generation ever seen, in any epoch.
    highest: Generation,
    /// Whether the web config was seen deleted at that generation.
    ended: bool,
    /// Of the secret of that generation, if this process has seen it.
    fingerprint: Option<Fingerprint>,
}

impl Known {
    fn note_generation(&mut self, generation: Generation) {
        if generation > self.highest {
            self.highest = generation;
            self.ended = false;
            self.fingerprint = None;
        }
    }

    fn note_end(&mut self, generation: Generation) {
        self.note_generation(generation);
        self.ended |= generation == self.highest;
    }

    /// Whether a record shows less than was seen already (rule C3).
    fn is_above(&self, record: &Loaded) -> bool {
        record.generation < self.highest
            || (record.generation == self.highest
                && (self.ended || self.fingerprint.is_some_and(|seen| seen != record.fingerprint)))
    }
}

/// What the feed should read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The page of living web configs after this one.
    List { after: Option<WebConfigId> },
    /// The log after this entry.
    Follow { after: LogPosition },
}

/// A look-up that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadTicket {
    epoch: u64,
    applied: Revision,
}

/// What a look-up found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) position: LogPosition,
    pub(crate) generation: Generation,
    pub(crate) fingerprint: Fingerprint,
}

/// Whether a web config lives, as far as is known (rule C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Lives,
    NotThere,
    /// The known set is being read, or has been read anew since whoever asks looked.
    Unknown,
}

/// What to do with what a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is current: keep it, in this epoch.
    Keep { epoch: u64 },
    /// There is no such web config, and none is known.
    Absent,
    /// A change came between; ask again once the feed has applied this revision.
    Again { after: Revision },
    /// The store answered from behind what the feed has seen: a lagging replica.
    Behind,
    /// The store shows less than was seen before: it went back in time.
    WentBack,
}

/// A listing under way.
#[derive(Debug)]
struct Listing {
    /// The log's head when it began; the log is followed from there afterwards.
    start: LogPosition,
    after: Option<WebConfigId>,
    /// The newest head of its pages: the log must lead there, or a page was of another branch.
    newest: LogPosition,
}

#[derive(Debug)]
pub(crate) struct Freshness {
    epoch: u64,
    /// The last log entry known; `None` until the living web configs have been listed.
    applied: Option<LogPosition>,
    listing: Option<Listing>,
    /// The newest head that the listing has seen and the log has not led to yet.
    unconfirmed: Option<LogPosition>,
    known: HashMap<WebConfigId, Known>,
    proof: Option<Proof>,
}

impl Freshness {
    pub(crate) fn new() -> Self {
        Self { epoch: 1, applied: None, listing: None, unconfirmed: None, known: HashMap::new(), proof: None }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn applied(&self) -> Option<Revision> {
        self.applied.map(|position| position.revision)
    }

    pub(crate) fn proof(&self) -> Option<Proof> {
        self.proof
    }

    /// How many web configs live, as far as is known.
    pub(crate) fn living_count(&self) -> usize {
        self.known.values().filter(|known| known.epoch == self.epoch && known.living).count()
    }

    /// Whether this web config lives as of the last entry applied, for somebody who looked in this epoch (rule C6).
    pub(crate) fn life(&self, id: WebConfigId, epoch: u64) -> Life {
        if self.applied.is_none() || self.epoch != epoch {
            return Life::Unknown;
        }
        if self.current(id).is_some_and(|known| known.living) { Life::Lives } else { Life::NotThere }
    }

    /// Whether the entry that made a cached record is the last one known of its web config.
    pub(crate) fn is_current(&self, id: WebConfigId, position: LogPosition) -> bool {
        self.current(id).is_some_and(|known| known.living && known.position == position)
    }

    /// Whether a token of this generation, verified in this epoch, is still the web config's newest (rule C8). In a later
    /// epoch it counts as ended: nothing that was known then is known to hold.
    pub(crate) fn stands(&self, id: WebConfigId, generation: Generation, epoch: u64) -> bool {
        let newest = |known: &Known| known.living && known.highest == generation;
        self.epoch == epoch && self.current(id).is_some_and(newest)
    }

    fn current(&self, id: WebConfigId) -> Option<&Known> {
        self.known.get(&id).filter(|known| known.epoch == self.epoch)
    }

    /// What to read next.
    pub(crate) fn plan(&self) -> Plan {
        match (self.applied, &self.listing) {
            (Some(after), _) => Plan::Follow { after },
            (None, Some(listing)) => Plan::List { after: listing.after },
            (None, None) => Plan::List { after: None },
        }
    }

    /// Takes a page of living web configs.
    pub(crate) fn listed(&mut self, page: &LivingPage) {
        for living in &page.living {
            self.list(*living);
        }
        let listing =
            self.listing.get_or_insert(Listing { start: page.head, after: None, newest: page.head });
        listing.after = page.living.last().map(|living| living.id);
        if page.head.revision >= listing.newest.revision {
            listing.newest = page.head;
        }
        if !page.more {
            self.applied = Some(listing.start);
            self.unconfirmed = Some(listing.newest).filter(|newest| *newest != listing.start);
            self.listing = None;
        }
    }

    fn list(&mut self, living: Living) {
        let known = self.known_mut(living.id);
        known.position = living.position;
        known.living = true;
        known.note_generation(living.generation);
    }

    /// Takes log entries that follow the last one known. The log's word replaces whatever else was known.
    ///
    /// Cached records that are no longer [current](Self::is_current) must go before [`prove`](Self::prove) is called.
    pub(crate) fn apply(&mut self, entries: &[LogEntry]) {
        for entry in entries {
            self.applied = Some(entry.position);
            self.unconfirmed = self.unconfirmed.filter(|newest| *newest != entry.position);
            let known = self.known_mut(entry.id);
            known.position = entry.position;
            match entry.change {
                Change::Put(generation) => {
                    known.living = true;
                    known.note_generation(generation);
                }
                Change::Deleted(generation) => {
                    known.living = false;
                    known.note_end(generation);
                }
            }
        }
    }

    /// Takes it that the log's head is the last entry applied, as of a read asked for at `asked`. No proof comes of it if
    /// the log has not led to where the listing had been: then everything must be [distrusted](Self::distrust).
    pub(crate) fn prove(&mut self, asked: Reading) -> Option<Proof> {
        if self.unconfirmed.is_some() {
            return None;
        }
        self.proof = Some(Proof { asked });
        self.proof
    }

    /// The log no longer holds the last entry known: distrust everything (rule C4).
    pub(crate) fn distrust(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.applied = None;
        self.listing = None;
        self.unconfirmed = None;
        self.proof = None;
    }

    /// A read failed. A listing under way must begin again, without what its pages have told already; answers whether there
    /// was one, and so a new epoch.
    pub(crate) fn failed(&mut self) -> bool {
        let listing = self.listing.is_some();
        if listing {
            self.distrust();
        }
        listing
    }

    /// Begins a look-up; `None` while nothing is known yet.
    pub(crate) fn begin_load(&self) -> Option<LoadTicket> {
        Some(LoadTicket { epoch: self.epoch, applied: self.applied?.revision })
    }

    /// Decides about what a look-up found in a snapshot with this head (rule C3).
    pub(crate) fn judge(
        &mut self,
        ticket: LoadTicket,
        id: WebConfigId,
        head: Revision,
        found: Option<Loaded>,
    ) -> Verdict {
        let Some(applied) = self.applied() else { return Verdict::Again { after: head } };
        if ticket.epoch != self.epoch {
            return Verdict::Again { after: applied };
        }
        if head < ticket.applied {
            return Verdict::Behind;
        }
        let known = self.current(id).copied();
        if known.is_some_and(|known| known.position.revision > head) {
            return Verdict::Again { after: applied };
        }
        let living = known.filter(|known| known.living);
        let Some(record) = found else {
            return match living {
                None => Verdict::Absent,
                Some(_) if head > applied => Verdict::Again { after: head },
                Some(_) => Verdict::WentBack,
            };
        };
        let revision = record.position.revision;
        if revision > head || self.known.get(&id).is_some_and(|floor| floor.is_above(&record)) {
            return Verdict::WentBack;
        }
        if living.is_some_and(|known| known.position == record.position) {
            self.known_mut(id).fingerprint = Some(record.fingerprint);
            return Verdict::Keep { epoch: self.epoch };
        }
        // Ahead of the feed: whether the log leads there is for the feed to find out.
        if revision > applied { Verdict::Again { after: head } } else { Verdict::WentBack }
    }

    /// What is known of a web config in this epoch; floors of earlier epochs are kept.
    fn known_mut(&mut self, id: WebConfigId) -> &mut Known {
        let epoch = self.epoch;
        let nowhere = LogPosition { revision: Revision::new(0), entry: EntryId::from_bytes([0; 16]) };
        let known = self.known.entry(id).or_insert(Known {
            epoch,
            position: nowhere,
            living: false,
            highest: Generation::new(0),
            ended: false,
            fingerprint: None,
        });
        if known.epoch != epoch {
            known.epoch = epoch;
            known.position = nowhere;
            known.living = false;
        }
        known
    }
}

#[cfg(test)]
mod tests;
