//! One process's road to the model store, and all that may be wrong with it.

mod changes;

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use voicegain_auth_core::store::{
    self as core, ChangeFeed, Ended, ListQuery, LivingPage, LogPosition, Regenerated, Revision, Scope,
    SecretStore, Snapshot, StoredPage,
};
use voicegain_auth_core::{
    Generation, NewWebConfig, RestoredWebConfig, Secret, StoreError, StoredWebConfig, WebConfig, WebConfigId,
    WebConfigPatch,
};

use super::clock::Universal;
use crate::history::{History, SecretName};
use crate::store::Change as Logged;
use crate::world::rng::Rng;
use crate::world::store::{
    Branch, LogRead, ORIGINS, OWNERS, Op, Refused, Row, number, origin_names, owner, web_config,
};

// What is called, as far as choices depend on it.
const LIVING: u64 = 1;
const READ_LOG: u64 = 2;
const PROVE: u64 = 3;
const LOAD_PAGE: u64 = 4;
const LOADS: u64 = 1_000;
const CHANGES: u64 = 1_000_000;

/// The store, and the history of what was done to it.
pub(super) struct Model {
    pub(super) branches: Vec<Branch>,
    pub(super) primary: usize,
    pub(super) isolated: Option<usize>,
    /// Bytes of each secret, and whose it is.
    pub(super) secrets: Vec<(usize, Secret)>,
    pub(super) ids: usize,
    /// How many entries a read of the log answers, and how many web configs a page has.
    pub(super) page: usize,
    pub(super) proof_interval: Duration,
    /// What all choices come from.
    pub(super) seed: u64,
    pub(super) history: History,
    pub(super) changes: u64,
    /// Ticks with every change of any branch.
    pub(super) news: watch::Sender<()>,
}

/// What is wrong with the road of one process.
#[derive(Debug, Clone, Default)]
pub(super) struct Roads {
    pub(super) cut: bool,
    pub(super) errors: bool,
    pub(super) feed_dead: bool,
    pub(super) deaf: bool,
    pub(super) lagging: bool,
    pub(super) slow: bool,
    pub(super) branch: usize,
    /// How often each kind of call was made.
    pub(super) calls: HashMap<u64, u64>,
}

#[derive(Clone)]
pub(super) struct Road {
    pub(super) model: Arc<Mutex<Model>>,
    pub(super) roads: Arc<Mutex<Roads>>,
    pub(super) clock: Universal,
    /// Which process it is of.
    pub(super) process: u64,
    /// No delays, and so no timers: for the races.
    pub(super) direct: bool,
}

impl Road {
    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Taken after the model where both are.
    pub(super) fn roads(&self) -> MutexGuard<'_, Roads> {
        self.roads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The choices for one call. They come from what is called and how often that was done before, not from a stream that all
    /// calls share: tokio wakes those who watch the same thing in an order of its own choosing, which must not matter.
    fn choices(&self, call: u64) -> Rng {
        let of_all = self.model().seed;
        let mut roads = self.roads();
        let count = roads.calls.entry(call).or_default();
        *count += 1;
        let mut seed = Rng::new(of_all ^ Rng::new(self.process).next());
        let mut seed = Rng::new(seed.next() ^ Rng::new(call).next());
        Rng::new(seed.next() ^ *count)
    }

    /// A message is under way, gets lost, or brings back an error.
    async fn hop(&self, rng: &mut Rng, feed: bool) -> Result<(), StoreError> {
        if self.direct {
            return if self.roads().cut { Err(StoreError::unavailable("cut")) } else { Ok(()) };
        }
        let (roads, choice, slow, fast) = {
            let slow = if rng.percent(80) { rng.between(50, 480) } else { rng.between(500, 12_000) };
            (self.roads().clone(), rng.below(100), slow, rng.pick(&[0, 0, 1, 1, 2, 5, 20]))
        };
        if roads.feed_dead && feed || roads.cut && choice < 50 {
            return pending().await;
        }
        sleep(Duration::from_millis(if roads.slow { slow } else { fast })).await;
        if roads.cut || roads.errors && choice < 60 {
            return Err(StoreError::unavailable("broken by the schedule"));
        }
        Ok(())
    }

