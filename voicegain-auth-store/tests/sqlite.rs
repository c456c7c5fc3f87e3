//! What only a store in a SQLite file can get wrong, as far as one process shows it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use voicegain_auth_core::store::{
    ChangeFeed, ListQuery, LogPosition, LogRead, Scope, SecretStore, StoreError,
};
use voicegain_auth_core::{Day, Generation, NewWebConfig, Secret, WebConfigId, WebConfigPatch};
use voicegain_auth_store::sealing::Sealing;
use voicegain_auth_store::sqlite::{OpenError, SqliteOptions, SqliteStore};

fn secret() -> Secret {
    Secret::generate().unwrap()
}

fn new_config() -> NewWebConfig {
    NewWebConfig {
        id: WebConfigId::generate().unwrap(),
        account_id: "account".parse().unwrap(),
        context_id: "context".parse().unwrap(),
        name: "name".to_owned(),
        allowed_origins: Vec::new(),
        secret: secret(),
        revive: false,
    }
}

fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.db");
    (directory, path)
}

/// Opens a plain store.
fn open(path: impl AsRef<Path>) -> SqliteStore {
    SqliteStore::open(path, Sealing::Plain).unwrap()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Guards against hanging. It decides no test.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap()
}

async fn head(store: &SqliteStore) -> LogPosition {
    store.living(None, 0).await.unwrap().head
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>, why: &str) {
    match result {
        Err(error @ StoreError::Unavailable(_)) => assert!(error.chain().contains(why), "{}", error.chain()),
        other => panic!("{other:?}"),
    }
}

fn damaged<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Damaged(_))), "{result:?}");
}

/// Makes every call, and expects the same of all.
async fn every_call_is_unavailable(store: &SqliteStore, id: WebConfigId, at: LogPosition, why: &str) {
    unavailable(store.load(id).await, why);
    unavailable(store.list(ListQuery { limit: 1, ..ListQuery::default() }).await, why);
    unavailable(store.living(None, 1).await, why);
    unavailable(store.load_page(None, 1).await, why);
    unavailable(store.read_log(at, 1).await, why);
    unavailable(store.prove(at, 1).await, why);
    unavailable(store.create(new_config()).await, why);
    unavailable(store.regenerate(id, secret()).await, why);
    unavailable(store.update(id, WebConfigPatch::default()).await, why);
    unavailable(store.delete(id).await, why);
    unavailable(store.end(Scope::Account("account".parse().unwrap())).await, why);
    // Those who wait are sent to find out.
    soon(store.changed(at.revision)).await;
}

#[tokio::test]
async fn everything_survives_closing_and_opening_again() {
    let (_directory, path) = place();
    let store = open(&path);
    let (kept, ended) = (new_config(), new_config());
    store.create(kept.clone()).await.unwrap();
    let new = secret();
    let config = store.regenerate(kept.id, new.clone()).await.unwrap().config;
    store.create(ended.clone()).await.unwrap();
    store.delete(ended.id).await.unwrap();
    let position = head(&store).await;
    store.close();

    let store = open(&path);
    assert_eq!(head(&store).await, position);
    let nothing_new = LogRead::Entries { entries: Vec::new(), more: false };
    assert_eq!(store.read_log(position, 10).await.unwrap(), nothing_new);
    let stored = store.load(kept.id).await.unwrap().value.unwrap();
    assert_eq!((stored.config, stored.secret), (config, new));
    assert!(matches!(store.create(ended.clone()).await, Err(StoreError::Deleted)), "rule W7");
    let revived = store.create(NewWebConfig { revive: true, ..ended }).await.unwrap();
    assert_eq!(revived.generation, Generation::new(2), "rule W7");
}

#[tokio::test]
async fn c7_proofs_may_be_asked_for_at_any_rate() {
    let (_directory, path) = place();
    assert_eq!(open(path).proof_interval(), Duration::ZERO);
}

