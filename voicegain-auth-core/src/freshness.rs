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

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::clock::Reading;
use crate::ids::{AccountId, ContextId, WebConfigId};
use crate::store::{Change, EntryId, Living, LivingPage, LogEntry, LogPosition, Revision, Scope};
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
    #[inline]
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
    /// Its generation as of that change, which a log that is read again may have below the highest.
    generation: Generation,
    /// The highest generation ever seen, in any epoch.
    highest: Generation,
    /// Whether the web config was seen deleted at that generation.
    ended: bool,
    /// Of the secret of that generation, if this process has seen it.
    fingerprint: Option<Fingerprint>,
    /// Whose it is, as of the last change known.
    owner: Owner,
}

/// A context, by its number in [`Owners`].
type Owner = u32;

/// The contexts whose web configs are known, each held once however many web configs it has.
#[derive(Debug, Clone, Default)]
struct Owners(HashMap<(AccountId, ContextId), Owner>);

impl Owners {
    fn number(&mut self, account_id: &AccountId, context_id: &ContextId) -> Owner {
        // Contexts are never forgotten, so that their count is the next free number.
        let next = Owner::try_from(self.0.len()).unwrap_or(Owner::MAX);
        *self.0.entry((account_id.clone(), context_id.clone())).or_insert(next)
    }

    /// The two ids as they are held here.
    fn held(&self, account_id: &AccountId, context_id: &ContextId) -> Option<(AccountId, ContextId)> {
        self.0.get_key_value(&(account_id.clone(), context_id.clone())).map(|(ids, _)| ids.clone())
    }

    fn covered_by(&self, scope: &Scope) -> HashSet<Owner> {
        let covered = self.0.iter().filter(|((account, context), _)| scope.covers(account, context));
        covered.map(|(_, owner)| *owner).collect()
    }
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
#[derive(Debug, Clone)]
struct Listing {
    /// The lowest head of its pages, which is where it began unless a later page came from a server that lags: the log is
    /// followed from there afterwards.
    start: LogPosition,
    after: Option<WebConfigId>,
    /// The heads of its pages: the log must lead past each, or a page was of another branch.
    heads: Vec<LogPosition>,
}

#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    epoch: u64,
    /// The last log entry known; `None` until the living web configs have been listed.
    applied: Option<LogPosition>,
    listing: Option<Listing>,
    /// The heads that the listing has seen and the log has not led to yet.
    unconfirmed: Vec<LogPosition>,
    known: HashMap<WebConfigId, Known>,
    /// How many of them live in this epoch.
    living: usize,
    owners: Owners,
    proof: Option<Proof>,
}

