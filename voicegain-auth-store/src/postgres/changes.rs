//! Changes: each in one transaction, which also appends to the log and tells the other processes.

use std::future::Future;
use std::sync::Arc;

use tokio::time::timeout;
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::{Change, EntryId, LogPosition, Revision, Scope, StoreError};

use super::connection::Connection;
use super::error::{Cause, Failed, Outcome};
use super::options::Limits;
use super::pool::{Pool, Pooled};
use super::rows::{Columns, DELETED, ENDED, PUT};
use super::sealed;
use super::values::{Uuid, to_sql};
use crate::sealing::{MasterKeys, Resealed, Retired, Sealing};

/// What every change needs to know of the store.
pub(super) struct Changing {
    pub(super) pool: Arc<Pool>,
    pub(super) sealing: Sealing,
    pub(super) limits: Limits,
    pub(super) log_capacity: u32,
    pub(super) channel: String,
}

/// A transaction that holds the head of the log.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) sealing: &'a Sealing,
    /// Where the change will stand in the log.
    pub(super) position: LogPosition,
    /// By the server's clock, in seconds since the Unix epoch.
    pub(super) now: u64,
}

/// One kind of change.
pub(super) trait Work: Send + 'static {
    type Answer: Send + 'static;

    fn work(
        self,
        transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = Outcome<(Change, Self::Answer)>> + Send;
}

/// Makes a change. Once begun it must be carried through, whoever still waits for it: call it in a task of its own.
pub(super) async fn change<W: Work>(store: &Changing, work: W) -> Result<W::Answer, StoreError> {
    let (mut pooled, head, now) = begin(store).await?;
    let revision = Revision::new(head.revision.get().saturating_add(1));
    let entry = EntryId::generate().map_err(|_| StoreError::unavailable(Cause::NoRandomness))?;
    let position = LogPosition { revision, entry };
    let connection = &mut pooled.connection;
    let worked = within(store, async {
        let mut transaction = Transaction { connection, sealing: &store.sealing, position, now };
        let (change, answer) = work.work(&mut transaction).await?;
        append(connection, position, &change, store).await?;
        Ok(answer)
    });
    match worked.await {
        Ok(answer) => {
            pooled.connection.commit(store.limits.commit).await?;
            pooled.keep();
            Ok(answer)
        }
        Err(failed) => {
            roll_back(store, pooled, &failed).await;
            Err(failed.into())
        }
    }
}

/// Seals a page of secrets anew. That is no change: it takes no revision and nobody is told.
pub(super) async fn reseal(
    store: &Changing,
    after: Option<WebConfigId>,
    limit: usize,
) -> Result<Resealed, StoreError> {
    let mut pooled = store.pool.take().await?;
    let connection = &mut pooled.connection;
    let resealed = within(store, async {
        connection.batch("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
        sealed::reseal(connection, &store.sealing, after, limit).await
    });
    let resealed = resealed.await?;
    pooled.connection.commit(store.limits.commit).await?;
    pooled.keep();
    Ok(resealed)
}

/// Forgets master keys. The head is locked, since whoever makes a change may be about to seal under one of them.
pub(super) async fn retire_keys(store: &Changing) -> Result<Retired, StoreError> {
    let (mut pooled, ..) = begin(store).await?;
    let retired = within(store, sealed::retire_keys(&mut pooled.connection, &store.sealing)).await?;
    pooled.connection.commit(store.limits.commit).await?;
    pooled.keep();
    Ok(retired)
}

/// Puts other master keys to use. The head is locked, so that nobody else remembers or forgets one meanwhile.
pub(super) async fn adopt_keys(store: &Changing, keys: &MasterKeys) -> Result<(), StoreError> {
    store.sealing.may_adopt(keys)?;
    let (mut pooled, ..) = begin(store).await?;
    within(store, sealed::adopt_keys(&mut pooled.connection, &store.sealing, keys)).await?;
    pooled.connection.commit(store.limits.commit).await?;
    pooled.keep();
    store.sealing.adopt(keys)
}

async fn within<T>(store: &Changing, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    // The wait for a lock is bounded by the server, and by this if the server is gone.
    let limit = store.limits.request.saturating_add(store.limits.lock);
    timeout(limit, work).await.unwrap_or_else(|_| Err(Cause::Silent(limit).into()))
}

/// Begins a transaction and locks the head of the log, so that revisions become visible in their order.
async fn begin(store: &Changing) -> Outcome<(Pooled, LogPosition, u64)> {
    const LOCK: &str = "SELECT schema_version, revision, entry, \
         floor(extract(epoch FROM clock_timestamp()))::bigint FROM log_head FOR UPDATE";
    loop {
        let mut pooled = store.pool.take().await?;
        let connection = &mut pooled.connection;
        let locked = within(store, async {
            let lock = connection.prepare(LOCK).await?;
            let client = connection.client();
            // Sent together.
            let (begun, locked) = tokio::join!(biased;
                client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
                client.query_opt(&lock, &[]));
            begun.and(locked).map_err(|error| connection.explain(error))
        });
        match locked.await {
            Ok(row) => {
                let row = row.ok_or_else(|| Failed::damaged("the change log has no head"))?;
                let mut row = Columns::of(&row);
                let (head, now) = (row.head()?, row.number()?);
                return Ok((pooled, head, now));
            }
            Err(_) if pooled.was_dead() => store.pool.renew(),
            Err(failed) => return Err(failed),
        }
    }
}

/// A connection with an open transaction is closed, which rolls it back; only after an answer it is worth keeping.
async fn roll_back(store: &Changing, mut pooled: Pooled, failed: &Failed) {
    if failed.is_answer() && within(store, pooled.connection.batch("ROLLBACK")).await.is_ok() {
        pooled.keep();
    }
}

/// The entry before the ones that are kept stays too: it is where reading all of them begins.
async fn append(
    connection: &mut Connection,
    position: LogPosition,
    change: &Change,
    store: &Changing,
) -> Outcome<()> {
    const SQL: &str = "WITH \
         logged AS (INSERT INTO change_log (revision, entry, kind, id, generation, account_id, context_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)), \
         compacted AS (DELETE FROM change_log WHERE revision < $8), \
         moved AS (UPDATE log_head SET revision = $1, entry = $2) \
         SELECT pg_notify($9, $10)";
    let (kind, of, account, context) = match change {
        Change::Put { id, generation, account_id, context_id } => {
            (PUT, Some((*id, *generation)), Some(account_id), Some(context_id))
        }
        Change::Deleted { id, generation } => (DELETED, Some((*id, *generation)), None, None),
        Change::Ended(Scope::Account(account_id)) => (ENDED, None, Some(account_id), None),
        Change::Ended(Scope::Context(account_id, context_id)) => {
            (ENDED, None, Some(account_id), Some(context_id))
        }
        _ => return Err(StoreError::unavailable("a change of a kind that this store cannot record").into()),
    };
    let revision = to_sql(position.revision.get())?;
    let generation = of.map(|(_, generation)| to_sql(generation.get())).transpose()?;
    connection
        .execute(
            SQL,
            &[
                &revision,
                &Uuid::from(position.entry),
                &kind,
                &of.map(|(id, _)| Uuid::from(id)),
                &generation,
                &account.map(|id| id.as_str()),
                &context.map(|id| id.as_str()),
                &revision.saturating_sub(i64::from(store.log_capacity)),
                &store.channel,
                &revision.to_string(),
            ],
        )
        .await?;
    Ok(())
}
