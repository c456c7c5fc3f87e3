//! Where web configs and their secrets live, and how a process hears of changes.
//!
//! A store has **revisions** and a **change log**. Every change of a web config takes the next revision, in the order in
//! which changes become visible, and appends one entry with a random id to the log. The log always holds at least one
//! entry: an empty store begins with one that changes nothing. What a process believes about its cached records is
//! decided from the log alone (rules C3, C4):
//!
//! - [`ChangeFeed::prove`] answers "the log's head is where you are" or what came after, by a road that only the store's
//!   true head can answer by; such an answer is a proof of freshness, counted from before it was asked for;
//! - [`ChangeFeed::read_log`] answers the same by the quickest road, and proves nothing: it is how a change is heard of
//!   within milliseconds, however rarely proofs may be asked for;
//! - [`ChangeFeed::changed`] is only a hint that it is worth reading now. It may be late, doubled or lost.

mod erased;
mod error;
mod memory;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

pub(crate) use erased::{ErasedStore, erase};
pub use error::{BoxError, StoreError};
pub use memory::MemoryStore;

use crate::day::Day;
use crate::ids::{AccountId, ContextId, WebConfigId};
use crate::secret::Secret;
use crate::web_config::{
    Generation, NewWebConfig, RestoredWebConfig, StoredWebConfig, WebConfig, WebConfigPatch,
};

/// A position in the order of all changes of one store. Later changes have higher revisions, also across web configs, and
/// a revision becomes visible only after all lower ones have (a plain sequence in a database does not do that).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(u64);

impl Revision {
    /// The revision with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The random id of a log entry. A store that was restored to an older state and then went on has other ids at the same
/// revisions, which is how it is found out (rule C4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId([u8; 16]);

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryId({:032x})", u128::from_be_bytes(self.0))
    }
}

impl EntryId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Makes a new random id from the operating system's randomness.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// One entry of the log, named so that it cannot be mistaken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Where it stands.
    pub revision: Revision,
    /// Which one it is.
    pub entry: EntryId,
}

/// Whose web configs a bulk end ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "whoever ends something must know of every way")]
pub enum Scope {
    /// All of an account.
    Account(AccountId),
    /// All of one context of an account.
    Context(AccountId, ContextId),
}

impl Scope {
    /// Whether the web configs of this context are among them.
    #[must_use]
    pub fn covers(&self, account_id: &AccountId, context_id: &ContextId) -> bool {
        match self {
            Self::Account(account) => account == account_id,
            Self::Context(account, context) => account == account_id && context == context_id,
        }
    }
}

/// What a log entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A web config was created, revived, restored, regenerated or edited.
    Put {
        /// Which.
        id: WebConfigId,
        /// The generation it now has.
        generation: Generation,
        /// Whose it is.
        account_id: AccountId,
        /// The workspace it belongs to.
        context_id: ContextId,
    },
    /// A web config was deleted.
    Deleted {
        /// Which.
        id: WebConfigId,
        /// The generation at which it ended.
        generation: Generation,
    },
    /// Every web config of this scope that lived just before this entry has ended, each at the generation it had.
    Ended(Scope),
}

/// One entry of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Where it stands, and which one it is.
    pub position: LogPosition,
    /// What changed.
    pub change: Change,
}

/// The answer to [`ChangeFeed::read_log`] and [`ChangeFeed::prove`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogRead {
    /// The log holds the entry it was asked about, and this is what follows, oldest first.
    Entries {
        /// The entries after the one named, as many as were asked for at most.
        entries: Vec<LogEntry>,
        /// Whether the log goes on after the last of them.
        more: bool,
    },
    /// The log does not hold that entry under that id: it was compacted away, or the store went back in time.
    Gone,
}

/// A web config that lives, for [`ChangeFeed::living`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    /// Which.
    pub id: WebConfigId,
    /// The log entry of its last change.
    pub position: LogPosition,
    /// Its generation.
    pub generation: Generation,
    /// Whose it is.
    pub account_id: AccountId,
    /// The workspace it belongs to.
    pub context_id: ContextId,
}