#[tokio::test]
async fn new_files_are_open_to_their_owner_only() {
    let (_directory, path) = place();
    let store = open(&path);
    store.create(new_config()).await.unwrap();
    for file in [path.clone(), beside(&path, "-wal"), beside(&path, "-shm")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn during<T>(work: impl FnOnce() -> T) -> (T, String) {
        // So that no thread without a subscriber is the first that `tracing` asks about an event, and the last.
        _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let scope = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
        let value = work();
        drop(scope);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (value, text)
    }
}

#[tokio::test]
async fn an_existing_file_that_is_open_to_others_is_closed_to_them_with_a_warning() {
    let (_directory, path) = place();
    let store = open(&path);
    let config = store.create(new_config()).await.unwrap();
    for file in [path.clone(), beside(&path, "-wal"), beside(&path, "-shm")] {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    }
    let (again, log) = Log::during(|| open(&path));
    for file in [path.clone(), beside(&path, "-wal"), beside(&path, "-shm")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        assert!(log.contains(&format!("file={} mode=0664", file.display())), "{log}");
    }
    assert_eq!(log.matches("WARN").count(), 3, "{log}");
    assert!(again.load(config.id).await.unwrap().value.is_some());
    let (_, log) = Log::during(|| open(&path));
    assert_eq!(log, "", "nothing to warn of");
}

#[tokio::test]
async fn c4_a_replaced_file_is_not_available() {
    let (directory, path) = place();
    let other = directory.path().join("other.db");
    let store = open(&path);
    let id = store.create(new_config()).await.unwrap().id;
    open(&other).close();
    let at = head(&store).await;

    let aside = directory.path().join("aside.db");
    fs::rename(&path, &aside).unwrap();
    every_call_is_unavailable(&store, id, at, "store.db was replaced or removed while it was open").await;
    fs::rename(&other, &path).unwrap();
    every_call_is_unavailable(&store, id, at, "store.db was replaced or removed while it was open").await;
    // Nothing was acknowledged, and nothing happened either.
    fs::rename(&aside, &path).unwrap();
    assert_eq!(head(&store).await, at);
    assert!(store.load(id).await.unwrap().value.is_some());
    store.regenerate(id, secret()).await.unwrap();
}

#[tokio::test]
async fn c4_a_removed_log_file_is_not_available() {
    for suffix in ["-wal", "-shm"] {
        let (directory, path) = place();
        let store = open(&path);
        let id = store.create(new_config()).await.unwrap().id;
        let at = head(&store).await;
        let aside = directory.path().join("aside");
        fs::rename(beside(&path, suffix), &aside).unwrap();
        every_call_is_unavailable(&store, id, at, &format!("store.db{suffix} was replaced or removed")).await;
        fs::rename(&aside, beside(&path, suffix)).unwrap();
        assert_eq!(head(&store).await, at);
    }
}

#[tokio::test]
async fn c4_a_link_that_is_pointed_elsewhere_is_not_available() {
    let (directory, target) = place();
    let link = directory.path().join("link.db");
    open(&target).close();
    symlink(&target, &link).unwrap();
    let store = open(&link);
    let id = store.create(new_config()).await.unwrap().id;
    let at = head(&store).await;
    let other = directory.path().join("other.db");
    open(&other).close();
    fs::remove_file(&link).unwrap();
    symlink(&other, &link).unwrap();
    every_call_is_unavailable(&store, id, at, "link.db was replaced or removed").await;
}

#[tokio::test]
async fn c4_a_waiting_feed_is_told_of_a_replaced_file() {
    let (_directory, path) = place();
    let store = open(&path);
    let seen = head(&store).await.revision;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(seen).await }
    });
    tokio::task::yield_now().await;
    fs::remove_file(&path).unwrap();
    soon(waiting).await.unwrap();
}

fn back_up(path: &Path, backup: &Path) {
    Connection::open(path).unwrap().execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
}

