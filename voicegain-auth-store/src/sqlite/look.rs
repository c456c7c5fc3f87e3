//! Looking at a file without opening the store in it: nothing is changed and nothing is made.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::OpenError;
use super::options::SqliteOptions;
use super::sealed::Wanted;
use super::{files, open, schema};
use crate::sealing::Sealing;

/// What there is to be found of a store that is not opened, see [`SqliteOptions::look`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Look {
    /// There is no file; opening would create it.
    Missing,
    /// It would be opened as it is.
    Ready,
    /// It would be opened after something in it was changed: it is empty, of an older version, or its secrets would be sealed
    /// or a new key made known to it.
    WouldChange,
}

pub(super) fn look(path: &Path, sealing: &Sealing, options: &SqliteOptions) -> Result<Look, OpenError> {
    let path = &std::path::absolute(path).map_err(|error| OpenError::io(path, error))?;
    if !files::is_there(path)? {
        return Ok(Look::Missing);
    }
    let connection = connect(path).map_err(|error| OpenError::sqlite(path, error))?;
    schema::recognise(&connection, path)?;
    open::check(&connection, path)?;
    let wanted = Wanted { sealing, seal_existing: options.seal_existing };
    let settled = schema::is_settled(&connection, path, wanted)?;
    Ok(if settled { Look::Ready } else { Look::WouldChange })
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match uri(path) {
        Some(uri) => Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?,
        None => Connection::open_with_flags(path, flags)?,
    };
    // Otherwise the last to close the file would write into it what is in the log beside it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// The file for SQLite, without the making of files beside it if nobody has it open.
#[cfg(unix)]
fn uri(path: &Path) -> Option<String> {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => uri.push(char::from(byte)),
            _ => write!(uri, "%{byte:02X}").ok()?,
        }
    }
    // Without a log beside it all of it is in the one file, and nobody writes to that.
    uri.push_str(if files::has_log(path) { "?mode=ro" } else { "?immutable=1" });
    Some(uri)
}

#[cfg(not(unix))]
fn uri(_path: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use voicegain_auth_core::{NewWebConfig, Secret, SecretStore as _, WebConfigId};

    use super::*;
    use crate::sealing::MasterKeys;
    use crate::sqlite::SqliteStore;

    fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
        let read = fs::read_dir(directory).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        });
        read.collect()
    }

    fn keys(name: &str) -> Sealing {
        MasterKeys::parse(&format!("{name}:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")).unwrap().into()
    }

    #[tokio::test]
    async fn nothing_is_made_or_changed() {
        let place = tempfile::TempDir::new().unwrap();
        let directory = place.path().join("a ?#%41");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("store.db");
        let look =
            |sealing: &Sealing, seal: bool| SqliteOptions::new().seal_existing(seal).look(&path, sealing);
        assert_eq!(look(&Sealing::Plain, false).unwrap(), Look::Missing);
        assert_eq!(files(&directory).len(), 0);

        let store = SqliteStore::open(&path, Sealing::Plain).unwrap();
        let new = NewWebConfig {
            id: WebConfigId::generate().unwrap(),
            account_id: "a".parse().unwrap(),
            context_id: "c".parse().unwrap(),
            name: "n".to_owned(),
            allowed_origins: Vec::new(),
            secret: Secret::generate().unwrap(),
            revive: false,
        };
        store.create(new).await.unwrap();
        // It is in use: what was changed last is in the file beside it, and stays there.
        let names = |files: BTreeMap<String, Vec<u8>>| files.into_keys().collect::<Vec<_>>();
        let before = fs::read(&path).unwrap();
        let log = fs::read(directory.join("store.db-wal")).unwrap();
        assert_eq!(look(&Sealing::Plain, false).unwrap(), Look::Ready);
        assert_eq!(names(files(&directory)), ["store.db", "store.db-shm", "store.db-wal"]);
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read(directory.join("store.db-wal")).unwrap(), log);
        store.close();

        let before = files(&directory);
        assert_eq!(names(before.clone()), ["store.db"]);
        assert_eq!(look(&Sealing::Plain, false).unwrap(), Look::Ready);
        assert!(matches!(look(&keys("k"), false), Err(OpenError::Sealing { .. })));
        assert_eq!(look(&keys("k"), true).unwrap(), Look::WouldChange);
        assert!(files(&directory) == before, "a file has been changed or made");

        fs::write(&path, vec![b'x'; 4096]).unwrap();
        assert!(matches!(look(&Sealing::Plain, false), Err(OpenError::NotADatabase { .. })));
    }
}