    /// How many entries the server shows that answers, and of which branch.
    fn seen(&self, rng: &mut Rng, model: &Model) -> (usize, usize) {
        let roads = self.roads().clone();
        let head = model.branches[roads.branch].head();
        let behind = if roads.lagging && rng.percent(60) { rng.between(1, 3) } else { 0 };
        (roads.branch, head.saturating_sub(behind as usize))
    }

    fn log(model: &Model, branch: usize, after: LogPosition, limit: usize, at: usize) -> core::LogRead {
        match model.branches[branch].read_log(after, limit.min(model.page), at) {
            LogRead::Gone => core::LogRead::Gone,
            LogRead::Entries { entries, more } => {
                let entries = entries.into_iter().map(|entry| {
                    let change = match entry.change {
                        Logged::Put { id, generation, account_id, context_id } => {
                            core::Change::Put { id, generation, account_id, context_id }
                        }
                        Logged::Deleted { id, generation } => core::Change::Deleted { id, generation },
                        Logged::Ended(scope) => core::Change::Ended(scope),
                    };
                    core::LogEntry { position: entry.position, change }
                });
                core::LogRead::Entries { entries: entries.collect(), more }
            }
        }
    }

    fn name(&self, id: usize, secret: Secret) -> SecretName {
        let secrets = &mut self.model().secrets;
        secrets.push((id, secret));
        secrets.len() as SecretName - 1
    }

    fn config(id: usize, row: &Row) -> WebConfig {
        let (account_id, context_id) = owner(row.owner).clone();
        WebConfig {
            id: web_config(id),
            account_id,
            context_id,
            name: "simulated".to_owned(),
            allowed_origins: origin_names(row.origins),
            generation: Generation::new(row.generation),
            revision: row.position.revision,
            created_at: 0,
            secret_created_at: 0,
        }
    }

    fn stored(model: &Model, id: usize, row: &Row) -> StoredWebConfig {
        let (_, secret) = &model.secrets[row.secret as usize];
        let config = Self::config(id, row);
        StoredWebConfig { config, secret: secret.clone(), entry: row.position.entry }
    }

    fn origins(patterns: &[String]) -> u8 {
        let bit =
            |pattern: &String| ORIGINS.iter().position(|origin| origin == pattern).map_or(0, |bit| 1 << bit);
        patterns.iter().map(bit).sum()
    }

    /// The web config as a change has left it, as far as the answer shows it.
    fn changed(id: usize, revision: Revision, generation: Option<u64>) -> WebConfig {
        let position = LogPosition { revision, entry: core::EntryId::from_bytes([0; 16]) };
        let row = Row { owner: 0, generation: generation.unwrap_or(1), secret: 0, origins: 0, position };
        Self::config(id, &row)
    }
}

impl SecretStore for Road {
    async fn load(&self, id: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        let rng = &mut self.choices(LOADS + number(id) as u64);
        self.hop(rng, false).await?;
        let snapshot = {
            let model = self.model();
            let (branch, at) = self.seen(rng, &model);
            let row = model.branches[branch].row(number(id), at).copied();
            let value = row.map(|row| Self::stored(&model, number(id), &row));
            Snapshot { value, head: Revision::new(at as u64) }
        };
        self.hop(rng, false).await?;
        Ok(snapshot)
    }

