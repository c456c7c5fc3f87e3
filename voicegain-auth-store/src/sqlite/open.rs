//! Opening: look first, change nothing that is not ours, then make it ready.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::error::OpenError;
use super::files::{self, Files};
use super::options::SqliteOptions;
use super::sealed::Wanted;
use super::{checkpoint, rows, schema};
use crate::sealing::Sealing;

/// Keeps the threads of one process from opening the same path at once, see [`files::find_or_create`].
static OPENING: Mutex<()> = Mutex::new(());

/// Both connections, and the files they have open.
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) reader: Connection,
    pub(super) files: Files,
}

pub(super) fn open(path: &Path, sealing: &Sealing, options: &SqliteOptions) -> Result<Opened, OpenError> {
    let wanted = Wanted { sealing, seal_existing: options.seal_existing };
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    // The working directory may change later.
    let path = &std::path::absolute(path).map_err(|error| OpenError::io(path, error))?;
    let failed = |error| OpenError::sqlite(path, error);

    let database = files::find_or_create(path)?;
    let mut writer = connect(path, options).map_err(failed)?;
    if writer.is_readonly("main").map_err(failed)? {
        return Err(OpenError::NotWritable {
            path: path.clone(),
            source: "it could be opened for reading only".into(),
        });
    }
    schema::recognise(&writer, path)?;
    check(&writer, path)?;
    schema::is_settled(&writer, path, wanted)?;
    files::close_to_others(path)?;
    use_write_ahead_log(&writer, path, options.busy_timeout)?;
    if schema::settle(&mut writer, path, wanted)? {
        checkpoint::after_sealing(&writer, path);
    }

    let reader = connect(path, options).map_err(failed)?;
    reader.pragma_update(None, "query_only", true).map_err(failed)?;
    // From its first read on, a connection holds a lock that keeps the files beside the database in place.
    for connection in [&writer, &reader] {
        rows::head(connection).map_err(|failed| OpenError::first_read(path, failed.into()))?;
    }
    // Once more for the files that SQLite has created since.
    files::close_to_others(path)?;
    let files = Files::opened(path, database)?;
    Ok(Opened { writer, reader, files })
}

fn connect(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    // Never creates the file, and takes the path as it is.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What macOS needs for the same.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Superseded secrets are overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

/// Reads the whole file for damage. It also reads the header of the write-ahead log, if there is one.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let finding: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| OpenError::sqlite(path, error))?;
    if finding == "ok" {
        Ok(())
    } else {
        Err(OpenError::Damaged { path: path.to_owned(), source: finding.into() })
    }
}

fn use_write_ahead_log(connection: &Connection, path: &Path, patience: Duration) -> Result<(), OpenError> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(OpenError::UnsuitableFileSystem { path: path.to_owned() }),
            Err(error) => {
                // SQLite does not always wait by itself when two processes change the mode at once.
                let error = OpenError::sqlite(path, error);
                if !matches!(error, OpenError::Busy { .. }) || begun.elapsed() >= patience {
                    return Err(error);
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_connections_are_set_up() {
        let directory = tempfile::TempDir::new().unwrap();
        let Opened { writer, reader, .. } =
            open(&directory.path().join("store.db"), &Sealing::Plain, &SqliteOptions::new()).unwrap();
        for connection in [&writer, &reader] {
            let number = |pragma: &str| {
                connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap()
            };
            assert_eq!(number("synchronous"), 2, "FULL");
            assert_eq!(number("foreign_keys"), 1);
            assert_eq!(number("secure_delete"), 1);
            assert_eq!(number("busy_timeout"), 5_000);
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(mode, "wal");
        }
        reader.execute_batch("DELETE FROM change_log").unwrap_err();
    }
}