#[tokio::test]
async fn c4_after_restoring_an_older_file_the_last_entry_is_gone() {
    let (directory, path) = place();
    let backup = directory.path().join("backup.db");
    let store = open(&path);
    let id = store.create(new_config()).await.unwrap().id;
    let before = head(&store).await;
    back_up(&path, &backup);
    store.regenerate(id, secret()).await.unwrap();
    let seen = head(&store).await;
    store.close();

    fs::rename(&backup, &path).unwrap();
    let store = open(&path);
    assert_eq!(store.read_log(seen, 10).await.unwrap(), LogRead::Gone);
    assert!(matches!(store.read_log(before, 10).await.unwrap(), LogRead::Entries { .. }));
    // It goes on to the same revision, which is not the same entry.
    store.regenerate(id, secret()).await.unwrap();
    assert_eq!(head(&store).await.revision, seen.revision);
    assert_eq!(store.read_log(seen, 10).await.unwrap(), LogRead::Gone);
    store.regenerate(id, secret()).await.unwrap();
    assert_eq!(store.read_log(seen, 10).await.unwrap(), LogRead::Gone);
}

#[tokio::test]
async fn c4_restoring_into_the_open_file_is_seen_in_the_log() {
    let (directory, path) = place();
    let backup = directory.path().join("backup.db");
    let store = open(&path);
    let id = store.create(new_config()).await.unwrap().id;
    let before = head(&store).await;
    back_up(&path, &backup);
    store.regenerate(id, secret()).await.unwrap();
    let seen = head(&store).await;

    let restored = path.clone();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(seen.revision).await }
    });
    tokio::task::spawn_blocking(move || {
        let source = Connection::open(backup).unwrap();
        let mut target = Connection::open(restored).unwrap();
        let copying = rusqlite::backup::Backup::new(&source, &mut target).unwrap();
        copying.run_to_completion(1_000, Duration::from_millis(1), None).unwrap();
    })
    .await
    .unwrap();
    soon(waiting).await.unwrap();
    assert_eq!(store.read_log(seen, 10).await.unwrap(), LogRead::Gone);
    assert_eq!(head(&store).await, before);
    assert_eq!(store.load(id).await.unwrap().value.unwrap().config.generation, Generation::FIRST);
}

/// Opening fails, and the file is byte for byte what it was.
fn refused(path: &Path) -> OpenError {
    let before = fs::read(path).unwrap();
    let error = SqliteStore::open(path, Sealing::Plain).unwrap_err();
    assert!(fs::read(path).unwrap() == before, "{} was changed: {error}", path.display());
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    error
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (_directory, path) = place();
    open(&path).close();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 77).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::NewerSchema { found: 77, supported: 3, .. }), "{error:?}");
    assert!(error.to_string().contains("use the newer program"), "{error}");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 3).unwrap();
    open(&path);
}

#[tokio::test]
async fn a_file_from_before_uses_were_noted_gets_room_for_them() {
    let (_directory, path) = place();
    let store = open(&path);
    let id = store.create(new_config()).await.unwrap().id;
    let before = head(&store).await;
    store.close();
    let old = "DROP TABLE last_uses; PRAGMA user_version = 2";
    Connection::open(&path).unwrap().execute_batch(old).unwrap();
    let store = open(&path);
    assert_eq!(head(&store).await, before);
    let uses = BTreeMap::from([(id, Day::new(20_000).unwrap())]);
    store.note_uses(uses.clone()).await.unwrap();
    assert_eq!(store.last_uses(vec![id]).await.unwrap(), uses);
    store.close();
    // Nothing is left behind by what ends, nor by what comes late.
    let store = open(&path);
    assert_eq!(store.last_uses(vec![id]).await.unwrap(), uses);
    store.delete(id).await.unwrap();
    store.note_uses(uses).await.unwrap();
    store.close();
    let count = "SELECT count(*) FROM last_uses";
    let left: i64 = Connection::open(&path).unwrap().query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_newer_program_that_changes_the_open_file_ends_its_use() {
    let (_directory, path) = place();
    let store = open(&path);
    let id = store.create(new_config()).await.unwrap().id;
    let at = head(&store).await;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 4).unwrap();
    every_call_is_unavailable(&store, id, at, "changed to schema version 4").await;
}

