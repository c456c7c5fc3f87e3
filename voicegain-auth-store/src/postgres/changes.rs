//! Changes: each in one transaction, which also appends to the log and tells the other processes.

use std::future::Future;
use std::sync::Arc;

use tokio::time::timeout;
use voicegain_auth_core::store::{
    Change, Ended, EntryId, LogPosition, Regenerated, Revision, Scope, StoreError,
};
use voicegain_auth_core::{Generation, NewWebConfig, Secret, WebConfig, WebConfigId, WebConfigPatch};

use super::connection::Connection;
use super::error::{Cause, Failed, Outcome};
use super::options::Limits;
use super::pool::{Pool, Pooled};
use super::reads::web_config;
use super::rows::{Columns, DELETED, ENDED, PUT};
use super::sealed;
use super::values::{Hidden, Uuid, to_sql};
use crate::sealing::{Resealed, Sealing};

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
    connection: &'a mut Connection,
    sealing: &'a Sealing,
    /// Where the change will stand in the log.
    position: LogPosition,
    /// By the server's clock, in seconds since the Unix epoch.
    now: u64,
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
        connection.batch("BEGIN").await?;
        sealed::reseal(connection, &store.sealing, after, limit).await
    });
    let resealed = resealed.await?;
    pooled.connection.commit(store.limits.commit).await?;
    pooled.keep();
    Ok(resealed)
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
        .execute(SQL, &[
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
        ])
        .await?;
    Ok(())
}

fn put(config: &WebConfig) -> Change {
    Change::Put {
        id: config.id,
        generation: config.generation,
        account_id: config.account_id.clone(),
        context_id: config.context_id.clone(),
    }
}

impl Transaction<'_> {
    async fn living(&mut self, id: WebConfigId) -> Outcome<WebConfig> {
        const SQL: &str = concat!("SELECT ", web_config!(), " FROM living_web_configs w WHERE w.id = $1");
        let row = self.connection.query_opt(SQL, &[&Uuid::from(id)]).await?;
        Columns::of(&row.ok_or(StoreError::NotFound)?).web_config()
    }

    async fn others_of_context(&mut self, config: &WebConfig) -> Outcome<Vec<WebConfig>> {
        const SQL: &str = concat!(
            "SELECT ",
            web_config!(),
            " FROM living_web_configs w WHERE w.account_id = $1 AND w.context_id = $2 AND w.id <> $3 ORDER BY w.id"
        );
        let (account, context) = (config.account_id.as_str(), config.context_id.as_str());
        let rows = self.connection.query(SQL, &[&account, &context, &Uuid::from(config.id)]).await?;
        rows.iter().map(|row| Columns::of(row).web_config()).collect()
    }
}

impl Work for NewWebConfig {
    type Answer = WebConfig;

    async fn work(self, transaction: &mut Transaction<'_>) -> Outcome<(Change, WebConfig)> {
        // What a bulk end has ended is where it was.
        const LOOK: &str = "SELECT generation, EXISTS (SELECT FROM living_web_configs WHERE id = $1) \
             FROM web_configs WHERE id = $1 \
             UNION ALL SELECT generation, false FROM ended_web_configs WHERE id = $1";
        const INSERT: &str = "WITH revived AS (DELETE FROM ended_web_configs WHERE id = $1) \
             INSERT INTO web_configs (id, account_id, context_id, name, allowed_origins, secret_format, key_id, \
                 secret, generation, revision, entry, born, created_at, secret_created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10, $12, $12) \
             ON CONFLICT (id) DO UPDATE SET account_id = EXCLUDED.account_id, context_id = EXCLUDED.context_id, \
                 name = EXCLUDED.name, allowed_origins = EXCLUDED.allowed_origins, \
                 secret_format = EXCLUDED.secret_format, key_id = EXCLUDED.key_id, secret = EXCLUDED.secret, \
                 generation = EXCLUDED.generation, revision = EXCLUDED.revision, entry = EXCLUDED.entry, \
                 born = EXCLUDED.born, created_at = EXCLUDED.created_at, \
                 secret_created_at = EXCLUDED.secret_created_at";
        let id = Uuid::from(self.id);
        let found = transaction.connection.query_opt(LOOK, &[&id]).await?;
        let found = found.map(|row| {
            let mut row = Columns::of(&row);
            Ok::<_, Failed>((row.generation()?, row.take::<bool>()?))
        });
        let generation = match found.transpose()? {
            None => Generation::FIRST,
            Some((_, true)) => return Err(StoreError::AlreadyExists.into()),
            Some((last, false)) if self.revive => last.next(),
            Some(_) => return Err(StoreError::Deleted.into()),
        };
        let config = WebConfig {
            id: self.id,
            account_id: self.account_id,
            context_id: self.context_id,
            name: self.name,
            allowed_origins: self.allowed_origins,
            generation,
            revision: transaction.position.revision,
            created_at: transaction.now,
            secret_created_at: transaction.now,
        };
        let sealed =
            sealed::seal(transaction.connection, transaction.sealing, &self.secret, &config).await?;
        transaction
            .connection
            .execute(INSERT, &[
                &id,
                &config.account_id.as_str(),
                &config.context_id.as_str(),
                &config.name,
                &config.allowed_origins,
                &sealed.format,
                &sealed.key_id,
                &Hidden(&sealed.bytes),
                &to_sql(generation.get())?,
                &to_sql(transaction.position.revision.get())?,
                &Uuid::from(transaction.position.entry),
                &to_sql(transaction.now)?,
            ])
            .await?;
        Ok((put(&config), config))
    }
}

