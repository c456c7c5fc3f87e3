//! What is done for the database file to hold everything, and nothing else.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use voicegain_auth_core::store::StoreError;

use super::error::{Failed, Outcome};
use super::files::Files;

/// How long to wait for other processes that read or change the file.
const PATIENCE: Duration = Duration::from_secs(1);

/// Moves all changes out of the write-ahead log into the database file. SQLite does so by itself only when
/// the last connection to the file is closed.
///
/// Where that cannot be had, nothing is lost: the log stays beside the file, and whoever opens it next finds
/// them there.
pub(super) fn before_closing(connection: &mut Connection, files: &Files) {
    let file = files.path().display();
    match truncate_log(connection, files) {
        Ok(Log::Empty) => {}
        Ok(Log::InUse) => {
            tracing::info!(%file, "another process uses the -wal file: it stays, with changes in it")
        }
        Err(failed) => {
            let error = StoreError::from(failed).chain();
            tracing::warn!(%file, error, "changes stay in the -wal file: keep it beside the database file");
        }
    }
}

/// Writes the database file anew, so that the plain secrets that were in it are in none of its free places.
///
/// Where that cannot be had, the secrets are sealed all the same.
pub(super) fn after_sealing(connection: &Connection, path: &Path) {
    // The log goes first: it would hold the old pages until it is written over.
    let anew = "PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)";
    let file = path.display();
    match connection.execute_batch(anew) {
        Ok(()) => tracing::info!(%file, "all secrets in the file are sealed from now on"),
        Err(error) => {
            let error = StoreError::from(Failed::from(error)).chain();
            tracing::warn!(
                %file,
                error,
                "all secrets are sealed from now on, but traces of plain ones may be left in the file: write it \
                 anew with VACUUM while nobody else uses it"
            );
        }
    }
}

enum Log {
    Empty,
    InUse,
}

fn truncate_log(connection: &Connection, files: &Files) -> Outcome<Log> {
    // Whoever uses files that were put in the place of these does not see our locks.
    files.still_there()?;
    connection.busy_timeout(PATIENCE)?;
    let in_use = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(if in_use { Log::InUse } else { Log::Empty })
}
