//! What each kind of change does in its transaction.

use voicegain_auth_core::store::{Change, Ended, Regenerated, Revision, Scope, StoreError};
use voicegain_auth_core::{
    Generation, NewWebConfig, RestoredWebConfig, Secret, WebConfig, WebConfigId, WebConfigPatch,
};

use super::changes::{Transaction, Work};
use super::error::{Failed, Outcome};
use super::reads::web_config;
use super::rows::Columns;
use super::sealed;
use super::values::{Hidden, Uuid, to_sql};

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

impl Transaction<'_> {
    /// Has a web config begin, new or restored, as `born` makes it of the generation that its id ended at.
    async fn begin_life(
        &mut self,
        id: WebConfigId,
        secret: &Secret,
        born: impl FnOnce(Option<Generation>, Revision) -> Result<WebConfig, StoreError> + Send,
    ) -> Outcome<(Change, WebConfig)> {
        // What a bulk end has ended is where it was.
        const LOOK: &str = "SELECT generation, EXISTS (SELECT FROM living_web_configs WHERE id = $1) \
             FROM web_configs WHERE id = $1 \
             UNION ALL SELECT generation, false FROM ended_web_configs WHERE id = $1";
        const INSERT: &str = "WITH revived AS (DELETE FROM ended_web_configs WHERE id = $1), \
             unused AS (DELETE FROM last_uses WHERE id = $1) \
             INSERT INTO web_configs (id, account_id, context_id, name, allowed_origins, secret_format, key_id, \
                 secret, generation, revision, entry, born, created_at, secret_created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10, $12, $13) \
             ON CONFLICT (id) DO UPDATE SET account_id = EXCLUDED.account_id, context_id = EXCLUDED.context_id, \
                 name = EXCLUDED.name, allowed_origins = EXCLUDED.allowed_origins, \
                 secret_format = EXCLUDED.secret_format, key_id = EXCLUDED.key_id, secret = EXCLUDED.secret, \
                 generation = EXCLUDED.generation, revision = EXCLUDED.revision, entry = EXCLUDED.entry, \
                 born = EXCLUDED.born, created_at = EXCLUDED.created_at, \
                 secret_created_at = EXCLUDED.secret_created_at";
        let id = Uuid::from(id);
        let found = self.connection.query_opt(LOOK, &[&id]).await?;
        let found = found.map(|row| {
            let mut row = Columns::of(&row);
            Ok::<_, Failed>((row.generation()?, row.take::<bool>()?))
        });
        let ended = match found.transpose()? {
            Some((_, true)) => return Err(StoreError::AlreadyExists.into()),
            found => found.map(|(last, _)| last),
        };
        let config = born(ended, self.position.revision)?;
        let sealed = sealed::seal(self.connection, self.sealing, secret, &config).await?;
        self.connection
            .execute(
                INSERT,
                &[
                    &id,
                    &config.account_id.as_str(),
                    &config.context_id.as_str(),
                    &config.name,
                    &config.allowed_origins,
                    &sealed.format,
                    &sealed.key_id,
                    &Hidden(&sealed.bytes),
                    &to_sql(config.generation.get())?,
                    &to_sql(self.position.revision.get())?,
                    &Uuid::from(self.position.entry),
                    &to_sql(config.created_at)?,
                    &to_sql(config.secret_created_at)?,
                ],
            )
            .await?;
        Ok((put(&config), config))
    }
}

impl Work for NewWebConfig {
    type Answer = WebConfig;

    async fn work(self, transaction: &mut Transaction<'_>) -> Outcome<(Change, WebConfig)> {
        let now = transaction.now;
        let born = |ended, revision| self.born(ended, revision, now);
        transaction.begin_life(self.id, &self.secret, born).await
    }
}

impl Work for RestoredWebConfig {
    type Answer = WebConfig;

    async fn work(self, transaction: &mut Transaction<'_>) -> Outcome<(Change, WebConfig)> {
        let born = |ended, revision| self.born(ended, revision);
        transaction.begin_life(self.id, &self.secret, born).await
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
        let sealed = sealed::seal(transaction.connection, transaction.sealing, &self.secret, &config).await?;
        transaction
            .connection
            .execute(
                UPDATE,
                &[
                    &Uuid::from(self.id),
                    &sealed.format,
                    &sealed.key_id,
                    &Hidden(&sealed.bytes),
                    &to_sql(config.generation.get())?,
                    &to_sql(config.revision.get())?,
                    &Uuid::from(transaction.position.entry),
                    &to_sql(config.secret_created_at)?,
                ],
            )
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
            .execute(
                UPDATE,
                &[
                    &Uuid::from(self.id),
                    &config.name,
                    &config.allowed_origins,
                    &to_sql(config.revision.get())?,
                    &Uuid::from(transaction.position.entry),
                ],
            )
            .await?;
        Ok((put(&config), config))
    }
}

pub(super) struct Delete(pub(super) WebConfigId);

impl Work for Delete {
    type Answer = Revision;

    async fn work(self, transaction: &mut Transaction<'_>) -> Outcome<(Change, Revision)> {
        const DELETE: &str = "WITH deleted AS (DELETE FROM web_configs WHERE id = $1), \
             unused AS (DELETE FROM last_uses WHERE id = $1) \
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