impl Freshness {
    pub(crate) fn new() -> Self {
        Self {
            epoch: 1,
            applied: None,
            listing: None,
            unconfirmed: Vec::new(),
            known: HashMap::new(),
            living: 0,
            owners: Owners::default(),
            proof: None,
        }
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
        self.living
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
            self.list(living);
        }
        let listing =
            self.listing.get_or_insert(Listing { start: page.head, after: None, heads: Vec::new() });
        listing.after = page.next;
        if !listing.heads.contains(&page.head) {
            listing.heads.push(page.head);
        }
        if page.head.revision < listing.start.revision {
            listing.start = page.head;
        }
        if page.next.is_none() {
            let start = listing.start;
            self.applied = Some(start);
            self.unconfirmed = std::mem::take(&mut listing.heads);
            self.unconfirmed.retain(|head| *head != start);
            self.listing = None;
        }
    }

    fn list(&mut self, living: &Living) {
        let Living { id, position, generation, account_id, context_id } = living;
        self.lives(*id, *position, *generation, account_id, context_id);
    }

    fn lives(
        &mut self,
        id: WebConfigId,
        position: LogPosition,
        generation: Generation,
        account_id: &AccountId,
        context_id: &ContextId,
    ) {
        let owner = self.owners.number(account_id, context_id);
        let known = self.known_mut(id);
        let lived = std::mem::replace(&mut known.living, true);
        known.position = position;
        known.owner = owner;
        known.generation = generation;
        known.note_generation(generation);
        self.living = self.living.saturating_add(usize::from(!lived));
    }

    /// Takes log entries that follow the last one known. The log's word replaces whatever else was known. Answers which
    /// web configs they changed.
    ///
    /// Cached records of those that are no longer [current](Self::is_current) must go before [`prove`](Self::prove) is
    /// called.
    pub(crate) fn apply(&mut self, entries: &[LogEntry]) -> Vec<WebConfigId> {
        let mut changed = Vec::with_capacity(entries.len());
        for LogEntry { position, change } in entries {
            self.applied = Some(*position);
            self.unconfirmed.retain(|head| head != position);
            match change {
                Change::Put { id, generation, account_id, context_id } => {
                    self.lives(*id, *position, *generation, account_id, context_id);
                    changed.push(*id);
                }
                Change::Deleted { id, generation } => {
                    let known = self.known_mut(*id);
                    let lived = std::mem::replace(&mut known.living, false);
                    known.position = *position;
                    known.note_end(*generation);
                    self.living = self.living.saturating_sub(usize::from(lived));
                    changed.push(*id);
                }
                Change::Ended(scope) => self.end(*position, scope, &mut changed),
            }
        }
        changed
    }

    /// Everything of this scope that lives has ended, but for what is known from after this entry already. Walks all that is known: a bulk end is rare, and an index of every
    /// context's web configs would be carried by every process for it.
    fn end(&mut self, position: LogPosition, scope: &Scope, changed: &mut Vec<WebConfigId>) {
        let owners = self.owners.covered_by(scope);
        for (id, known) in &mut self.known {
            let lived =
                known.epoch == self.epoch && known.living && known.position.revision < position.revision;
            if lived && owners.contains(&known.owner) {
                known.position = position;
                known.living = false;
                known.note_end(known.generation);
                self.living = self.living.saturating_sub(1);
                changed.push(*id);
            }
        }
    }

    /// Takes it that the log's head is the last entry applied, as of a read asked for at `asked`. No proof comes of it if
    /// the log has not led to where the listing had been: then everything must be [distrusted](Self::distrust).
    pub(crate) fn prove(&mut self, asked: Reading) -> Option<Proof> {
        if !self.unconfirmed.is_empty() {
            return None;
        }
        if self.proof.is_none() {
            // The first of this epoch: what was known before and is not there now has ended meanwhile, and a store that
            // shows it again as it was went back in time.
            for known in self.known.values_mut().filter(|known| known.epoch != self.epoch) {
                known.ended = true;
            }
        }
        self.proof = Some(Proof { asked });
        self.proof
    }

    /// The log no longer holds the last entry known: distrust everything (rule C4).
    pub(crate) fn distrust(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.applied = None;
        self.listing = None;
        self.unconfirmed.clear();
        self.living = 0;
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

    /// The contexts that are known, and how many of the web configs of each live. Walks all that is known, as a bulk end does.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = (&AccountId, &ContextId, usize)> {
        let mut counts: HashMap<Owner, usize> = HashMap::new();
        for known in self.known.values().filter(|known| known.epoch == self.epoch && known.living) {
            let count = counts.entry(known.owner).or_default();
            *count = count.saturating_add(1);
        }
        let counted = move |owner: &Owner| counts.get(owner).copied().unwrap_or_default();
        self.owners.0.iter().map(move |((account, context), owner)| (account, context, counted(owner)))
    }

    /// A context's ids as they are held here, so that records need no copies of their own. `None`: it is not known.
    pub(crate) fn held(
        &self,
        account_id: &AccountId,
        context_id: &ContextId,
    ) -> Option<(AccountId, ContextId)> {
        self.owners.held(account_id, context_id)
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
            generation: Generation::new(0),
            highest: Generation::new(0),
            ended: false,
            fingerprint: None,
            owner: 0,
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
