//! How a SQLite file of an older version, or a plain one, gets to where it is now.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use voicegain_auth_core::store::{
    Change, ChangeFeed as _, LogRead, Revision, Scope, SecretStore as _, StoreError,
};
use voicegain_auth_core::{Generation, NewWebConfig, Secret, WebConfigId};
use voicegain_auth_store::sealing::{MasterKeys, Sealing, SealingMismatch};
use voicegain_auth_store::sqlite::{OpenError, SqliteOptions, SqliteStore};

/// The tables of version 1, as they were published.
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

PRAGMA application_id = 0x56476175;
PRAGMA user_version = 1;
PRAGMA journal_mode = wal;
";

const COUNT: u8 = 40;
/// What a file becomes when it is opened.
const NEWEST: i64 = 3;

fn id(number: u8) -> WebConfigId {
    WebConfigId::from_bytes([number; 16])
}

fn secret(number: u8) -> Secret {
    Secret::from_bytes(format!("the-plain-secret-number-{number:03}-").repeat(2).as_bytes()).unwrap()
}

/// A file of version 1: web configs 1 to 40, each created by the revision of its number, the last one then
/// deleted.
fn version_1() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.db");
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(VERSION_1).unwrap();
    raw.execute("INSERT INTO change_log VALUES (0, ?1, NULL, 'begin', NULL)", [[0_u8; 16]]).unwrap();
    for number in 1..=COUNT {
        let entry = [number; 16];
        raw.execute("INSERT INTO change_log VALUES (?1, ?2, ?2, 'put', 1)", (number, entry)).unwrap();
        raw.execute(
            "INSERT INTO web_configs VALUES (?1, 'account', ?2, 'name', '[]', 0, ?3, 1, ?4, ?1, 5, 5)",
            (entry, ["x", "y"][usize::from(number % 2)], secret(number).expose(), number),
        )
        .unwrap();
    }
    raw.execute("INSERT INTO change_log VALUES (?1, ?2, ?3, 'deleted', 1)", (41, [41_u8; 16], [COUNT; 16]))
        .unwrap();
    raw.execute("DELETE FROM web_configs WHERE id = ?1", [[COUNT; 16]]).unwrap();
    raw.execute("INSERT INTO ended_web_configs VALUES (?1, 1)", [[COUNT; 16]]).unwrap();
    drop(raw);
    (directory, path)
}

fn keys(place: &TempDir) -> MasterKeys {
    let path = place.path().join("master.keys");
    if path.exists() {
        MasterKeys::read_file(path).unwrap()
    } else {
        MasterKeys::generate_file(path).unwrap()
    }
}

fn new_config(number: u8) -> NewWebConfig {
    NewWebConfig {
        id: id(number),
        account_id: "account".parse().unwrap(),
        context_id: "x".parse().unwrap(),
        name: "name".to_owned(),
        allowed_origins: Vec::new(),
        secret: Secret::generate().unwrap(),
        revive: true,
    }
}

