//! Between rows and records.

use std::str::FromStr;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};
use voicegain_auth_core::store::{Change, EntryId, LogEntry, LogPosition, Revision, Scope};
use voicegain_auth_core::{Generation, InvalidOpaqueId, StoredWebConfig, WebConfig, WebConfigId};
use zeroize::Zeroizing;

use super::error::{Cause, Failed, Outcome};
use super::schema::VERSION;
use crate::sealing::{Binding, SealedSecret, Sealing};

/// The columns that [`web_config`] reads.
pub(super) const WEB_CONFIG: &str =
    "id, account_id, context_id, name, allowed_origins, generation, revision, created_at, secret_created_at";
/// The columns that [`stored_web_config`] and [`sealed_secret`] read.
pub(super) const STORED_WEB_CONFIG: &str = "id, account_id, context_id, name, allowed_origins, generation, \
     revision, created_at, secret_created_at, secret_format, key_id, secret, entry";
/// The columns that [`log_entry`] reads.
pub(super) const LOG_ENTRY: &str = "revision, entry, id, kind, generation, account_id, context_id";

pub(super) const PUT: &str = "put";
pub(super) const DELETED: &str = "deleted";
pub(super) const ENDED: &str = "ended";

/// A number for SQLite, whose integers are signed.
pub(super) fn to_sql(number: u64) -> Outcome<i64> {
    i64::try_from(number).map_err(Failed::damaged)
}

/// How many rows to ask for.
pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What the ids of a page come after.
pub(super) fn after(id: Option<&WebConfigId>) -> &[u8] {
    // The empty blob comes before all others.
    id.map_or(&[], |id| id.as_bytes())
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

/// The row that was asked for by this id, which its first column is: in a damaged file SQLite may be led to another.
pub(super) fn of<'row, 'statement>(
    asked: WebConfigId,
    row: &'row Row<'statement>,
) -> Outcome<&'row Row<'statement>> {
    if id(row, 0)? == asked {
        Ok(row)
    } else {
        Err(Failed::damaged("SQLite answered with another web config"))
    }
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Outcome<&'row str> {
    row.get_ref(column)?.as_str().map_err(Failed::damaged)
}

/// An account or context id.
pub(super) fn parsed<T: FromStr<Err = InvalidOpaqueId>>(row: &Row<'_>, column: usize) -> Outcome<T> {
    text(row, column)?.parse().map_err(Failed::damaged)
}

pub(super) fn web_config(row: &Row<'_>) -> Outcome<WebConfig> {
    Ok(WebConfig {
        id: id(row, 0)?,
        account_id: parsed(row, 1)?,
        context_id: parsed(row, 2)?,
        name: text(row, 3)?.to_owned(),
        allowed_origins: serde_json::from_str(text(row, 4)?).map_err(Failed::damaged)?,
        generation: generation(row, 5)?,
        revision: revision(row, 6)?,
        created_at: number(row, 7)?,
        secret_created_at: number(row, 8)?,
    })
}

pub(super) fn stored_web_config(row: &Row<'_>, sealing: &Sealing) -> Outcome<StoredWebConfig> {
    let config = web_config(row)?;
    let secret = sealing.open(&sealed_secret(row)?, &Binding::of(&config))?;
    Ok(StoredWebConfig { config, secret, entry: EntryId::from_bytes(row.get(12)?) })
}

pub(super) fn sealed_secret(row: &Row<'_>) -> Outcome<SealedSecret> {
    let bytes = row.get_ref(11)?.as_blob().map_err(Failed::damaged)?;
    let bytes = Zeroizing::new(bytes.to_vec());
    Ok(SealedSecret { format: row.get(9)?, key_id: row.get(10)?, bytes })
}

pub(super) fn position(row: &Row<'_>) -> Outcome<LogPosition> {
    Ok(LogPosition { revision: revision(row, 0)?, entry: EntryId::from_bytes(row.get(1)?) })
}

pub(super) fn log_entry(row: &Row<'_>) -> Outcome<LogEntry> {
    let change = match text(row, 3)? {
        PUT => Change::Put {
            id: id(row, 2)?,
            generation: generation(row, 4)?,
            account_id: parsed(row, 5)?,
            context_id: parsed(row, 6)?,
        },
        DELETED => Change::Deleted { id: id(row, 2)?, generation: generation(row, 4)? },
        ENDED if row.get_ref(6)? == ValueRef::Null => Change::Ended(Scope::Account(parsed(row, 5)?)),
        ENDED => Change::Ended(Scope::Context(parsed(row, 5)?, parsed(row, 6)?)),
        _ => return Err(Failed::damaged("a log entry is of a kind that is not known here")),
    };
    Ok(LogEntry { position: position(row)?, change })
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