    async fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        let rng = &mut self.choices(LOAD_PAGE);
        self.hop(rng, false).await?;
        let snapshot = {
            let model = self.model();
            let (branch, at) = self.seen(rng, &model);
            let first = after.map_or(0, |after| number(after) + 1);
            let end = (first + limit).min(model.ids);
            let rows = (first..end).filter_map(|id| Some((id, model.branches[branch].row(id, at)?)));
            let stored = rows.map(|(id, row)| Self::stored(&model, id, row)).collect();
            let next = (end < model.ids).then(|| web_config(end - 1));
            Snapshot { value: StoredPage { stored, next }, head: Revision::new(at as u64) }
        };
        self.hop(rng, false).await?;
        Ok(snapshot)
    }

    async fn list(&self, _query: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        Ok(Vec::new())
    }

    async fn create(&self, new: NewWebConfig) -> Result<WebConfig, StoreError> {
        let id = number(new.id);
        let wanted = (new.account_id, new.context_id);
        let of = (0..OWNERS).find(|number| *owner(*number) == wanted).unwrap_or_default();
        let origins = Self::origins(&new.allowed_origins);
        let secret = self.name(id, new.secret);
        let op = Op::Create { id, owner: of, secret, origins, revive: new.revive };
        let (revision, generation) = self.change(op).await?;
        Ok(Self::changed(id, revision, generation))
    }

    async fn regenerate(&self, id: WebConfigId, secret: Secret) -> Result<Regenerated, StoreError> {
        let id = number(id);
        let secret = self.name(id, secret);
        let (revision, generation) = self.change(Op::Regenerate { id, secret }).await?;
        Ok(Regenerated { config: Self::changed(id, revision, generation), others: Vec::new() })
    }

    async fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, StoreError> {
        let id = number(id);
        let origins = Self::origins(&patch.allowed_origins.unwrap_or_default());
        let (revision, generation) = self.change(Op::SetOrigins { id, origins }).await?;
        Ok(Self::changed(id, revision, generation))
    }

    async fn delete(&self, id: WebConfigId) -> Result<Revision, StoreError> {
        Ok(self.change(Op::Delete { id: number(id) }).await?.0)
    }

    async fn end(&self, scope: Scope) -> Result<Ended, StoreError> {
        let (revision, _) = self.change(Op::End(scope)).await?;
        Ok(Ended { revision, web_configs: 0 })
    }

    /// To the processes that read, the change is the same as one that creates: no driver asks for it.
    async fn restore(&self, _restored: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        Err(StoreError::unavailable("nothing is restored in the simulation"))
    }
}

impl ChangeFeed for Road {
    async fn living(&self, after: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        let rng = &mut self.choices(LIVING);
        self.hop(rng, true).await?;
        let page = {
            let model = self.model();
            let (branch, at) = self.seen(rng, &model);
            model.branches[branch].living(after, limit.min(model.page), model.ids, at)
        };
        self.hop(rng, true).await?;
        Ok(page)
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<core::LogRead, StoreError> {
        let rng = &mut self.choices(READ_LOG);
        self.hop(rng, true).await?;
        let read = {
            let model = self.model();
            let (branch, at) = self.seen(rng, &model);
            Self::log(&model, branch, after, limit, at)
        };
        self.hop(rng, true).await?;
        Ok(read)
    }

    async fn prove(&self, after: LogPosition, limit: usize) -> Result<core::LogRead, StoreError> {
        let rng = &mut self.choices(PROVE);
        self.hop(rng, true).await?;
        let read = {
            let model = self.model();
            let branch = self.roads().branch;
            // Nobody answers by this road who is isolated, restored or behind.
            if model.isolated.is_some() || branch != model.primary {
                return Err(StoreError::unavailable("isolated"));
            }
            Self::log(&model, branch, after, limit, model.branches[branch].head())
        };
        self.hop(rng, true).await?;
        Ok(read)
    }

    async fn changed(&self, seen: Revision) {
        let mut news = self.model().news.subscribe();
        loop {
            let (deaf, branch) = {
                let roads = self.roads();
                (roads.deaf || roads.cut || roads.feed_dead, roads.branch)
            };
            let head = self.model().branches[branch].head() as u64;
            if !deaf && head > seen.get() {
                return;
            }
            // The model outlives all who listen.
            let _ = news.changed().await;
        }
    }

    fn proof_interval(&self) -> Duration {
        self.model().proof_interval
    }
}
