use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use voicegain_auth_core::store::{
    ChangeFeed, Ended, EntryId, ListQuery, LivingPage, LogPosition, LogRead, Regenerated, Revision, Scope,
    SecretStore, Snapshot, StoreError, StoredPage,
};
use voicegain_auth_core::{
    Day, NewWebConfig, RestoredWebConfig, Secret, StoredWebConfig, WebConfig, WebConfigId, WebConfigPatch,
};

use super::changes::{self, Changing, Work};
use super::connect::Servers;
use super::error::{Cause, OpenError};
use super::feed::Feed;
use super::kinds::{Delete, Regenerate, Update};
use super::options::PostgresOptions;
use super::pool::Pool;
use super::reads::{List, ListLiving, Load, LoadPage, Log, Read};
use super::schema;
use super::sealed::KnownKeys;
use super::standbys::Waits;
use super::tls;
use super::url::Target;
use super::uses::{LastUses, NoteUses};
use super::values::Uuid;
use crate::sealing::{MasterKeys, Resealed, Retired, Sealing};
use crate::supervised::supervised;

/// A store in a PostgreSQL database. Clones share its connections; see [the module](super).
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Handle,
    pool: Arc<Pool>,
    changing: Arc<Changing>,
    feed: Arc<Feed>,
    feed_task: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.feed_task.abort();
    }
}

impl PostgresStore {
    /// Opens the store in the database that this URL names with the defaults of [`PostgresOptions`], see
    /// [`PostgresOptions::open`].
    ///
    /// # Errors
    /// See [`OpenError`]. Whatever the database held, it still holds.
    pub async fn open(url: &str, sealing: Sealing) -> Result<Self, OpenError> {
        PostgresOptions::new().open(url, sealing).await
    }

    pub(super) async fn with_options(
        url: &str,
        sealing: Sealing,
        options: &PostgresOptions,
    ) -> Result<Self, OpenError> {
        let runtime = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let target = Target::parse(url, &options.application_name).map_err(OpenError::Url)?;
        let tls = tls::connector(target.tls, target.root_certificates.as_deref());
        let tls = tls.map_err(OpenError::Certificates)?;
        let limits = options.limits;
        let schema = target.schema.unwrap_or_else(|| options.schema.clone());
        let servers = Arc::new(Servers::new(target.servers, tls, schema.clone(), limits));

        let mut connection = servers.connect(None).await?;
        let encoding = connection.encoding().await.map_err(|failed| OpenError::Other(failed.into_boxed()))?;
        if encoding != "UTF8" {
            return Err(OpenError::Encoding { found: encoding });
        }
        let standbys = connection.standbys().await.map_err(|failed| OpenError::Other(failed.into_boxed()))?;
        if let Some(Waits { waits_for, .. }) = Waits::parse(&standbys).filter(|waits| waits.leaves_some_out())
        {
            tracing::warn!(
                synchronous_standby_names = standbys,
                waits_for,
                "a commit does not wait for every standby that is named: after a failover the old primary could go on \
                 vouching for itself with another one; let it wait for all that may be promoted, as in FIRST 2 (a, b)"
            );
        }
        schema::prepare(&mut connection, &schema, &sealing, &limits).await?;
        drop(connection);

        let process = EntryId::generate().map_err(|_| OpenError::Other(Cause::NoRandomness.into()))?;
        let pool = Arc::new(Pool::new(Arc::clone(&servers), options.connections, limits.request));
        let feed = Feed::new(servers, Arc::clone(&pool), schema.clone(), limits, Uuid::from(process));
        let feed = Arc::new(feed);
        feed.restore().await.map_err(|failed| OpenError::Other(failed.into_boxed()))?;
        let keep_up = {
            let feed = Arc::clone(&feed);
            supervised("the connection that listens", move || Arc::clone(&feed).keep_up())
        };
        let feed_task = runtime.spawn(keep_up).abort_handle();
        let changing = Arc::new(Changing {
            pool: Arc::clone(&pool),
            sealing,
            limits,
            log_capacity: options.log_capacity,
            channel: schema.0,
        });
        let store = Self { shared: Arc::new(Shared { runtime, pool, changing, feed, feed_task }) };
        store.sweep();
        Ok(store)
    }

    /// Seals anew, under the first master key, what is sealed under another one: of the web configs after
    /// `after`, in the order of their ids, as many as `limit` at most. No revision is used up and nothing is logged, since
    /// the secrets stay the same. To be repeated after [`Resealed::last`] while there are more.
    ///
    /// What a bulk end has ended counts towards the limit, and stays as it is: its secrets are never opened again. A
    /// secret of a living web config that cannot be opened is left as it is, counted as [`Resealed::skipped`], and named in the log.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store is a plain one; otherwise as for every change. After
    /// [`StoreError::OutcomeUnknown`] the page can be done again.
    pub async fn reseal(&self, after: Option<WebConfigId>, limit: usize) -> Result<Resealed, StoreError> {
        let changing = Arc::clone(&self.shared.changing);
        let ended = || StoreError::outcome_unknown(Cause::RuntimeEnded);
        self.run(ended, async move { changes::reseal(&changing, after, limit).await }).await
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
        let changing = Arc::clone(&self.shared.changing);
        let ended = || StoreError::outcome_unknown(Cause::RuntimeEnded);
        self.run(ended, async move { changes::retire_keys(&changing).await }).await
    }

