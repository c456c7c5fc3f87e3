//! One server for all tests of this program, and a database for each.

use test_servers::Postgres;
use voicegain_auth_store::postgres::{PostgresOptions, PostgresStore};
use voicegain_auth_store::sealing::Sealing;

/// A database on the shared server.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) options: PostgresOptions,
}

impl Place {
    pub(crate) async fn new(log_capacity: u32) -> Self {
        // A few connections for each store, since all tests run at once.
        let options = PostgresOptions::new().log_capacity(log_capacity).connections(4);
        let made = tokio::task::spawn_blocking(|| Postgres::shared().unwrap().create_database().unwrap());
        Self { url: format!("{}?sslmode=disable", made.await.unwrap()), options }
    }

    pub(crate) async fn open_plain(&self) -> PostgresStore {
        self.options.open(&self.url, Sealing::Plain).await.unwrap()
    }

    /// The rows that a statement answers, their columns separated by `|`.
    pub(crate) async fn execute(&self, sql: impl Into<String>) -> String {
        let path = self.url.split('?').next().unwrap();
        let (database, sql) = (path.rsplit('/').next().unwrap().to_owned(), sql.into());
        let run = move || Postgres::shared().unwrap().execute_in(&database, &sql).unwrap();
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}
