use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::{
    Change, ChangeFeed, Ended, EntryId, ListQuery, Living, LivingPage, LogEntry, LogPosition, LogRead,
    Regenerated, Revision, Scope, SecretStore, Snapshot, StoreError, StoredPage,
};
use crate::day::Day;
use crate::ids::WebConfigId;
use crate::secret::Secret;
use crate::web_config::{
    Generation, NewWebConfig, RestoredWebConfig, StoredWebConfig, WebConfig, WebConfigPatch,
};

/// A store in the memory of the process: for tests, and for trying things out. All is lost when the last clone goes.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    head: watch::Sender<Revision>,
}

struct State {
    living: BTreeMap<WebConfigId, StoredWebConfig>,
    /// The last generation of each deleted web config.
    ended: BTreeMap<WebConfigId, Generation>,
    /// The last day on which each web config that lives was used.
    used: BTreeMap<WebConfigId, Day>,
    /// The entry before the first of `log`: the store's beginning, or the last one compacted away.
    tail: LogPosition,
    log: VecDeque<LogEntry>,
    log_capacity: usize,
}

impl MemoryStore {
    /// How many log entries are kept unless [`with_log_capacity`](Self::with_log_capacity) says otherwise.
    pub const LOG_CAPACITY: usize = 10_000;

    /// Makes an empty store.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the operating system has no randomness to give.
    pub fn new() -> Result<Self, StoreError> {
        Self::with_log_capacity(Self::LOG_CAPACITY)
    }

