//! Between rows and records.

use rusqlite::{Connection, OptionalExtension as _, Row};
use voicegain_auth_core::Secret;
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::{Change, EntryId, LogEntry, LogPosition, Revision};
use voicegain_auth_core::{Generation, StoredWebConfig, WebConfig};

use super::error::{Cause, Failed, Outcome};
use super::schema::VERSION;

/// The columns that [`web_config`] reads.
pub(super) const WEB_CONFIG: &str =
    "id, account_id, context_id, name, allowed_origins, generation, revision, created_at, secret_created_at";
/// The columns that [`stored_web_config`] reads.
pub(super) const STORED_WEB_CONFIG: &str = "id, account_id, context_id, name, allowed_origins, generation, \
     revision, created_at, secret_created_at, secret_format, secret, entry";
/// The columns that [`log_entry`] reads.
pub(super) const LOG_ENTRY: &str = "revision, entry, id, kind, generation";

/// The only `secret_format` so far: the secret as it is.
pub(super) const PLAIN: i64 = 0;

pub(super) const PUT: &str = "put";
pub(super) const DELETED: &str = "deleted";

/// A number for SQLite, whose integers are signed.
pub(super) fn to_sql(number: u64) -> Outcome<i64> {
    i64::try_from(number).map_err(Failed::damaged)
}

/// How many rows to ask for.
pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn number(row: &Row<'_>, column: usize) -> Outcome<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(Failed::damaged)
}

pub(super) fn revision(row: &Row<'_>, column: usize) -> Outcome<Revision> {
    number(row, column).map(Revision::new)
}

pub(super) fn generation(row: &Row<'_>, column: usize) -> Outcome<Generation> {
    number(row, column).map(Generation::new)
}

pub(super) fn id(row: &Row<'_>, column: usize) -> Outcome<WebConfigId> {
    Ok(WebConfigId::from_bytes(row.get(column)?))
}

pub(super) fn web_config(row: &Row<'_>) -> Outcome<WebConfig> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(Failed::damaged);
    Ok(WebConfig {
        id: id(row, 0)?,
        account_id: text(1)?.parse().map_err(Failed::damaged)?,
        context_id: text(2)?.parse().map_err(Failed::damaged)?,
        name: text(3)?.to_owned(),
        allowed_origins: serde_json::from_str(text(4)?).map_err(Failed::damaged)?,
        generation: generation(row, 5)?,
        revision: revision(row, 6)?,
        created_at: number(row, 7)?,
        secret_created_at: number(row, 8)?,
    })
}

pub(super) fn stored_web_config(row: &Row<'_>) -> Outcome<StoredWebConfig> {
    let config = web_config(row)?;
    if row.get::<_, i64>(9)? != PLAIN {
        return Err(Failed::damaged("a secret is in a format that is not known here"));
    }
    let secret = row.get_ref(10)?.as_blob().map_err(Failed::damaged)?;
    let secret = Secret::from_bytes(secret).map_err(Failed::damaged)?;
    Ok(StoredWebConfig { config, secret, entry: EntryId::from_bytes(row.get(11)?) })
}

pub(super) fn position(row: &Row<'_>) -> Outcome<LogPosition> {
    Ok(LogPosition { revision: revision(row, 0)?, entry: EntryId::from_bytes(row.get(1)?) })
}

pub(super) fn log_entry(row: &Row<'_>) -> Outcome<LogEntry> {
    let generation = generation(row, 4)?;
    let change = match row.get_ref(3)?.as_str().map_err(Failed::damaged)? {
        PUT => Change::Put(generation),
        DELETED => Change::Deleted(generation),
        _ => return Err(Failed::damaged("a log entry is of a kind that is not known here")),
    };
    Ok(LogEntry { position: position(row)?, id: id(row, 2)?, change })
}

/// The log's head. Every transaction begins with it, and so also with a look at the schema's version: a newer
/// program may have changed that under this one.
pub(super) fn head(connection: &Connection) -> Outcome<LogPosition> {
    let version: i64 = connection.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?;
    if version != VERSION {
        return Err(Cause::OtherSchema(version).into());
    }
    let mut statement =
        connection.prepare_cached("SELECT revision, entry FROM change_log ORDER BY revision DESC LIMIT 1")?;
    let head = statement.query_row([], |row| Ok(position(row))).optional()?;
    head.unwrap_or_else(|| Err(Failed::damaged("the change log is empty")))
}

/// The JSON text of the allowed origins.
pub(super) fn origins(allowed_origins: &[String]) -> Outcome<String> {
    serde_json::to_string(allowed_origins).map_err(Failed::damaged)
}