pub(super) struct Regenerate {
    pub(super) id: WebConfigId,
    pub(super) secret: Secret,
}

impl Work for Regenerate {
    type Answer = Regenerated;

    async fn work(self, transaction: &mut Transaction<'_>) -> Outcome<(Change, Regenerated)> {
        const UPDATE: &str = "UPDATE web_configs SET secret_format = $2, key_id = $3, secret = $4, generation = $5, \
             revision = $6, entry = $7, secret_created_at = $8 WHERE id = $1";
        let mut config = transaction.living(self.id).await?;
        config.generation = config.generation.next();
        config.revision = transaction.position.revision;
        config.secret_created_at = transaction.now;
        let sealed =
            sealed::seal(transaction.connection, transaction.sealing, &self.secret, &config).await?;
        transaction
            .connection
            .execute(UPDATE, &[
                &Uuid::from(self.id),
                &sealed.format,
                &sealed.key_id,
                &Hidden(&sealed.bytes),
                &to_sql(config.generation.get())?,
                &to_sql(config.revision.get())?,
                &Uuid::from(transaction.position.entry),
                &to_sql(config.secret_created_at)?,
            ])
            .await?;
        let others = transaction.others_of_context(&config).await?;
        Ok((put(&config), Regenerated { config, others }))
    }
}

pub(super) struct Update {
    pub(super) id: WebConfigId,
    pub(super) patch: WebConfigPatch,
}

impl Work for Update {
    type Answer = WebConfig;

    async fn work(self, transaction: &mut Transaction<'_>) -> Outcome<(Change, WebConfig)> {
        const UPDATE: &str =
            "UPDATE web_configs SET name = $2, allowed_origins = $3, revision = $4, entry = $5 WHERE id = $1";
        let mut config = transaction.living(self.id).await?;
        config.name = self.patch.name.unwrap_or(config.name);
        config.allowed_origins = self.patch.allowed_origins.unwrap_or(config.allowed_origins);
        config.revision = transaction.position.revision;
        transaction
            .connection
            .execute(UPDATE, &[
                &Uuid::from(self.id),
                &config.name,
                &config.allowed_origins,
                &to_sql(config.revision.get())?,
                &Uuid::from(transaction.position.entry),
            ])
            .await?;
        Ok((put(&config), config))
    }
}

pub(super) struct Delete(pub(super) WebConfigId);

impl Work for Delete {
    type Answer = Revision;

    async fn work(self, transaction: &mut Transaction<'_>) -> Outcome<(Change, Revision)> {
        const DELETE: &str = "WITH deleted AS (DELETE FROM web_configs WHERE id = $1) \
             INSERT INTO ended_web_configs (id, generation) VALUES ($1, $2)";
        let generation = transaction.living(self.0).await?.generation;
        transaction.connection.execute(DELETE, &[&Uuid::from(self.0), &to_sql(generation.get())?]).await?;
        Ok((Change::Deleted { id: self.0, generation }, transaction.position.revision))
    }
}

impl Work for Scope {
    type Answer = Ended;

    async fn work(self, transaction: &mut Transaction<'_>) -> Outcome<(Change, Ended)> {
        const COUNT_ACCOUNT: &str = "SELECT count(*) FROM living_web_configs WHERE account_id = $1";
        const COUNT_CONTEXT: &str =
            "SELECT count(*) FROM living_web_configs WHERE account_id = $1 AND context_id = $2";
        const MARK: &str = "INSERT INTO ended_scopes (account_id, context_id, revision) VALUES ($1, $2, $3) \
             ON CONFLICT (account_id, context_id) DO UPDATE SET revision = EXCLUDED.revision";
        let connection = &mut *transaction.connection;
        // As a marker an account has the empty context id, which no context has.
        let (counted, account, context) = match &self {
            Self::Account(account) => {
                (connection.query_opt(COUNT_ACCOUNT, &[&account.as_str()]).await?, account, "")
            }
            Self::Context(account, context) => {
                let with: [&str; 2] = [account.as_str(), context.as_str()];
                let [a, c] = &with;
                (connection.query_opt(COUNT_CONTEXT, &[a, c]).await?, account, context.as_str())
            }
        };
        let web_configs = counted.map(|row| Columns::of(&row).number()).transpose()?.unwrap_or(0);
        let revision = transaction.position.revision;
        connection.execute(MARK, &[&account.as_str(), &context, &to_sql(revision.get())?]).await?;
        Ok((Change::Ended(self), Ended { revision, web_configs }))
    }
}