    /// Makes an empty store that keeps only so many log entries. A feed that fell behind further starts anew.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the operating system has no randomness to give.
    pub fn with_log_capacity(log_capacity: usize) -> Result<Self, StoreError> {
        let tail = LogPosition { revision: Revision::new(0), entry: new_entry_id()? };
        let state = State {
            living: BTreeMap::new(),
            ended: BTreeMap::new(),
            used: BTreeMap::new(),
            tail,
            log: VecDeque::new(),
            log_capacity,
        };
        let shared = Shared { state: Mutex::new(state), head: watch::Sender::new(tail.revision) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A store of its own with the same contents: a standby that takes over from here.
    #[cfg(test)]
    pub(crate) fn fork(&self) -> Self {
        let state = self.state();
        let copy = State {
            living: state.living.clone(),
            ended: state.ended.clone(),
            used: state.used.clone(),
            tail: state.tail,
            log: state.log.clone(),
            log_capacity: state.log_capacity,
        };
        let head = watch::Sender::new(state.head().revision);
        Self { shared: Arc::new(Shared { state: Mutex::new(copy), head }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything that could panic.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a web config begin, new or restored, as `born` makes it of the generation that its id ended at.
    fn begin(
        &self,
        id: WebConfigId,
        secret: Secret,
        born: impl FnOnce(Option<Generation>, Revision) -> Result<WebConfig, StoreError>,
    ) -> Result<WebConfig, StoreError> {
        let mut state = self.state();
        if state.living.contains_key(&id) {
            return Err(StoreError::AlreadyExists);
        }
        let position = state.next_position()?;
        let config = born(state.ended.get(&id).copied(), position.revision)?;
        state.ended.remove(&id);
        let stored = StoredWebConfig { config: config.clone(), secret, entry: position.entry };
        state.living.insert(id, stored);
        state.append(position, put(&config));
        self.announce(state);
        Ok(config)
    }

    /// Tells the feeds, once the change is visible.
    fn announce(&self, state: MutexGuard<'_, State>) {
        let head = state.head().revision;
        drop(state);
        self.shared.head.send_if_modified(|known| {
            let grown = head > *known;
            *known = head.max(*known);
            grown
        });
    }
}

impl State {
    fn head(&self) -> LogPosition {
        self.log.back().map_or(self.tail, |entry| entry.position)
    }

    /// Takes the next revision. Fails before anything is changed.
    fn next_position(&self) -> Result<LogPosition, StoreError> {
        let revision = Revision::new(self.head().revision.get().saturating_add(1));
        Ok(LogPosition { revision, entry: new_entry_id()? })
    }

    fn append(&mut self, position: LogPosition, change: Change) {
        self.log.push_back(LogEntry { position, change });
        while self.log.len() > self.log_capacity {
            if let Some(entry) = self.log.pop_front() {
                self.tail = entry.position;
            }
        }
    }

    fn living_mut(&mut self, id: WebConfigId) -> Result<&mut StoredWebConfig, StoreError> {
        self.living.get_mut(&id).ok_or(StoreError::NotFound)
    }
}

fn put(config: &WebConfig) -> Change {
    Change::Put {
        id: config.id,
        generation: config.generation,
        account_id: config.account_id.clone(),
        context_id: config.context_id.clone(),
    }
}

fn new_entry_id() -> Result<EntryId, StoreError> {
    EntryId::generate().map_err(StoreError::unavailable)
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn after(id: Option<WebConfigId>) -> (Bound<WebConfigId>, Bound<WebConfigId>) {
    (id.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

impl SecretStore for MemoryStore {
    async fn load(&self, id: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        let state = self.state();
        Ok(Snapshot { value: state.living.get(&id).cloned(), head: state.head().revision })
    }

    async fn load_page(
        &self,
        after_id: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        let state = self.state();
        let mut rest = state.living.range(after(after_id)).map(|(_, stored)| stored.clone());
        let stored: Vec<_> = rest.by_ref().take(limit.max(1)).collect();
        let next = rest.next().and_then(|_| stored.last()).map(|last| last.config.id);
        Ok(Snapshot { value: StoredPage { stored, next }, head: state.head().revision })
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        let state = self.state();
        let wanted = |config: &WebConfig| {
            query.account_id.as_ref().is_none_or(|id| *id == config.account_id)
                && query.context_id.as_ref().is_none_or(|id| *id == config.context_id)
        };
        let configs = state.living.range(after(query.after)).map(|(_, stored)| &stored.config);
        Ok(configs.filter(|config| wanted(config)).take(query.limit).cloned().collect())
    }

    async fn create(&self, new: NewWebConfig) -> Result<WebConfig, StoreError> {
        let now = unix_seconds();
        self.begin(new.id, new.secret.clone(), |ended, revision| new.born(ended, revision, now))
    }

    async fn regenerate(&self, id: WebConfigId, secret: Secret) -> Result<Regenerated, StoreError> {
        let mut state = self.state();
        let position = state.next_position()?;
        let stored = state.living_mut(id)?;
        stored.secret = secret;
        stored.config.generation = stored.config.generation.next();
        stored.config.revision = position.revision;
        stored.entry = position.entry;
        stored.config.secret_created_at = unix_seconds();
        let config = stored.config.clone();
        let of_context = |other: &&WebConfig| {
            other.id != id && other.account_id == config.account_id && other.context_id == config.context_id
        };
        let others = state.living.values().map(|stored| &stored.config).filter(of_context).cloned().collect();
        state.append(position, put(&config));
        self.announce(state);
        Ok(Regenerated { config, others })
    }

    async fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, StoreError> {
        let mut state = self.state();
        let position = state.next_position()?;
        let stored = state.living_mut(id)?;
        stored.entry = position.entry;
        let config = &mut stored.config;
        if let Some(name) = patch.name {
            config.name = name;
        }
        if let Some(allowed_origins) = patch.allowed_origins {
            config.allowed_origins = allowed_origins;
        }
        config.revision = position.revision;
        let config = config.clone();
        state.append(position, put(&config));
        self.announce(state);
        Ok(config)
    }

    async fn delete(&self, id: WebConfigId) -> Result<Revision, StoreError> {
        let mut state = self.state();
        let position = state.next_position()?;
        let stored = state.living.remove(&id).ok_or(StoreError::NotFound)?;
        state.ended.insert(id, stored.config.generation);
        state.used.remove(&id);
        state.append(position, Change::Deleted { id, generation: stored.config.generation });
        self.announce(state);
        Ok(position.revision)
    }

    async fn end(&self, scope: Scope) -> Result<Ended, StoreError> {
        let mut state = self.state();
        let position = state.next_position()?;
        let State { living, ended, used, .. } = &mut *state;
        let before = living.len();
        living.retain(|id, stored| {
            let config = &stored.config;
            let covered = scope.covers(&config.account_id, &config.context_id);
            if covered {
                ended.insert(*id, config.generation);
                used.remove(id);
            }
            !covered
        });
        let web_configs = u64::try_from(before.saturating_sub(living.len())).unwrap_or(u64::MAX);
        state.append(position, Change::Ended(scope));
        self.announce(state);
        Ok(Ended { revision: position.revision, web_configs })
    }

    async fn restore(&self, restored: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        self.begin(restored.id, restored.secret.clone(), |ended, revision| restored.born(ended, revision))
    }

    async fn note_uses(&self, uses: BTreeMap<WebConfigId, Day>) -> Result<(), StoreError> {
        let mut state = self.state();
        let State { living, used, .. } = &mut *state;
        for (id, day) in uses {
            if living.contains_key(&id) {
                let known = used.entry(id).or_insert(day);
                *known = day.max(*known);
            }
        }
        Ok(())
    }

    async fn last_uses(&self, ids: Vec<WebConfigId>) -> Result<BTreeMap<WebConfigId, Day>, StoreError> {
        let state = self.state();
        Ok(ids
            .into_iter()
            .filter_map(|id| state.used.get_key_value(&id))
            .map(|(id, day)| (*id, *day))
            .collect())
    }
}

impl ChangeFeed for MemoryStore {
    async fn living(&self, after_id: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        let state = self.state();
        let mut rest = state.living.range(after(after_id)).map(|(id, stored)| Living {
            id: *id,
            position: stored.position(),
            generation: stored.config.generation,
            account_id: stored.config.account_id.clone(),
            context_id: stored.config.context_id.clone(),
        });
        let living: Vec<Living> = rest.by_ref().take(limit.max(1)).collect();
        let next = rest.next().and_then(|_| living.last()).map(|last| last.id);
        Ok(LivingPage { head: state.head(), living, next })
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        let state = self.state();
        // Revisions follow one another without gaps, so the entry asked about can only be in one place.
        let offset = after.revision.get().checked_sub(state.tail.revision.get());
        let Some(offset) = offset.and_then(|offset| usize::try_from(offset).ok()) else {
            return Ok(LogRead::Gone);
        };
        let at = match offset.checked_sub(1) {
            None => Some(state.tail),
            Some(index) => state.log.get(index).map(|entry| entry.position),
        };
        if at != Some(after) {
            return Ok(LogRead::Gone);
        }
        let entries: Vec<_> = state.log.iter().skip(offset).take(limit).cloned().collect();
        let more = offset.saturating_add(entries.len()) < state.log.len();
        Ok(LogRead::Entries { entries, more })
    }

    /// The same as [`read_log`](ChangeFeed::read_log): this memory is the store.
    async fn prove(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.read_log(after, limit).await
    }

    async fn changed(&self, seen: Revision) {
        // The sender lives as long as `self`, so this ends only by the head's growing.
        let _ = self.shared.head.subscribe().wait_for(|head| *head > seen).await;
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryStore")
            .field("living", &state.living.len())
            .field("head", &state.head().revision)
            .finish_non_exhaustive()
    }
}