/// One page of all web configs that live, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivingPage {
    /// The log's head in the very snapshot this page was read from.
    pub head: LogPosition,
    /// The web configs after the one named, as many as were asked for at most.
    pub living: Vec<Living>,
    /// After which id the next page begins; `None` if this one is the last. A page may hold fewer web configs than were
    /// asked for, even none, and not be the last: a store need not look past any number of ended ones to fill it.
    pub next: Option<WebConfigId>,
}

/// One page of all web configs that live, with their secrets, in the order of their ids.
#[derive(Debug, Clone)]
pub struct StoredPage {
    /// The web configs after the one named, as many as were asked for at most. Those whose secret cannot be had, for
    /// instance because the key that it is sealed under is missing, are left out.
    pub stored: Vec<StoredWebConfig>,
    /// After which id the next page begins; `None` if this one is the last. As in [`LivingPage::next`], a page may hold fewer
    /// than were asked for and not be the last.
    pub next: Option<WebConfigId>,
}

/// Something read from the store, and the log's head in the same snapshot (rule C3).
#[derive(Debug, Clone)]
pub struct Snapshot<T> {
    /// What was read.
    pub value: T,
    /// The revision of the log's head.
    pub head: Revision,
}

/// Which web configs to list, in the order of their ids.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only those of this account.
    pub account_id: Option<AccountId>,
    /// Only those of this context.
    pub context_id: Option<ContextId>,
    /// Only those whose id comes after this one.
    pub after: Option<WebConfigId>,
    /// At most so many.
    pub limit: usize,
}

/// What Regenerate answers (rule M1).
#[derive(Debug, Clone)]
pub struct Regenerated {
    /// The web config as it is now.
    pub config: WebConfig,
    /// The context's other web configs, whose tokens stay valid.
    pub others: Vec<WebConfig>,
}

/// What a bulk end answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The revision of the change.
    pub revision: Revision,
    /// How many web configs lived until then and ended with it.
    pub web_configs: u64,
}

