//! One server for all tests of this program, and a database for each; what the tests ask a store for.

use std::fmt::Debug;
use std::time::Duration;

use test_servers::Postgres;
use tokio_postgres::{Client, NoTls};
use voicegain_auth_core::store::{ChangeFeed as _, LogEntry, LogPosition, LogRead, StoreError};
use voicegain_auth_core::{NewWebConfig, Secret, WebConfigId};
use voicegain_auth_store::postgres::{PostgresOptions, PostgresStore};
use voicegain_auth_store::sealing::Sealing;

/// A database on the shared server.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) options: PostgresOptions,
}

impl Place {
    pub(crate) async fn new(log_capacity: u32) -> Self {
        // A few connections for each store, and patience, since all tests run at once.
        let limit = Duration::from_secs(30);
        let options = PostgresOptions::new()
            .log_capacity(log_capacity)
            .connections(4)
            .connect_timeout(limit)
            .request_timeout(limit)
            .proof_timeout(limit)
            .lock_timeout(limit)
            .commit_timeout(limit);
        let made = blocking(|| Postgres::shared().unwrap().create_database().unwrap());
        Self { url: format!("{}?sslmode=disable", made.await), options }
    }

    pub(crate) async fn open_plain(&self) -> PostgresStore {
        self.options.open(&self.url, Sealing::Plain).await.unwrap()
    }

    pub(crate) fn database(&self) -> String {
        let path = self.url.split('?').next().unwrap();
        path.rsplit('/').next().unwrap().to_owned()
    }

    /// The rows that a statement answers, their columns separated by `|`.
    pub(crate) async fn execute(&self, sql: impl Into<String>) -> String {
        let (database, sql) = (self.database(), sql.into());
        blocking(move || Postgres::shared().unwrap().execute_in(&database, &sql).unwrap()).await
    }
}

/// What the test servers do blocks.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Guards against hanging. It decides no test.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("should have ended long ago")
}

/// Tries until it works.
pub(crate) async fn until_it_works<T, E: Debug>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    soon(async {
        loop {
            match attempt().await {
                Ok(answer) => return answer,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await
}

/// Limits that a test can wait for.
pub(crate) fn impatient() -> PostgresOptions {
    let limit = Duration::from_millis(500);
    PostgresOptions::new()
        .connections(4)
        .connect_timeout(limit)
        .request_timeout(limit)
        .proof_timeout(limit)
        .lock_timeout(limit)
        .commit_timeout(limit)
}

/// The database `postgres` of a server of the test's own.
pub(crate) fn url_of(server: &Postgres) -> String {
    format!("{}?sslmode=disable", server.url("postgres"))
}

/// A connection that is not the store's.
pub(crate) async fn stranger(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) fn secret() -> Secret {
    Secret::generate().unwrap()
}

pub(crate) fn new_config() -> NewWebConfig {
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

pub(crate) async fn head(store: &PostgresStore) -> LogPosition {
    store.living(None, 0).await.unwrap().head
}

/// The entries of a proof, the log having been at `after`.
pub(crate) fn entries(read: LogRead) -> Vec<LogEntry> {
    match read {
        LogRead::Entries { entries, more: false } => entries,
        other => panic!("no proof: {other:?}"),
    }
}

pub(crate) fn unavailable<T: Debug>(result: Result<T, StoreError>, why: &str) {
    match result {
        Err(error @ StoreError::Unavailable(_)) => assert!(error.chain().contains(why), "{}", error.chain()),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn outcome_unknown<T: Debug>(result: Result<T, StoreError>, why: &str) {
    match result {
        Err(error @ StoreError::OutcomeUnknown(_)) => {
            assert!(error.chain().contains(why), "{}", error.chain())
        }
        other => panic!("{other:?}"),
    }
}
