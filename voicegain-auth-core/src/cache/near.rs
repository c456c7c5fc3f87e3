//! A few records close at hand, for each thread its own, in front of moka.
//!
//! moka's `get` takes as long as everything else about a long-lived token, and more with several threads on one web config:
//! it keeps its order of eviction, and all threads count references in one place. Here a hit costs a tenth of it, and what
//! is counted is the thread's own. moka stays the owner:
//!
//! - Only what was found there is kept here, and only when it is asked for again, so that web configs in turn leave the
//!   busy ones where they are.
//! - What is kept counts only while the feed tells of no change ([`Stamp`]). From before it tells the machine of one until
//!   it has forgotten what changed, there is no stamp, and moka alone is asked; after that there is another one, and all that
//!   is kept is dropped. So while a stamp lasts every record in moka is the one that the machine knows, and so is what
//!   was found there meanwhile: nobody sees a newer one that this would be older than (rule C3). And the stamp moves before
//!   the proof is published that vouches for the rest, while a reader takes the proof first: it never pairs a record with a
//!   proof that knows better (rule C1).
//! - moka is asked anew now and then, or what is used most here would there seem unused, and be evicted.
//!
//! A thread that decides about nothing more keeps what it has, also a secret that was replaced or one of a cache that is gone,
//! until it ends or does.
//!
//! Each slot has room for one web config. Which slot is its own follows from random numbers of this process, so that nobody
//! can choose ids that push each other out.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::WebConfigId;
use crate::record::Record;

/// How many slots a thread has for each cache, at most.
const SLOTS: u64 = 1_024;
/// How many hits it takes for moka to hear of one.
const HITS_PER_GET: u8 = 64;

/// A record that somebody holds on to.
#[derive(Clone)]
pub(crate) enum Held {
    /// Counted with moka's.
    Cached(Arc<Record>),
    /// Counted by one thread, as long as it is not sent to another.
    Near(Arc<Own>),
}

/// A record under one thread's own count.
pub(crate) struct Own(Arc<Record>);

impl Deref for Held {
    type Target = Record;

    fn deref(&self) -> &Record {
        match self {
            Self::Cached(record) => record,
            Self::Near(own) => &own.0,
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Between which changes a record was found. What was found under one counts for certain only under the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) epoch: u64,
    /// Counts the rounds of changes that the feed has told of, twice each.
    pub(super) round: u64,
}

impl Stamp {
    /// Whether the feed is not telling of changes just then. While such a stamp lasts, what is cached is what the machine knows.
    pub(super) fn is_settled(self) -> bool {
        self.round.is_multiple_of(2)
    }
}

/// What the threads' tables of one cache have in common.
#[derive(Debug)]
pub(super) struct Near {
    /// Which cache it is, of all that this process has had.
    number: u64,
    slots: usize,
    keys: [u64; 2],
    /// Lives as long as the cache: the tables of one that is gone are dropped.
    alive: Arc<()>,
}

thread_local! {
    /// Nearly always there is one cache.
    static TABLES: RefCell<Vec<Table>> = const { RefCell::new(Vec::new()) };
}

/// One thread's records of one cache.
struct Table {
    of: u64,
    alive: std::sync::Weak<()>,
    stamp: Stamp,
    slots: Box<[Slot]>,
}

#[derive(Clone, Default)]
struct Slot {
    /// Of the web config that was last looked for here in vain, mixed.
    missed: u64,
    kept: Option<(WebConfigId, Arc<Own>)>,
    hits: u8,
}

impl Near {
    /// For a cache that holds so many.
    pub(super) fn new(capacity: u64) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let random = RandomState::new();
        // No more in a thread's hands than moka may hold.
        let slots = 1 << capacity.clamp(1, SLOTS).ilog2();
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            slots,
            keys: [random.hash_one(0), random.hash_one(1)],
            alive: Arc::new(()),
        }
    }

    /// A web config's record: from here, or from `cache`, which is moka and is asked after the stamp was read.
    pub(super) fn get(
        &self,
        id: WebConfigId,
        stamp: Stamp,
        cache: impl Fn() -> Option<Arc<Record>>,
    ) -> Option<Held> {
        let mixed = self.mix(id);
        TABLES
            .try_with(|tables| {
                let mut tables = tables.try_borrow_mut().ok()?;
                Some(self.table(&mut tables, stamp)?.get(id, mixed, &cache))
            })
            .ok()
            .flatten()
            // A thread that is ending has no tables any more.
            .unwrap_or_else(|| cache().map(Held::Cached))
    }

    fn mix(&self, id: WebConfigId) -> u64 {
        let [one, other] = self.keys;
        let id = u128::from_ne_bytes(*id.as_bytes());
        let product = u128::from(id as u64 ^ one) * u128::from((id >> 64) as u64 ^ other);
        product as u64 ^ (product >> 64) as u64
    }

    /// This thread's table, with nothing in it that does not count any more.
    fn table<'a>(&self, tables: &'a mut Vec<Table>, stamp: Stamp) -> Option<&'a mut Table> {
        let at = tables.iter().position(|table| table.of == self.number).unwrap_or_else(|| {
            tables.retain(|table| table.alive.strong_count() > 0);
            let slots = vec![Slot::default(); self.slots].into();
            tables.push(Table { of: self.number, alive: Arc::downgrade(&self.alive), stamp, slots });
            tables.len() - 1
        });
        let table = tables.get_mut(at)?;
        if table.stamp != stamp {
            table.stamp = stamp;
            for slot in &mut table.slots {
                slot.kept = None;
            }
        }
        Some(table)
    }
}

