use std::future::Future;
use std::time::Duration;

use voicegain_auth_core::store::{
    Change, ChangeFeed, LogEntry, LogPosition, LogRead, SecretStore, Snapshot, StoreError,
};
use voicegain_auth_core::{NewWebConfig, Secret, StoredWebConfig, WebConfig, WebConfigId};

/// How the tests get at a store.
pub trait Fixture: Send + Sync + Sized + 'static {
    /// The store.
    type Store: SecretStore + ChangeFeed;

    /// Makes a place for an empty store that keeps `log_capacity` log entries. It is removed on drop.
    fn new(log_capacity: u32) -> impl Future<Output = Self> + Send;

    /// Opens the store at this place: each time as another process would.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// Compacts the log, for stores that do not do it with every change.
    fn compact(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Guards against hanging. It decides no test.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("should have ended long ago")
}

/// A place and a store in it, with as much log as any test needs.
pub(super) async fn store<F: Fixture>() -> (F, F::Store) {
    let fixture = F::new(100_000).await;
    let store = fixture.open().await;
    (fixture, store)
}

pub(super) fn secret() -> Secret {
    Secret::generate().unwrap()
}

pub(super) fn new_id() -> WebConfigId {
    WebConfigId::generate().unwrap()
}

pub(super) fn ids_in_order(count: usize) -> Vec<WebConfigId> {
    let mut ids: Vec<_> = (0..count).map(|_| new_id()).collect();
    ids.sort();
    ids
}

pub(super) fn new_config(id: WebConfigId) -> NewWebConfig {
    NewWebConfig {
        id,
        account_id: "account".parse().unwrap(),
        context_id: "context".parse().unwrap(),
        name: "name".to_owned(),
        allowed_origins: vec!["https://example.com".to_owned()],
        secret: secret(),
        revive: false,
    }
}

/// In an account and a context other than those of [`new_config`].
pub(super) fn new_config_of(account: &str, context: &str, id: WebConfigId) -> NewWebConfig {
    NewWebConfig {
        account_id: account.parse().unwrap(),
        context_id: context.parse().unwrap(),
        ..new_config(id)
    }
}

/// What the log says of a web config that was created, revived, regenerated or edited.
pub(super) fn put(config: &WebConfig) -> Change {
    Change::Put {
        id: config.id,
        generation: config.generation,
        account_id: config.account_id.clone(),
        context_id: config.context_id.clone(),
    }
}

/// Which web config a log entry names, unless it speaks of a whole scope.
pub(super) fn id_of(change: &Change) -> Option<WebConfigId> {
    match change {
        Change::Put { id, .. } | Change::Deleted { id, .. } => Some(*id),
        _ => None,
    }
}

pub(super) async fn load(store: &impl SecretStore, id: WebConfigId) -> Option<StoredWebConfig> {
    store.load(id).await.unwrap().value
}

pub(super) async fn snapshot(store: &impl SecretStore, id: WebConfigId) -> Snapshot<Option<StoredWebConfig>> {
    store.load(id).await.unwrap()
}

pub(super) async fn head(store: &impl ChangeFeed) -> LogPosition {
    store.living(None, 0).await.unwrap().head
}

/// All entries after this position, however many pages that takes.
pub(super) async fn log_after(store: &impl ChangeFeed, mut after: LogPosition) -> Vec<LogEntry> {
    let mut log = Vec::new();
    loop {
        match store.read_log(after, 1_000).await.unwrap() {
            LogRead::Entries { entries, more } => {
                assert!(!more || !entries.is_empty(), "more, but nothing to go on from");
                after = entries.last().map_or(after, |entry| entry.position);
                log.extend(entries);
                if !more {
                    return log;
                }
            }
            other => panic!("the log does not go on after {after:?}: {other:?}"),
        }
    }
}

pub(super) fn not_found<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
}
