//! The tables, and how a database gets from one version of them to the next.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use voicegain_auth_core::store::{EntryId, StoreError};

use super::connection::Connection;
use super::error::{Cause, Failed, OpenError};
use super::options::{Limits, Schema};
use super::sealed;
use super::values::Uuid;
use crate::sealing::{Kind, Sealing, SealingMismatch};

/// What brings a schema from the version that is its index here to the next. An entry that was published never
/// changes.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// The newest version.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Held while a schema is made or changed: "VGau" in ASCII.
const MIGRATION_LOCK: i64 = 0x5647_6175;
/// How long to wait for another process that makes or changes the schema, or reads it while that is changed.
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);

/// `log_head` is the one row that every change locks first. It says where the log ends, so that nobody has to look
/// for that, and which version the schema has.
///
/// The first row of `change_log` is no change but the place to begin reading from; compaction moves that place on.
/// `revision` and `entry` of a web config name the last change of it as the log does.
///
/// A web config lives if no marker that covers it came after it was born: an end of its account (the context of such a
/// marker is the empty one, which no context has) or of its context. `ended_web_configs` remembers the last generation
/// of what was deleted (rule W7).
///
/// A row of `heartbeats` is written with each proof. It never leaves its page, which has room for the row's next
/// versions, and no index but the one on what never changes.
const VERSION_1: &str = "
CREATE TABLE log_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema_version integer NOT NULL,
    revision bigint NOT NULL,
    entry uuid NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE change_log (
    revision bigint PRIMARY KEY,
    entry uuid NOT NULL,
    kind text NOT NULL,
    id uuid,
    generation bigint,
    account_id text,
    context_id text
);

CREATE TABLE web_configs (
    id uuid PRIMARY KEY,
    account_id text NOT NULL,
    context_id text NOT NULL,
    name text NOT NULL,
    allowed_origins text[] NOT NULL,
    secret_format smallint NOT NULL,
    key_id text,
    secret bytea NOT NULL,
    generation bigint NOT NULL,
    revision bigint NOT NULL,
    entry uuid NOT NULL,
    born bigint NOT NULL,
    created_at bigint NOT NULL,
    secret_created_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX web_configs_by_account ON web_configs (account_id, id);
CREATE INDEX web_configs_by_context ON web_configs (context_id, account_id, id);
CREATE INDEX web_configs_by_context_id ON web_configs (context_id, id);

CREATE TABLE ended_web_configs (
    id uuid PRIMARY KEY,
    generation bigint NOT NULL
);

CREATE TABLE ended_scopes (
    account_id text NOT NULL,
    context_id text NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (account_id, context_id)
);

CREATE VIEW living_web_configs AS
SELECT * FROM web_configs w
WHERE NOT EXISTS (SELECT FROM ended_scopes e
                  WHERE e.account_id = w.account_id AND e.context_id = '' AND e.revision > w.born)
  AND NOT EXISTS (SELECT FROM ended_scopes e
                  WHERE e.account_id = w.account_id AND e.context_id = w.context_id AND e.revision > w.born);

CREATE TABLE heartbeats (
    process uuid PRIMARY KEY,
    beaten_at timestamptz NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE sealing (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    kind text NOT NULL
);

CREATE TABLE master_keys (
    key_id text PRIMARY KEY,
    check_value bytea NOT NULL
);
";

/// The last day on which a web config was used, counted from 1970-01-01. It is no part of the record and of no revision.
const VERSION_2: &str = "
CREATE TABLE last_uses (
    id uuid PRIMARY KEY,
    day integer NOT NULL
) WITH (fillfactor = 80);
";

/// What a schema is, before anything in it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    NoSchema,
    Empty,
    Version(i32),
}

/// Makes the schema, or brings it to the newest version, and checks that it is sealed as this process would have it.
/// Any number of processes may do so at once. Where nothing is to be done, nothing is written.
pub(super) async fn prepare(
    connection: &mut Connection,
    schema: &Schema,
    sealing: &Sealing,
    limits: &Limits,
) -> Result<(), OpenError> {
    let prepared = timeout(MIGRATION_LIMIT, Preparation { connection, schema, sealing, limits }.run()).await;
    prepared.unwrap_or_else(|_| Err(OpenError::Other(Cause::Silent(MIGRATION_LIMIT).into())))
}

struct Preparation<'a> {
    connection: &'a mut Connection,
    schema: &'a Schema,
    sealing: &'a Sealing,
    limits: &'a Limits,
}