impl Table {
    fn get(&mut self, id: WebConfigId, mixed: u64, cache: impl Fn() -> Option<Arc<Record>>) -> Option<Held> {
        let at = mixed as usize & self.slots.len().wrapping_sub(1);
        let Some(slot) = self.slots.get_mut(at) else { return cache().map(Held::Cached) };
        if let Some((kept, record)) = &slot.kept
            && *kept == id
        {
            slot.hits = slot.hits.wrapping_add(1);
            if slot.hits % HITS_PER_GET != 0 {
                return Some(Held::Near(Arc::clone(record)));
            }
            let in_cache = cache();
            if in_cache.as_ref().is_some_and(|in_cache| Arc::ptr_eq(in_cache, &record.0)) {
                return Some(Held::Near(Arc::clone(record)));
            }
            // It was evicted, and perhaps loaded anew.
            slot.kept = None;
            return in_cache.map(Held::Cached);
        }
        let record = cache()?;
        if slot.missed != mixed {
            slot.missed = mixed;
            return Some(Held::Cached(record));
        }
        let record = Arc::new(Own(record));
        slot.kept = Some((id, Arc::clone(&record)));
        Some(Held::Near(record))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::Secret;
    use crate::long_lived::LongLivedForm;
    use crate::store::EntryId;
    use crate::web_config::{Generation, StoredWebConfig, WebConfig};

    fn id(byte: u8) -> WebConfigId {
        WebConfigId::from_bytes([byte; 16])
    }

    fn record(byte: u8) -> Arc<Record> {
        let config = WebConfig {
            id: id(byte),
            account_id: "account".parse().unwrap(),
            context_id: "context".parse().unwrap(),
            name: String::new(),
            allowed_origins: Vec::new(),
            generation: Generation::new(1),
            revision: crate::store::Revision::new(1),
            created_at: 0,
            secret_created_at: 0,
        };
        let secret = Secret::from_bytes(&[byte; 32]).unwrap();
        let stored = StoredWebConfig { config, secret, entry: EntryId::from_bytes([0; 16]) };
        Arc::new(Record::prepare(stored, &LongLivedForm::new("https://a.example")))
    }

    /// moka in small: what it holds, and how often it was asked.
    #[derive(Default)]
    struct Behind {
        records: Vec<Arc<Record>>,
        asked: Cell<u32>,
    }

    impl Behind {
        fn get(&self, id: WebConfigId) -> Option<Arc<Record>> {
            self.asked.set(self.asked.get() + 1);
            self.records.iter().find(|record| record.id == id).cloned()
        }

        /// What comes of asking through `near`, and whether this was asked.
        fn through(&self, near: &Near, id: WebConfigId, round: u64) -> (Option<Held>, bool) {
            let before = self.asked.get();
            let held = near.get(id, Stamp { epoch: 1, round }, || self.get(id));
            assert!(held.as_ref().is_none_or(|held| held.id == id));
            (held, self.asked.get() > before)
        }

        fn is_asked(&self, near: &Near, id: WebConfigId, round: u64) -> bool {
            self.through(near, id, round).1
        }
    }

    fn behind(bytes: impl IntoIterator<Item = u8>) -> Behind {
        Behind { records: bytes.into_iter().map(record).collect(), asked: Cell::default() }
    }

    #[test]
    fn what_is_asked_for_again_is_kept() {
        let (near, behind) = (Near::new(1_000), behind([1]));
        let asked: Vec<_> = (0..5).map(|_| behind.is_asked(&near, id(1), 0)).collect();
        assert_eq!(asked, [true, true, false, false, false]);
        assert!(matches!(behind.through(&near, id(1), 0).0, Some(Held::Near(_))));
    }

    #[test]
    fn what_is_not_there_is_not_kept() {
        let (near, behind) = (Near::new(1_000), behind([]));
        for _ in 0..5 {
            assert!(matches!(behind.through(&near, id(1), 0), (None, true)));
        }
    }

    #[test]
    fn c3_nothing_is_kept_from_before_a_change() {
        let (near, mut behind) = (Near::new(1_000), behind([1, 2]));
        for _ in 0..3 {
            behind.through(&near, id(1), 0);
            behind.through(&near, id(2), 0);
        }
        let newer = record(1);
        behind.records[0] = Arc::clone(&newer);
        assert!(!behind.is_asked(&near, id(1), 0), "kept until then");
        let (held, asked) = behind.through(&near, id(1), 2);
        assert!(asked && std::ptr::eq(&*held.unwrap(), &*newer));
        assert!(behind.is_asked(&near, id(2), 2));
        // Nor from after it, for a thread that has not heard of it.
        assert!(behind.is_asked(&near, id(1), 0));
    }

    #[test]
    fn c4_nothing_is_kept_from_another_epoch() {
        let (near, behind) = (Near::new(1_000), behind([1]));
        for _ in 0..3 {
            behind.through(&near, id(1), 0);
        }
        let asked = behind.asked.get();
        near.get(id(1), Stamp { epoch: 2, round: 0 }, || behind.get(id(1)));
        assert_eq!(behind.asked.get(), asked + 1);
    }

    #[test]
    fn what_is_dropped_after_a_change_is_held_by_nobody() {
        let (near, behind) = (Near::new(1_000), behind([1]));
        for _ in 0..3 {
            behind.through(&near, id(1), 0);
        }
        assert_eq!(Arc::strong_count(&behind.records[0]), 2);
        near.get(id(2), Stamp { epoch: 1, round: 2 }, || None);
        assert_eq!(Arc::strong_count(&behind.records[0]), 1);
    }

    #[test]
    fn moka_hears_of_what_is_used_and_is_believed() {
        let (near, mut behind) = (Near::new(1_000), behind([1]));
        for _ in 0..1_000 {
            behind.through(&near, id(1), 0);
        }
        let asked = behind.asked.get();
        assert!((10..30).contains(&asked), "{asked}");
        behind.records.clear();
        let gone = (0..u32::from(HITS_PER_GET)).any(|_| behind.through(&near, id(1), 0).0.is_none());
        assert!(gone, "evicted there, it is gone here");
    }

    #[test]
    fn two_caches_know_nothing_of_each_other() {
        let ([one, other], behind) = ([Near::new(1_000), Near::new(1_000)], behind([1]));
        for _ in 0..3 {
            behind.through(&one, id(1), 0);
        }
        assert!(behind.is_asked(&other, id(1), 0));
        assert!(!behind.is_asked(&one, id(1), 0));
    }

    #[test]
    fn a_thread_keeps_no_more_than_the_cache_may_hold() {
        let (near, behind) = (Near::new(5), behind(0..100));
        for byte in 0..100 {
            for _ in 0..3 {
                behind.through(&near, id(byte), 0);
            }
        }
        let kept = behind.records.iter().filter(|record| Arc::strong_count(record) > 1).count();
        assert!((1..=5).contains(&kept), "{kept}");
    }

    #[test]
    fn the_tables_of_a_cache_that_is_gone_are_dropped() {
        let behind = behind([1]);
        let near = Near::new(1_000);
        for _ in 0..3 {
            behind.through(&near, id(1), 0);
        }
        assert_eq!(Arc::strong_count(&behind.records[0]), 2);
        drop(near);
        behind.through(&Near::new(1_000), id(1), 0);
        assert_eq!(Arc::strong_count(&behind.records[0]), 1);
    }

    #[test]
    fn web_configs_in_turn_leave_a_busy_one_where_it_is() {
        // One slot for all.
        let (near, behind) = (Near::new(1), behind(0..100));
        for _ in 0..3 {
            behind.through(&near, id(0), 0);
        }
        for byte in 1..50 {
            assert!(behind.is_asked(&near, id(byte), 0));
            assert!(!behind.is_asked(&near, id(0), 0), "{byte}");
        }
    }
}