#[test]
fn the_database_of_another_application_is_refused() {
    let statements = [
        "CREATE TABLE theirs (a)",
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 1",
        "PRAGMA application_id = 1; PRAGMA user_version = 1; CREATE TABLE web_configs (a)",
    ];
    for statement in statements {
        let (_directory, path) = place();
        Connection::open(&path).unwrap().execute_batch(statement).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = refused(&path);
        assert!(matches!(error, OpenError::ForeignDatabase { .. }), "{statement}: {error:?}");
        assert_eq!(mode(&path), 0o644, "their mode is theirs");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    for content in ["x", "This is a text file.\n", &"A longer text file.\n".repeat(1_000)] {
        let (_directory, path) = place();
        fs::write(&path, content).unwrap();
        let error = refused(&path);
        assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let (_directory, path) = place();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&path);
    store.create(new_config()).await.unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_path_that_cannot_be_a_file_is_refused() {
    let directory = TempDir::new().unwrap();
    let error = SqliteStore::open(directory.path(), Sealing::Plain).unwrap_err();
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error:?}");
    let error = SqliteStore::open("/dev/null", Sealing::Plain).unwrap_err();
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error:?}");

    let missing = directory.path().join("missing");
    let error = SqliteStore::open(missing.join("store.db"), Sealing::Plain).unwrap_err();
    assert!(matches!(&error, OpenError::NoDirectory { directory } if *directory == missing), "{error:?}");
    assert!(error.to_string().contains("create it"), "{error}");
    assert!(!missing.exists());
    // Nor does anything appear where nothing could be opened.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// A file with some pages of everything, closed.
async fn filled() -> (TempDir, PathBuf) {
    let (directory, path) = place();
    let store = open(&path);
    for _ in 0..40 {
        let new = NewWebConfig { name: "n".repeat(500), ..new_config() };
        store.create(new.clone()).await.unwrap();
        store.regenerate(new.id, secret()).await.unwrap();
    }
    store.close();
    (directory, path)
}

#[tokio::test]
async fn a_damaged_page_is_found_when_opening() {
    const PAGE: usize = 4_096;
    let (directory, path) = filled().await;
    let good = fs::read(&path).unwrap();
    let pages = good.len() / PAGE;
    assert!(pages > 8, "{pages}");
    for page in 0..pages {
        let mut bad = good.clone();
        // Of the first page the part after the file's header, which says that it is a database of ours.
        let begin = if page == 0 { 100 } else { page * PAGE };
        bad[begin..begin + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
        let copy = directory.path().join(format!("page-{page}.db"));
        fs::write(&copy, &bad).unwrap();
        let error = refused(&copy);
        assert!(matches!(error, OpenError::Damaged { .. }), "page {page}: {error:?}");
        assert!(error.to_string().contains("restore a backup"), "{error}");
    }
    let copy = directory.path().join("good.db");
    fs::write(&copy, &good).unwrap();
    open(&copy);
}

#[tokio::test]
async fn a_truncated_file_is_found_when_opening() {
    let (directory, path) = filled().await;
    let good = fs::read(&path).unwrap();
    // A cut inside the last page is nothing but bytes that changed: a checkpoint on a full disk leaves that
    // behind too, and the write-ahead log makes it good.
    for length in [1, 99, 100, 512, 4_095, 4_096, 10_000, good.len() / 2, good.len() - 4_096] {
        let copy = directory.path().join(format!("cut-{length}.db"));
        fs::write(&copy, &good[..length]).unwrap();
        let error = refused(&copy);
        assert!(
            matches!(error, OpenError::Damaged { .. } | OpenError::NotADatabase { .. }),
            "{length} bytes: {error:?}"
        );
    }
}

#[tokio::test]
async fn flipped_bytes_anywhere_never_panic() {
    let (directory, path) = filled().await;
    let good = fs::read(&path).unwrap();
    let copy = directory.path().join("flipped.db");
    let (mut refused, mut opened) = (0, 0);
    for begin in (0..good.len()).step_by(997) {
        let mut bad = good.clone();
        let end = bad.len().min(begin + 16);
        bad[begin..end].iter_mut().for_each(|byte| *byte ^= 0xff);
        fs::write(&copy, &bad).unwrap();
        match SqliteStore::open(&copy, Sealing::Plain) {
            Err(_) => refused += 1,
            Ok(store) => {
                opened += 1;
                for living in store.living(None, 100).await.map_or(Vec::new(), |page| page.living) {
                    let loaded = store.load(living.id).await;
                    assert!(matches!(loaded, Ok(_) | Err(StoreError::Damaged(_))), "{begin}: {loaded:?}");
                }
                store.close();
            }
        }
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&copy, suffix));
        }
    }
    assert!(refused > 0 && opened > 0, "refused {refused}, opened {opened}");
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_damage() {
    let statements = [
        "UPDATE web_configs SET secret_format = 7",
        "UPDATE web_configs SET secret_format = 70000",
        "UPDATE web_configs SET secret = x'00112233'",
        "UPDATE web_configs SET allowed_origins = '{}'",
        "UPDATE web_configs SET allowed_origins = '[1]'",
        "UPDATE web_configs SET account_id = ''",
        "UPDATE web_configs SET generation = -1",
    ];
    for statement in statements {
        let (_directory, path) = place();
        let store = open(&path);
        let id = store.create(new_config()).await.unwrap().id;
        Connection::open(&path).unwrap().execute_batch(statement).unwrap();
        let loaded = store.load(id).await;
        assert!(matches!(loaded, Err(StoreError::Damaged(_))), "{statement}: {loaded:?}");
    }
    let (_directory, path) = place();
    let store = open(&path);
    let begin = head(&store).await;
    let id = store.create(new_config()).await.unwrap().id;
    let raw = Connection::open(&path).unwrap();
    for statement in [
        "UPDATE change_log SET kind = 'new kind' WHERE revision = 1",
        "UPDATE change_log SET kind = 'put', account_id = NULL WHERE revision = 1",
    ] {
        raw.execute_batch(statement).unwrap();
        damaged(store.read_log(begin, 10).await);
    }
    raw.execute_batch("UPDATE sealing SET kind = 'new kind'").unwrap();
    damaged(store.regenerate(id, secret()).await);
    damaged(store.read_log(begin, 10).await);
    raw.execute_batch("DELETE FROM change_log").unwrap();
    damaged(store.read_log(begin, 10).await);
    damaged(store.load(id).await);
    damaged(store.regenerate(id, secret()).await);
}

