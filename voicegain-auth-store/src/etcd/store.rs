use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;
use voicegain_auth_core::store::{
    ChangeFeed, Ended, ListQuery, LivingPage, LogPosition, LogRead, Regenerated, Revision, Scope,
    SecretStore, Snapshot, StoreError, StoredPage,
};
use voicegain_auth_core::{
    Day, NewWebConfig, RestoredWebConfig, Secret, StoredWebConfig, WebConfig, WebConfigId, WebConfigPatch,
};

use super::changes::{Create, Delete, Regenerate, Restore, Update};
use super::commit::{self, Request};
use super::connection::Connection;
use super::error::{Cause, OpenError};
use super::feed::{self, Hint};
use super::keys::Keys;
use super::options::EtcdOptions;
use super::reads::Road;
use super::view::Reader;
use super::{ends, listing, meta, reads, reseal, uses};
use crate::sealing::{MasterKeys, Resealed, Retired, Sealing};
use crate::supervised::supervised;

/// How long a read may take, however many members have to be asked.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// The same for whole pages.
const PAGE_LIMIT: Duration = Duration::from_secs(10);

/// A store in an etcd cluster. Clones share its connection; see [the module](super).
///
/// It works on the runtime that it was opened on, so that other runtimes may use it, and what has begun is
/// finished even if whoever asked for it has gone.
#[derive(Clone)]
pub struct EtcdStore {
    runtime: Handle,
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) connection: Arc<Connection>,
    pub(super) keys: Arc<Keys>,
    pub(super) sealing: Sealing,
    pub(super) log_capacity: u32,
    /// Held by the change that is being made.
    pub(super) turn: Mutex<()>,
    hints: Arc<watch::Sender<Hint>>,
    watching: AbortHandle,
}

impl Shared {
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.connection, &self.keys, READ_LIMIT)
    }

    pub(super) fn page_reader(&self) -> Reader<'_> {
        Reader::new(&self.connection, &self.keys, PAGE_LIMIT)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl EtcdStore {
    /// Opens the store at this [URL](super) with the defaults of [`EtcdOptions`], see [`EtcdOptions::open`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(url: &str, sealing: Sealing) -> Result<Self, OpenError> {
        EtcdOptions::new().open(url, sealing).await
    }

    pub(super) fn start(
        runtime: Handle,
        connection: Connection,
        keys: Keys,
        sealing: Sealing,
        log_capacity: u32,
    ) -> Self {
        let (connection, keys) = (Arc::new(connection), Arc::new(keys));
        let hints = Arc::new(watch::Sender::new(Hint::default()));
        let watch = {
            let (connection, keys, hints) = (Arc::clone(&connection), Arc::clone(&keys), Arc::clone(&hints));
            supervised("the watch on the head", move || {
                feed::run(Arc::clone(&connection), Arc::clone(&keys), Arc::clone(&hints))
            })
        };
        let watching = runtime.spawn(watch).abort_handle();
        let turn = Mutex::new(());
        let shared = Shared { connection, keys, sealing, log_capacity, turn, hints, watching };
        Self { runtime, shared: Arc::new(shared) }
    }

    /// What all keys of the store begin with, without the slash that follows.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.shared.keys.prefix()
    }

    /// Seals anew, under the first master key, what is sealed under another one: of the web configs after
    /// `after`, in the order of their ids, as many as `limit` at most. No revision is used up and nothing is logged, since
    /// the secrets stay the same. To be repeated after [`Resealed::last`] while there are more.
    ///
    /// What a bulk end has ended counts towards the limit, and stays as it is: its secrets are never opened again. A
    /// secret of a living web config that cannot be opened is left as it is, counted as [`Resealed::skipped`], and named in the log.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store is a plain one; otherwise as for every change. What was sealed anew before
    /// stays so, and after [`StoreError::OutcomeUnknown`] too the page can be done again.
    pub async fn reseal(&self, after: Option<WebConfigId>, limit: usize) -> Result<Resealed, StoreError> {
        let work = reseal::reseal(Arc::clone(&self.shared), after, limit);
        self.run(work, StoreError::outcome_unknown).await
    }

    /// Forgets the master keys that are not the first one of this process and that no secret of a living web config is
    /// under any more. The store can then be opened without them. To be called once everything is sealed anew: a key
    /// that is still in use, be it by a secret that [`reseal`](Self::reseal) had to skip, is never among them. A process
    /// that would seal under a key that was forgotten is refused, until it has the present ones.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store is a plain one; otherwise as for every change. After
    /// [`StoreError::OutcomeUnknown`] it can be called again.
    pub async fn retire_keys(&self) -> Result<Retired, StoreError> {
        self.run(reseal::retire_keys(Arc::clone(&self.shared)), StoreError::outcome_unknown).await
    }

    /// The ids of the master keys that the store may hold secrets under, in order; none if it is plain.
    ///
    /// # Errors
    /// As for every read.
    pub async fn known_keys(&self) -> Result<Vec<String>, StoreError> {
        self.read(async move |shared| meta::key_ids(shared.reader()).await).await
    }

    /// Seals and opens with these keys from now on, and so does everything that shares the [`MasterKeys`] that the store
    /// was opened with. In one change the store looks whether it could be opened with them, and remembers the first one:
    /// no process opens it without that one any more, nor with another key under its id. That takes no revision.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the [`SealingMismatch`](crate::sealing::SealingMismatch) as its source if it
    /// could not be opened so, or the [`MasterKeyError`](crate::sealing::MasterKeyError) if one of them is not the key in
    /// use under its id; otherwise as for every change. The present keys then stay. After [`StoreError::OutcomeUnknown`]
    /// the first key may be remembered all the same; call this again.
    pub async fn adopt_keys(&self, keys: &MasterKeys) -> Result<(), StoreError> {
        let work = meta::adopt(Arc::clone(&self.shared), keys.snapshot());
        self.run(work, StoreError::outcome_unknown).await
    }

    /// Does the work on the store's own runtime.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        ended: fn(Cause) -> StoreError,
    ) -> Result<T, StoreError> {
        self.runtime.spawn(work).await.unwrap_or_else(|_| Err(ended(Cause::Ended)))
    }

    async fn read<T, R>(&self, read: impl FnOnce(Arc<Shared>) -> R + Send) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.run(read(Arc::clone(&self.shared)), StoreError::unavailable).await
    }

    async fn change<R: Request>(&self, request: R) -> Result<R::Answer, StoreError> {
        self.run(commit::make(Arc::clone(&self.shared), request), StoreError::outcome_unknown).await
    }

    async fn log(&self, road: Road, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.read(async move |shared| reads::log(shared.reader(), road, after, limit).await).await
    }
}