/// A home for web configs and their secrets.
///
/// Each change is atomic, appends one entry to the log that [`ChangeFeed`] reads, and survives a crash once it has
/// returned. A change that may or may not have happened is [`StoreError::OutcomeUnknown`] (rule M1).
pub trait SecretStore: Send + Sync + 'static {
    /// Reads one web config with its secret, and the log's head, from one snapshot.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`]; a web config that does not exist is no error.
    fn load(
        &self,
        id: WebConfigId,
    ) -> impl Future<Output = Result<Snapshot<Option<StoredWebConfig>>, StoreError>> + Send;

    /// Reads one page of all web configs that live, in the order of their ids, with their secrets, and the log's head, from
    /// one snapshot. For loading many at once, as at a start. A `limit` of 0 counts as 1.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> impl Future<Output = Result<Snapshot<StoredPage>, StoreError>> + Send;

    /// Lists web configs, never their secrets.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    fn list(&self, query: ListQuery) -> impl Future<Output = Result<Vec<WebConfig>, StoreError>> + Send;

    /// Creates a web config at generation 1, or revives a deleted one at the generation after its last.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the id lives; [`StoreError::Deleted`] if it was deleted and `revive` is not set
    /// (rule W7); otherwise as for every change.
    fn create(&self, new: NewWebConfig) -> impl Future<Output = Result<WebConfig, StoreError>> + Send;

    /// Replaces the secret and adds 1 to the generation. Two at once both succeed, in some order (rule M1).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the id does not live; otherwise as for every change.
    fn regenerate(
        &self,
        id: WebConfigId,
        secret: Secret,
    ) -> impl Future<Output = Result<Regenerated, StoreError>> + Send;

    /// Changes the name or the allowed origins. A patch that changes nothing is still a change.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the id does not live; otherwise as for every change.
    fn update(
        &self,
        id: WebConfigId,
        patch: WebConfigPatch,
    ) -> impl Future<Output = Result<WebConfig, StoreError>> + Send;

    /// Deletes a web config for good and answers the revision of that change. Its id and generation are remembered.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the id does not live; otherwise as for every change.
    fn delete(&self, id: WebConfigId) -> impl Future<Output = Result<Revision, StoreError>> + Send;

    /// Ends every web config of an account or a context by one change: a marker that every read of a record takes into
    /// account from then on, in the same snapshot. Each ends as if deleted; what is created there later lives.
    ///
    /// # Errors
    /// As for every change. A scope without web configs is no error.
    fn end(&self, scope: Scope) -> impl Future<Output = Result<Ended, StoreError>> + Send;

    /// Restores a web config as another store had it, with its id, generation, secret and times; the revision is one of this
    /// store. [`RestoredWebConfig::born`] says what must hold where one of its id has ended.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the id lives; [`StoreError::Deleted`] or [`StoreError::GenerationPassed`] if it
    /// was deleted; otherwise as for every change.
    fn restore(
        &self,
        restored: RestoredWebConfig,
    ) -> impl Future<Output = Result<WebConfig, StoreError>> + Send;

    /// Remembers for each of these web configs that it was used on this day, unless a later day is remembered. That is no
    /// change: it takes no revision, nothing is logged, and nobody is told. Ids that do not live are passed over. What is
    /// remembered ends with the web config, and one that is revived has not been used.
    ///
    /// It comes from every process that decides, a few hundred at a time, and may come again.
    ///
    /// Without a body of its own a store forgets it, and [`last_uses`](Self::last_uses) knows of none.
    ///
    /// # Errors
    /// As for every change. Some may have been remembered then.
    fn note_uses(
        &self,
        uses: BTreeMap<WebConfigId, Day>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        let _ = uses;
        async { Ok(()) }
    }

    /// On which day each of these web configs was last used, as far as that has been [noted](Self::note_uses). Those that do
    /// not live, or have not been used, are left out.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    fn last_uses(
        &self,
        ids: Vec<WebConfigId>,
    ) -> impl Future<Output = Result<BTreeMap<WebConfigId, Day>, StoreError>> + Send {
        let _ = ids;
        async { Ok(BTreeMap::new()) }
    }
}

/// How a process hears of changes, and proves that it has heard of all.
///
/// A store may be a primary with standbys, and fail over. What [`read_log`](Self::read_log), [`living`](Self::living) and
/// [`SecretStore::load`] answer must come from the server that answered the last proof, or from one that cannot hold what
/// that one has lost: a server that was replaced and is still asked by one of these roads would be found out by the next
/// proof only.
pub trait ChangeFeed: Send + Sync + 'static {
    /// Reads one page of all web configs that live, and the log's head in the same snapshot. A `limit` of 0 counts as 1.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    fn living(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> impl Future<Output = Result<LivingPage, StoreError>> + Send;

    /// Reads the log after `after`, by the quickest road. The answer is no proof of freshness; it is asked for as soon as
    /// [`changed`](Self::changed) resolves.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    fn read_log(
        &self,
        after: LogPosition,
        limit: usize,
    ) -> impl Future<Output = Result<LogRead, StoreError>> + Send;

    /// Reads the log after `after` by a road that an isolated, lagging or restored server cannot use: an answer without
    /// `more` counts as a proof of freshness as of when it was asked for (rule C4). Asked for at most once in each
    /// [`proof_interval`](Self::proof_interval).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    fn prove(
        &self,
        after: LogPosition,
        limit: usize,
    ) -> impl Future<Output = Result<LogRead, StoreError>> + Send;

    /// Resolves when the log may have grown past `seen`. Only a hint: it may resolve for nothing, late, or never. A
    /// broken notification road is best reported by resolving. Dropping the future before it resolves loses nothing.
    fn changed(&self, seen: Revision) -> impl Future<Output = ()> + Send;

    /// The least time between two proofs asked for by one process (rule C7): zero for a store in the process or on its
    /// disk, at least 100 milliseconds for one across a network.
    fn proof_interval(&self) -> Duration {
        Duration::ZERO
    }
}