    /// The ids of the master keys that the store may hold secrets under, in order; none if it is plain.
    ///
    /// # Errors
    /// As for every read.
    pub async fn known_keys(&self) -> Result<Vec<String>, StoreError> {
        self.read(KnownKeys).await
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
        let (changing, keys) = (Arc::clone(&self.shared.changing), keys.snapshot());
        let ended = || StoreError::outcome_unknown(Cause::RuntimeEnded);
        self.run(ended, async move { changes::adopt_keys(&changing, &keys).await }).await
    }

    /// Removes, some time, the heartbeats of processes long gone. Nothing depends on it.
    fn sweep(&self) {
        const SWEEP: &str = "DELETE FROM heartbeats WHERE beaten_at < clock_timestamp() - interval '1 day'";
        let (pool, limit) = (Arc::clone(&self.shared.pool), self.shared.changing.limits.request);
        self.shared.runtime.spawn(async move {
            let Ok(mut pooled) = pool.take().await else { return };
            if let Ok(Ok(_)) = timeout(limit, pooled.connection.execute(SWEEP, &[])).await {
                pooled.keep();
            }
        });
    }

    /// Runs on the store's own runtime, to the end, even if nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        ended: impl FnOnce() -> StoreError,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.runtime.spawn(work).await.unwrap_or_else(|_| Err(ended()))
    }

    async fn change<W: Work>(&self, work: W) -> Result<W::Answer, StoreError> {
        let changing = Arc::clone(&self.shared.changing);
        let ended = || StoreError::outcome_unknown(Cause::RuntimeEnded);
        self.run(ended, async move { changes::change(&changing, work).await }).await
    }

    async fn read<R: Read>(&self, read: R) -> Result<R::Answer, StoreError> {
        let shared = &self.shared;
        let (pool, limit) = (Arc::clone(&shared.pool), shared.changing.limits.request);
        let ended = || StoreError::unavailable(Cause::RuntimeEnded);
        self.run(ended, async move { read_on(&pool, limit, &read).await }).await
    }

    fn sealing(&self) -> Sealing {
        self.shared.changing.sealing.clone()
    }
}

async fn read_on<R: Read>(pool: &Arc<Pool>, limit: Duration, read: &R) -> Result<R::Answer, StoreError> {
    loop {
        let mut pooled = pool.take().await?;
        match timeout(limit, read.read(&mut pooled.connection)).await {
            Ok(Ok(answer)) => {
                pooled.keep();
                return Ok(answer);
            }
            Ok(Err(_)) if pooled.was_dead() => pool.renew(),
            Ok(Err(failed)) => return Err(failed.into()),
            Err(_) => {
                // The others lead to where this one does.
                pool.renew();
                return Err(StoreError::unavailable(Cause::Silent(limit)));
            }
        }
    }
}

impl SecretStore for PostgresStore {
    async fn load(&self, id: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        self.read(Load { id, sealing: self.sealing() }).await
    }

    async fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        self.read(LoadPage { after, limit, sealing: self.sealing() }).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        self.read(List(query)).await
    }

    async fn create(&self, new: NewWebConfig) -> Result<WebConfig, StoreError> {
        self.change(new).await
    }

    async fn regenerate(&self, id: WebConfigId, secret: Secret) -> Result<Regenerated, StoreError> {
        self.change(Regenerate { id, secret }).await
    }

    async fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, StoreError> {
        self.change(Update { id, patch }).await
    }

    async fn delete(&self, id: WebConfigId) -> Result<Revision, StoreError> {
        self.change(Delete(id)).await
    }

    async fn end(&self, scope: Scope) -> Result<Ended, StoreError> {
        self.change(scope).await
    }

    async fn restore(&self, restored: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        self.change(restored).await
    }

    async fn note_uses(&self, uses: BTreeMap<WebConfigId, Day>) -> Result<(), StoreError> {
        self.read(NoteUses(uses)).await
    }

    async fn last_uses(&self, ids: Vec<WebConfigId>) -> Result<BTreeMap<WebConfigId, Day>, StoreError> {
        self.read(LastUses(ids)).await
    }
}

impl ChangeFeed for PostgresStore {
    async fn living(&self, after: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        self.read(ListLiving { after, limit }).await
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        let log = Log { after, limit };
        let (feed, pool) = (Arc::clone(&self.shared.feed), Arc::clone(&self.shared.pool));
        let limit = self.shared.changing.limits.request;
        let ended = || StoreError::unavailable(Cause::RuntimeEnded);
        let read = async move {
            match feed.read(log).await {
                Some(read) => Ok(read),
                None => read_on(&pool, limit, &log).await,
            }
        };
        self.run(ended, read).await
    }

    async fn prove(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        let feed = Arc::clone(&self.shared.feed);
        let ended = || StoreError::unavailable(Cause::RuntimeEnded);
        self.run(ended, async move { feed.prove(Log { after, limit }).await }).await
    }

    async fn changed(&self, seen: Revision) {
        self.shared.feed.changed(seen).await;
    }

    /// 100 milliseconds (rule C7).
    fn proof_interval(&self) -> Duration {
        Duration::from_millis(100)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.shared.changing.channel).finish_non_exhaustive()
    }
}