impl SecretStore for EtcdStore {
    async fn load(&self, id: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        self.read(async move |shared| reads::load(shared.reader(), &shared.sealing, id).await).await
    }

    async fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        self.read(async move |shared| {
            listing::load_page(shared.page_reader(), &shared.sealing, after, limit).await
        })
        .await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        self.read(async move |shared| listing::list(shared.page_reader(), &query).await).await
    }

    async fn create(&self, new: NewWebConfig) -> Result<WebConfig, StoreError> {
        self.change(Create(new)).await
    }

    async fn regenerate(&self, id: WebConfigId, secret: Secret) -> Result<Regenerated, StoreError> {
        self.change(Regenerate::new(id, secret)).await
    }

    async fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, StoreError> {
        self.change(Update(id, patch)).await
    }

    async fn delete(&self, id: WebConfigId) -> Result<Revision, StoreError> {
        self.change(Delete(id)).await
    }

    async fn end(&self, scope: Scope) -> Result<Ended, StoreError> {
        self.run(ends::end(Arc::clone(&self.shared), scope), StoreError::outcome_unknown).await
    }

    async fn restore(&self, restored: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        self.change(Restore(restored)).await
    }

    async fn note_uses(&self, uses: BTreeMap<WebConfigId, Day>) -> Result<(), StoreError> {
        self.run(uses::note(Arc::clone(&self.shared), uses), StoreError::outcome_unknown).await
    }

    async fn last_uses(&self, ids: Vec<WebConfigId>) -> Result<BTreeMap<WebConfigId, Day>, StoreError> {
        self.read(async move |shared| uses::last(shared, ids).await).await
    }
}

impl ChangeFeed for EtcdStore {
    async fn living(&self, after: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        self.read(async move |shared| listing::living(shared.page_reader(), after, limit).await).await
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.log(Road::Quick, after, limit).await
    }

    async fn prove(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.log(Road::Proved, after, limit).await
    }

    async fn changed(&self, seen: Revision) {
        let mut hints = self.shared.hints.subscribe();
        let alarms = hints.borrow_and_update().alarms;
        // The sender lives as long as `self`, so this ends only for a reason to look.
        let _ = hints.wait_for(|hint| hint.head > seen || hint.alarms != alarms).await;
    }

    /// 100 milliseconds, the least that is allowed across a network (rule C7).
    fn proof_interval(&self) -> Duration {
        Duration::from_millis(100)
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore")
            .field("endpoints", &self.shared.connection.endpoints())
            .field("prefix", &self.prefix())
            .finish_non_exhaustive()
    }
}
