//! A damaged database file of the SQLite store: an error, or records that were sealed as they are given.
//!
//! The input is a list of changes to a file that the store wrote, each of six bytes: three for the place, two bytes to be put
//! there, and how: put, put the first only, flip, cut the file off, or copy from the place that the two name.

use std::sync::OnceLock;

use rusqlite::Connection;
use rusqlite::MAIN_DB;
use tempfile::TempDir;
use voicegain_auth_core::store::{EntryId, ListQuery, LogPosition, Revision};
use voicegain_auth_core::{StoredWebConfig, WebConfigId};
use voicegain_auth_store::fuzzing::sqlite::Reader;
use voicegain_auth_store::sqlite::SqliteStore;

use super::sealing::sealing;
use crate::world::{IDS, secret};

/// What [`crate::seeds::database`] made once.
pub const IMAGE: &[u8] = include_bytes!("../../../seeds/store.sqlite");

struct Prepared {
    reader: Reader,
    /// The store whose files the reader looks for after each read, and where they are.
    _open: (SqliteStore, TempDir),
}

fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("store.db");
        let store = SqliteStore::open(&path, sealing().clone()).expect("a store");
        let reader = Reader::new(store.path(), sealing().clone()).unwrap_or_else(|error| panic!("{error}"));
        Prepared { reader, _open: (store, folder) }
    })
}

pub fn check(input: &[u8]) {
    let image = changed(input);
    if image.is_empty() {
        return;
    }
    let mut connection = Connection::open_in_memory().expect("SQLite");
    connection.deserialize_read_exact(MAIN_DB, image.as_slice(), image.len(), true).expect("any bytes");
    connection.pragma_update(None, "trusted_schema", false).ok();
    let reader = &prepared().reader;
    let _ = reader.is_settled(&connection);

    for id in IDS {
        let id: WebConfigId = id.parse().expect("an id");
        if let Ok(snapshot) = reader.load(&mut connection, id)
            && let Some(stored) = snapshot.value
        {
            assert_eq!(stored.config.id, id);
            check_sealed(&stored);
        }
    }
    if let Ok(page) = reader.load_page(&mut connection, None, 2) {
        page.value.stored.iter().for_each(check_sealed);
    }
    let _ = reader.list(&mut connection, &ListQuery { limit: 10, ..ListQuery::default() });
    let _ = reader.living(&mut connection, None, 2);
    let start = LogPosition { revision: Revision::new(0), entry: EntryId::from_bytes([0; 16]) };
    let _ = reader.log(&mut connection, start, 10);
    if image == IMAGE {
        let quick_check = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        assert!(quick_check.is_ok_and(|said| said == "ok"));
        let all = reader.load_page(&mut connection, None, 10).expect("it is sound");
        assert_eq!(all.value.stored.len(), 3);
    }
}

/// Whose it is and its secret are those of a record that was sealed so.
fn check_sealed(stored: &StoredWebConfig) {
    let config = &stored.config;
    let at = IDS.iter().position(|id| *id == config.id.to_string()).expect("an id that was sealed for");
    assert_eq!(config.account_id.as_str(), format!("account-{}", at / 2));
    assert_eq!(config.context_id.as_str(), format!("context-{at}"));
    let generation = u8::try_from(config.generation.get()).expect("a generation that was sealed");
    assert_eq!(stored.secret.expose(), secret(at, generation), "its own secret of that generation");
}

fn changed(input: &[u8]) -> Vec<u8> {
    let mut image = IMAGE.to_vec();
    for change in input.chunks_exact(6) {
        let [one, two, three, first, second, how] = change else { continue };
        let at = u32::from_be_bytes([0, *one, *two, *three]) as usize % IMAGE.len();
        let other = usize::from(u16::from_be_bytes([*first, *second])) % IMAGE.len();
        match how % 5 {
            0 => put(&mut image, at, &[*first, *second]),
            1 => put(&mut image, at, &[*first]),
            2 => {
                if let Some(byte) = image.get_mut(at) {
                    *byte ^= first;
                }
            }
            3 => image.truncate(at),
            _ => {
                let piece = IMAGE[other..IMAGE.len().min(other + usize::from(how / 5))].to_vec();
                put(&mut image, at, &piece);
            }
        }
    }
    image
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = image.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
