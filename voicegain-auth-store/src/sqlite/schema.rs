//! The tables, and how a file gets from one version of them to the next.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use voicegain_auth_core::store::EntryId;

use super::error::OpenError;
use super::sealed::{Refused, Wanted};

/// Marks a file as ours: "VGau" in ASCII.
const APPLICATION_ID: i64 = 0x5647_6175;

/// What brings a file from the version that is its index here to the next. An entry that was published never
/// changes.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

/// The newest version.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The version that says how the file is sealed.
const SEALED_SINCE: i64 = 2;

/// `revision` and `entry` name the last change of a web config as the log does.
/// `secret_format` says what `secret` is: 0 for the secret itself; other numbers are free for sealed secrets.
///
/// `ended_web_configs` remembers the last generation of what was deleted (rule W7). The first row of
/// `change_log` is no change but the place to begin reading from; compaction moves that place on.
const VERSION_1: &str = "
CREATE TABLE web_configs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id TEXT NOT NULL,
    context_id TEXT NOT NULL,
    name TEXT NOT NULL,
    allowed_origins TEXT NOT NULL,
    secret_format INTEGER NOT NULL,
    secret BLOB NOT NULL,
    generation INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    entry BLOB NOT NULL CHECK (length(entry) = 16),
    created_at INTEGER NOT NULL,
    secret_created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX web_configs_by_context ON web_configs (account_id, context_id, id);

CREATE TABLE ended_web_configs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE change_log (
    revision INTEGER NOT NULL PRIMARY KEY,
    entry BLOB NOT NULL CHECK (length(entry) = 16),
    id BLOB CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    generation INTEGER
) STRICT;
";

/// `born` is the revision by which a web config was created or revived. `ended_scopes` holds the revision of the
/// last bulk end of an account (`context_id` is empty then) or of one of its contexts; a web config lives unless
/// one that covers it came after it was born. Whoever wants to know what lives reads `living_web_configs`.
///
/// `key_id` names the master key that a secret is sealed under. `sealing` says whether all secrets are, and
/// `master_keys` holds a check value for each key that secrets may be sealed under.
///
/// The log of version 1 does not say whose web configs it speaks of. What is left of it is the place to begin
/// reading from, which is its head.
const VERSION_2: &str = "
ALTER TABLE web_configs ADD COLUMN key_id TEXT;
ALTER TABLE web_configs ADD COLUMN born INTEGER NOT NULL DEFAULT 0;

CREATE TABLE ended_scopes (
    account_id TEXT NOT NULL,
    context_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (account_id, context_id)
) STRICT, WITHOUT ROWID;

CREATE VIEW living_web_configs AS
SELECT * FROM web_configs WHERE NOT EXISTS (
    SELECT 1 FROM ended_scopes
    WHERE ended_scopes.account_id = web_configs.account_id
      AND ended_scopes.context_id IN ('', web_configs.context_id)
      AND ended_scopes.revision > web_configs.born
);

ALTER TABLE change_log ADD COLUMN account_id TEXT;
ALTER TABLE change_log ADD COLUMN context_id TEXT;
DELETE FROM change_log WHERE revision < (SELECT max(revision) FROM change_log);

CREATE TABLE sealing (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    kind TEXT NOT NULL
) STRICT;

CREATE TABLE master_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    check_value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The last day on which a web config was used, counted from 1970-01-01. It is no part of the record and of no revision.
const VERSION_3: &str = "
CREATE TABLE last_uses (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    day INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What a file is, before anything in it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Empty,
    Version(i64),
}

/// Looks what the file is; an error for everything that is not ours to change.
pub(super) fn recognise(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    // In one snapshot, because another process may be creating the tables just now.
    let snapshot = connection.unchecked_transaction().map_err(|error| OpenError::sqlite(path, error))?;
    inspect(&snapshot, path).map(|_| ())
}

/// Whether the file is of the newest version and sealed as wanted, so that nothing in it needs changing; an error
/// if it must not be opened like that.
pub(super) fn is_settled(
    connection: &Connection,
    path: &Path,
    wanted: Wanted<'_>,
) -> Result<bool, OpenError> {
    let snapshot = connection.unchecked_transaction().map_err(|error| OpenError::sqlite(path, error))?;
    match inspect(&snapshot, path)? {
        Found::Empty => Ok(false),
        Found::Version(VERSION) => wanted.is_settled(&snapshot).map_err(|refused| refused.at(path)),
        Found::Version(_) => wanted.admits_plain().map(|()| false).map_err(|refused| refused.at(path)),
    }
}

fn inspect(connection: &Connection, path: &Path) -> Result<Found, OpenError> {
    let failed = |error| OpenError::sqlite(path, error);
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let version = number("user_version").map_err(failed)?;
    let application = number("application_id").map_err(failed)?;
    if application == APPLICATION_ID {
        return match version {
            1..=VERSION => Ok(Found::Version(version)),
            0 => Err(OpenError::Damaged { path: path.to_owned(), source: "it has no schema version".into() }),
            found => Err(OpenError::NewerSchema { path: path.to_owned(), found, supported: VERSION }),
        };
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if (application, version, tables) == (0, 0, 0) {
        Ok(Found::Empty)
    } else {
        Err(OpenError::ForeignDatabase { path: path.to_owned() })
    }
}

/// Brings the file to the newest version and seals it as wanted, in one transaction; whether plain secrets
/// were sealed.
pub(super) fn settle(
    connection: &mut Connection,
    path: &Path,
    wanted: Wanted<'_>,
) -> Result<bool, OpenError> {
    if is_settled(connection, path, wanted)? {
        return Ok(false);
    }
    let failed = |error| OpenError::sqlite(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have been at it since.
    let from = match inspect(&transaction, path)? {
        Found::Empty => 0,
        Found::Version(version) => version,
    };
    for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    if from == 0 {
        begin_log(&transaction, path)?;
    }
    let refused = |refused: Refused| refused.at(path);
    if from < SEALED_SINCE {
        wanted.begin(&transaction, from == 0).map_err(refused)?;
    }
    let converted = wanted.settle(&transaction).map_err(refused)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(converted)
}

fn begin_log(transaction: &Transaction<'_>, path: &Path) -> Result<(), OpenError> {
    let entry = EntryId::generate()
        .map_err(|error| OpenError::Other { path: path.to_owned(), source: error.into() })?;
    transaction
        .execute("INSERT INTO change_log (revision, entry, kind) VALUES (0, ?1, 'begin')", [entry.as_bytes()])
        .map_err(|error| OpenError::sqlite(path, error))?;
    Ok(())
}