#[tokio::test]
async fn reads_and_proofs_do_not_wait_for_a_writer() {
    let (_directory, path) = place();
    let store =
        SqliteOptions::new().busy_timeout(Duration::from_millis(50)).open(&path, Sealing::Plain).unwrap();
    let config = store.create(new_config()).await.unwrap();
    let at = head(&store).await;
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    unavailable(store.regenerate(config.id, secret()).await, "another process kept the database file locked");
    assert_eq!(store.load(config.id).await.unwrap().value.unwrap().config, config);
    assert_eq!(head(&store).await, at);
    let nothing_new = LogRead::Entries { entries: Vec::new(), more: false };
    assert_eq!(store.read_log(at, 10).await.unwrap(), nothing_new);

    // While one change waits for the lock, reads pass it.
    let store =
        SqliteOptions::new().busy_timeout(Duration::from_secs(60)).open(&path, Sealing::Plain).unwrap();
    let change = tokio::spawn({
        let store = store.clone();
        async move { store.regenerate(config.id, secret()).await }
    });
    tokio::task::yield_now().await;
    for _ in 0..10 {
        assert_eq!(soon(store.load(config.id)).await.unwrap().value.unwrap().config.generation.get(), 1);
    }
    assert!(!change.is_finished());
    raw.execute_batch("ROLLBACK").unwrap();
    assert_eq!(soon(change).await.unwrap().unwrap().config.generation.get(), 2);
}

#[tokio::test]
async fn superseded_secrets_do_not_stay_in_the_file() {
    let (_directory, path) = place();
    let store = open(&path);
    let marks: Vec<_> = (0..4).map(|number| format!("secret-{number}-").repeat(10)).collect();
    let marked = |number: usize| Secret::from_bytes(marks[number].as_bytes()).unwrap();
    let (kept, ended) = (new_config(), new_config());
    store.create(NewWebConfig { secret: marked(0), ..kept.clone() }).await.unwrap();
    store.regenerate(kept.id, marked(1)).await.unwrap();
    store.regenerate(kept.id, marked(2)).await.unwrap();
    store.create(NewWebConfig { secret: marked(3), ..ended.clone() }).await.unwrap();
    store.delete(ended.id).await.unwrap();
    store.close();
    let file = fs::read(&path).unwrap();
    let holds = |mark: &String| file.windows(mark.len()).any(|window| window == mark.as_bytes());
    let found: Vec<_> = marks.iter().map(holds).collect();
    assert_eq!(found, [false, false, true, false]);
}