impl Preparation<'_> {
    async fn run(mut self) -> Result<(), OpenError> {
        if self.inspect().await? == Found::Version(VERSION) && self.admit().await?.is_none() {
            return Ok(());
        }
        let limit = MIGRATION_LIMIT.as_millis();
        self.batch(&format!("BEGIN; SET LOCAL lock_timeout = {limit}")).await?;
        self.batch(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
        // Another process may have been at it since.
        let from = match self.inspect().await? {
            Found::NoSchema => {
                self.batch(&format!("CREATE SCHEMA \"{}\"", self.schema.0)).await?;
                0
            }
            Found::Empty => 0,
            Found::Version(version) => {
                // From here on no change is made, under the old version or with keys we do not know of.
                self.batch("SELECT FROM log_head FOR UPDATE").await?;
                version
            }
        };
        for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
            self.batch(migration).await?;
        }
        if from == 0 {
            self.begin_log().await?;
        } else if from < VERSION {
            self.batch(&format!("UPDATE log_head SET schema_version = {VERSION}")).await?;
        }
        if let Some((key_id, check)) = self.admit().await? {
            let remembered = sealed::remember(self.connection, &key_id, &check).await;
            remembered.map_err(|failed| self.failed(failed))?;
        }
        // The wait may be for an index, not just for the log.
        let committed = self.connection.commit(MIGRATION_LIMIT.max(self.limits.commit)).await;
        committed.map_err(|error| OpenError::Other(error.into()))
    }

    async fn batch(&mut self, sql: &str) -> Result<(), OpenError> {
        let done = self.connection.client().batch_execute(sql).await;
        done.map_err(|error| self.refused(error))
    }

    async fn inspect(&mut self) -> Result<Found, OpenError> {
        const LOOK: &str = "SELECT \
             EXISTS (SELECT FROM pg_namespace WHERE nspname = $1), \
             to_regclass(quote_ident($1) || '.log_head') IS NOT NULL, \
             EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)";
        let rows = self.connection.client().query_typed(LOOK, &[(&self.schema.0, Type::TEXT)]).await;
        let rows = rows.map_err(|error| self.refused(error))?;
        let look = |column: usize| rows.first().is_some_and(|row| row.try_get(column).unwrap_or(false));
        match (look(0), look(1), look(2)) {
            (false, ..) => return Ok(Found::NoSchema),
            (true, true, _) => {}
            (true, false, false) => return Ok(Found::Empty),
            (true, false, true) => return Err(OpenError::ForeignSchema { schema: self.schema.0.clone() }),
        }
        let rows = self.connection.client().query_typed("SELECT schema_version FROM log_head", &[]).await;
        let rows = rows.map_err(|error| match error.code() {
            Some(&SqlState::UNDEFINED_COLUMN) => OpenError::ForeignSchema { schema: self.schema.0.clone() },
            _ => self.refused(error),
        })?;
        match rows.first().map(|row| row.try_get(0)) {
            Some(Ok(version @ 1..=VERSION)) => Ok(Found::Version(version)),
            Some(Ok(found)) if found > VERSION => {
                Err(OpenError::NewerSchema { schema: self.schema.0.clone(), found, supported: VERSION })
            }
            _ => Err(self.damaged("its log has no head")),
        }
    }

    /// Whether it is sealed as this process would have it; answers the key to remember besides, if there is one.
    async fn admit(&mut self) -> Result<Option<(String, Vec<u8>)>, OpenError> {
        let known = sealed::known(self.connection).await.map_err(|failed| self.failed(failed))?;
        let (kind, keys) = known;
        let admitted = Kind::parse(&kind).and_then(|kind| self.sealing.admit(kind, &keys));
        admitted
            .map_err(|source: SealingMismatch| OpenError::Sealing { schema: self.schema.0.clone(), source })
    }

    async fn begin_log(&mut self) -> Result<(), OpenError> {
        let entry = EntryId::generate().map_err(|_| OpenError::Other(Cause::NoRandomness.into()))?;
        let kind = self.sealing.kind().as_str();
        let begun = async {
            let (entry, kind) = (Uuid::from(entry), kind);
            self.connection
                .execute("INSERT INTO change_log (revision, entry, kind) VALUES (0, $1, 'begin')", &[&entry])
                .await?;
            self.connection
                .execute(
                    "INSERT INTO log_head (schema_version, revision, entry) VALUES ($1, 0, $2)",
                    &[&VERSION, &entry],
                )
                .await?;
            self.connection.execute("INSERT INTO sealing (kind) VALUES ($1)", &[&kind]).await
        };
        begun.await.map(|_| ()).map_err(|failed| self.failed(failed))
    }

    fn damaged(&self, what: &'static str) -> OpenError {
        OpenError::Damaged { schema: self.schema.0.clone(), source: what.into() }
    }

    fn failed(&self, failed: Failed) -> OpenError {
        match StoreError::from(failed) {
            StoreError::Damaged(source) => OpenError::Damaged { schema: self.schema.0.clone(), source },
            StoreError::Unavailable(source) => match source.downcast::<tokio_postgres::Error>() {
                Ok(error) => self.refused(*error),
                Err(source) => OpenError::Other(source),
            },
            error => OpenError::Other(error.into()),
        }
    }

    fn refused(&self, error: tokio_postgres::Error) -> OpenError {
        let schema = self.schema.0.clone();
        match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::RESERVED_NAME) => {
                OpenError::NotAllowed { schema, source: error.into() }
            }
            _ => OpenError::Other(error.into()),
        }
    }
}