fn holds(directory: &TempDir, bytes: &[u8]) -> bool {
    fs::read_dir(directory.path()).unwrap().any(|file| {
        let content = fs::read(file.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

async fn all_there(store: &SqliteStore) {
    let page = store.load_page(None, 100).await.unwrap();
    assert_eq!(page.value.stored.len(), usize::from(COUNT) - 1);
    for (number, stored) in (1..).zip(page.value.stored) {
        assert_eq!(stored.config.id, id(number));
        assert_eq!(stored.secret, secret(number));
        assert_eq!(stored.config.generation, Generation::FIRST);
        assert_eq!(stored.config.revision, Revision::new(u64::from(number)));
    }
    assert_eq!(page.head, Revision::new(41));
}

fn mismatch(result: Result<SqliteStore, OpenError>) -> SealingMismatch {
    match result {
        Err(error @ OpenError::Sealing { .. }) => {
            error.source().unwrap().downcast_ref::<SealingMismatch>().unwrap().clone()
        }
        other => panic!("{other:?}"),
    }
}

fn version(path: &Path) -> i64 {
    let raw = Connection::open(path).unwrap();
    raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_version_1_file_goes_on_as_a_plain_one() {
    let (directory, path) = version_1();
    let store = SqliteStore::open(&path, Sealing::Plain).unwrap();
    assert_eq!(version(&path), NEWEST);
    all_there(&store).await;
    // What is left of the log is its head, from which feeds go on.
    let head = store.living(None, 0).await.unwrap().head;
    assert_eq!((head.revision, head.entry.as_bytes()), (Revision::new(41), &[41; 16]));
    let nothing = LogRead::Entries { entries: Vec::new(), more: false };
    assert_eq!(store.read_log(head, 10).await.unwrap(), nothing);
    let earlier = voicegain_auth_core::store::LogPosition {
        revision: Revision::new(40),
        entry: voicegain_auth_core::store::EntryId::from_bytes([40; 16]),
    };
    assert_eq!(store.read_log(earlier, 10).await.unwrap(), LogRead::Gone);

    // Everything works, for what was there before too.
    let regenerated = store.regenerate(id(1), Secret::generate().unwrap()).await.unwrap();
    assert_eq!(regenerated.config.generation, Generation::new(2));
    assert_eq!(regenerated.others.len(), 19, "of the context y");
    let revived = store.create(new_config(COUNT)).await.unwrap();
    assert_eq!(revived.generation, Generation::new(2), "rule W7");
    let context = Scope::Context("account".parse().unwrap(), "y".parse().unwrap());
    assert_eq!(store.end(context.clone()).await.unwrap().web_configs, 20);
    assert!(store.load(id(1)).await.unwrap().value.is_none());
    assert_eq!(store.living(None, 100).await.unwrap().living.len(), 20);
    let LogRead::Entries { entries, more: false } = store.read_log(head, 10).await.unwrap() else {
        panic!("gone");
    };
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[2].change, Change::Ended(context));
    store.close();
    assert_eq!(
        mismatch(SqliteStore::open(&path, keys(&directory).into())),
        SealingMismatch::StoreIsPlain,
        "it has stayed plain"
    );
    SqliteStore::open(&path, Sealing::Plain).unwrap();
}

#[test]
fn a_version_1_file_is_not_opened_with_keys_and_not_changed_by_the_attempt() {
    let (directory, path) = version_1();
    // As a backup is, and copied without care.
    Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "delete").unwrap();
    let before = fs::read(&path).unwrap();
    let error = SqliteStore::open(&path, keys(&directory).into()).unwrap_err();
    let what_to_do = error.source().unwrap().to_string();
    assert!(what_to_do.contains("seal_existing"), "{what_to_do}");
    assert_eq!(mismatch(Err(error)), SealingMismatch::StoreIsPlain);
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(version(&path), 1);
}

#[tokio::test]
async fn plain_files_of_any_version_are_sealed_when_asked_for() {
    for newest in [false, true] {
        let (directory, path) = version_1();
        if newest {
            SqliteStore::open(&path, Sealing::Plain).unwrap().close();
            assert_eq!(version(&path), NEWEST);
        }
        let mark = b"the-plain-secret-number-";
        assert!(holds(&directory, mark), "the control");
        let keys = keys(&directory);
        let sealing = SqliteOptions::new().seal_existing(true);
        let store = sealing.open(&path, keys.clone().into()).unwrap();
        all_there(&store).await;
        assert!(!holds(&directory, mark), "while it is open, newest: {newest}");
        store.close();
        assert!(!holds(&directory, mark), "newest: {newest}");

        let key_ids = keys.key_ids();
        let plain = SqliteStore::open(&path, Sealing::Plain);
        assert_eq!(mismatch(plain), SealingMismatch::StoreIsSealed { key_ids: key_ids.clone() });
        let other = MasterKeys::generate_file(directory.path().join("other.keys")).unwrap();
        let missing = sealing.open(&path, other.into());
        assert_eq!(mismatch(missing), SealingMismatch::MissingKey { key_ids });
        // Saying so once more does nothing, nor is it needed.
        for options in [sealing, SqliteOptions::new()] {
            let store = options.open(&path, keys.clone().into()).unwrap();
            all_there(&store).await;
            assert_eq!(store.reseal(None, 100).await.unwrap().resealed, 0);
        }
    }
}

#[tokio::test]
async fn a_plain_file_stays_plain_where_no_keys_are_given() {
    let (_directory, path) = version_1();
    let store = SqliteOptions::new().seal_existing(true).open(&path, Sealing::Plain).unwrap();
    all_there(&store).await;
    store.close();
    SqliteStore::open(&path, Sealing::Plain).unwrap();
}

#[test]
fn a_file_is_sealed_whole_or_not_at_all() {
    let (directory, path) = version_1();
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE web_configs SET secret = x'0011' WHERE id = ?1", [[30_u8; 16]]).unwrap();
    drop(raw);
    let error = SqliteOptions::new().seal_existing(true).open(&path, keys(&directory).into()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert_eq!(version(&path), 1);
    let raw = Connection::open(&path).unwrap();
    let plain: i64 = raw
        .query_row("SELECT count(*) FROM web_configs WHERE secret_format = 0", [], |row| row.get(0))
        .unwrap();
    assert_eq!(plain, i64::from(COUNT) - 1);
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>, why: &str) {
    match result {
        Err(error @ StoreError::Unavailable(_)) => assert!(error.chain().contains(why), "{}", error.chain()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn v6_whoever_still_has_it_open_as_a_plain_one_reads_and_writes_no_secret() {
    let (directory, path) = version_1();
    let plain = SqliteStore::open(&path, Sealing::Plain).unwrap();
    all_there(&plain).await;
    let store = SqliteOptions::new().seal_existing(true).open(&path, keys(&directory).into()).unwrap();
    unavailable(plain.load(id(1)).await, "give it the master keys");
    assert!(plain.load_page(None, 10).await.unwrap().value.stored.is_empty(), "left out");
    let mark = Secret::from_bytes(b"another-plain-secret-that-must-not-be-there").unwrap();
    unavailable(plain.regenerate(id(1), mark.clone()).await, "has become a sealed one");
    unavailable(plain.create(NewWebConfig { secret: mark.clone(), ..new_config(50) }).await, "sealed one");
    all_there(&store).await;
    assert!(!holds(&directory, mark.expose()));
    // What needs no secret goes on.
    plain.delete(id(2)).await.unwrap();
    assert!(store.load(id(2)).await.unwrap().value.is_none());
}

/// Nothing plain is left in the file. Sealed, it needs no other key, since it is never opened again.
#[tokio::test]
async fn what_a_bulk_end_has_ended_is_sealed_and_then_left_alone() {
    let (directory, path) = version_1();
    let plain = SqliteStore::open(&path, Sealing::Plain).unwrap();
    plain.end(Scope::Account("account".parse().unwrap())).await.unwrap();
    plain.close();
    let mark = b"the-plain-secret-number-";
    assert!(holds(&directory, mark), "the control");
    let keys = keys(&directory);
    let store = SqliteOptions::new().seal_existing(true).open(&path, keys.clone().into()).unwrap();
    assert!(!holds(&directory, mark));

    let old_file = fs::read_to_string(directory.path().join("master.keys")).unwrap();
    let new_path = directory.path().join("new.keys");
    let new = MasterKeys::generate_file(&new_path).unwrap();
    let both = fs::read_to_string(&new_path).unwrap() + &old_file;
    store.adopt_keys(&MasterKeys::parse(&both).unwrap()).await.unwrap();
    let mut after = None;
    loop {
        let page = store.reseal(after, 7).await.unwrap();
        assert_eq!((page.resealed, page.skipped), (0, 0));
        if !page.more {
            break;
        }
        after = page.last;
    }
    let old_ids = MasterKeys::parse(&old_file).unwrap().key_ids();
    let done = store.retire_keys().await.unwrap();
    assert_eq!((&done.retired, &done.known), (&old_ids, &new.key_ids()));
    let raw = Connection::open(&path).unwrap();
    let key_ids: Vec<String> = raw
        .prepare("SELECT DISTINCT key_id FROM web_configs")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(key_ids, old_ids);
}

#[tokio::test]
async fn c4_a_replaced_file_is_not_sealed_anew() {
    let (directory, path) = version_1();
    let store = SqliteOptions::new().seal_existing(true).open(&path, keys(&directory).into()).unwrap();
    let aside = directory.path().join("aside.db");
    fs::rename(&path, &aside).unwrap();
    unavailable(store.reseal(None, 10).await, "store.db was replaced or removed");
    fs::rename(&aside, &path).unwrap();
    store.reseal(None, 10).await.unwrap();
}

/// A record that cannot even be read is skipped like one that does not open.
#[tokio::test]
async fn a_damaged_record_is_skipped_and_its_key_kept() {
    let (directory, path) = version_1();
    let keys = keys(&directory);
    let old = keys.key_ids();
    let store = SqliteOptions::new().seal_existing(true).open(&path, keys.clone().into()).unwrap();
    let raw = Connection::open(&path).unwrap();
    let damage = |account: &str| {
        let sql = "UPDATE web_configs SET account_id = ?1 WHERE id = ?2";
        assert_eq!(raw.execute(sql, (account, [7_u8; 16])).unwrap(), 1);
    };
    damage("");
    let new_path = directory.path().join("new.keys");
    MasterKeys::generate_file(&new_path).unwrap();
    let old_file = fs::read_to_string(directory.path().join("master.keys")).unwrap();
    let both = fs::read_to_string(&new_path).unwrap() + &old_file;
    store.adopt_keys(&MasterKeys::parse(&both).unwrap()).await.unwrap();
    let done = store.reseal(None, 100).await.unwrap();
    assert_eq!((done.resealed, done.skipped, done.last), (u64::from(COUNT) - 2, 1, Some(id(COUNT - 1))));
    assert!(store.retire_keys().await.unwrap().retired.is_empty());
    damage("account");
    assert_eq!(store.reseal(None, 100).await.unwrap().resealed, 1);
    assert_eq!(store.retire_keys().await.unwrap().retired, old);
    all_there(&store).await;
}