/// What a copy of the database file alone holds.
async fn copied(path: &Path) -> (TempDir, SqliteStore) {
    let (elsewhere, copy) = place();
    fs::copy(path, &copy).unwrap();
    let store = open(copy);
    (elsewhere, store)
}

fn files(directory: &TempDir) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    files
}

#[tokio::test]
async fn dropping_the_last_handle_leaves_one_file_with_everything_in_it() {
    let (directory, path) = place();
    let store = open(&path);
    let clone = store.clone();
    drop(store);
    let id = clone.create(new_config()).await.unwrap().id;
    assert_eq!(files(&directory), ["store.db", "store.db-shm", "store.db-wal"]);
    drop(clone);
    assert_eq!(files(&directory), ["store.db"]);
    let (_elsewhere, copy) = copied(&path).await;
    assert!(copy.load(id).await.unwrap().value.is_some());
}

#[tokio::test]
async fn closing_leaves_one_file_whoever_still_holds_a_handle() {
    let (directory, path) = place();
    let store = open(&path);
    let id = store.create(new_config()).await.unwrap().id;
    let clone = store.clone();
    let at = head(&clone).await;
    let waiting = tokio::spawn({
        let clone = clone.clone();
        async move { clone.changed(at.revision).await }
    });
    store.close();
    assert_eq!(files(&directory), ["store.db"]);
    let (_elsewhere, copy) = copied(&path).await;
    assert!(copy.load(id).await.unwrap().value.is_some());
    every_call_is_unavailable(&clone, id, at, "ended").await;
    soon(waiting).await.unwrap();
    clone.close();
}

#[tokio::test]
async fn a_store_that_another_still_has_open_holds_everything_in_its_file_too() {
    let (_directory, path) = place();
    let (store, other) = (open(&path), open(&path));
    let id = store.create(new_config()).await.unwrap().id;
    store.close();
    assert_eq!(fs::metadata(beside(&path, "-wal")).unwrap().len(), 0);
    let (_elsewhere, copy) = copied(&path).await;
    assert!(copy.load(id).await.unwrap().value.is_some());
    other.regenerate(id, secret()).await.unwrap();
}

#[tokio::test]
async fn closing_under_a_reader_ends_and_loses_nothing() {
    let (_directory, path) = place();
    let store = open(&path);
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("BEGIN; SELECT count(*) FROM web_configs").unwrap();
    let id = store.create(new_config()).await.unwrap().id;
    store.close();
    assert_ne!(fs::metadata(beside(&path, "-wal")).unwrap().len(), 0, "the reader needs it");
    assert!(open(&path).load(id).await.unwrap().value.is_some());
    drop(raw);
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_is_whole() {
    let (_directory, path) = place();
    let store = open(&path);
    let id = store.create(new_config()).await.unwrap().id;
    for _ in 0..50 {
        let mut change = Box::pin(store.regenerate(id, secret()));
        std::future::poll_fn(|context| {
            let _ = change.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        drop(change);
    }
    // The writer takes one after the other, so this one is after all of those.
    let last = store.regenerate(id, secret()).await.unwrap().config;
    let stored = store.load(id).await.unwrap().value.unwrap();
    assert_eq!(stored.config, last);
    assert_eq!(last.generation.get(), last.revision.get(), "one log entry for each generation");
}

#[test]
fn many_threads_open_one_new_file_at_once() {
    let (_directory, path) = place();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let heads: BTreeSet<_> =
        opened.iter().map(|store| *runtime.block_on(head(store)).entry.as_bytes()).collect();
    assert_eq!(heads.len(), 1, "one store");
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
}

#[test]
fn debug_shows_the_path_and_little_else() {
    let (_directory, path) = place();
    let store = open(&path);
    assert_eq!(format!("{store:?}"), format!("SqliteStore {{ path: {path:?}, .. }}"));
}
