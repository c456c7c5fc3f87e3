//! One connection: what drives it, what it remembers, and how it commits.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Row, Statement};
use voicegain_auth_core::store::StoreError;

use super::error::{self, Cause, Failed, Outcome};
use super::feed::Listener;

pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What the driver has seen besides answers.
#[derive(Default)]
struct Seen(Mutex<Remarks>);

#[derive(Default)]
struct Remarks {
    warning: Option<String>,
    /// Why the connection has ended.
    end: Option<String>,
}

impl Seen {
    fn remarks(&self) -> MutexGuard<'_, Remarks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notice(&self, notice: &DbError) {
        // Whatever the language of the server's messages.
        if notice.parsed_severity().is_none_or(|severity| severity == Severity::Warning) {
            self.remarks().warning = Some(format!("{} ({})", notice.message(), notice.code().code()));
        }
    }
}

/// Answers come after the notices that the server sent before them: what was said during a request is known when it
/// has ended.
async fn drive<S, T>(
    mut inner: tokio_postgres::Connection<S, T>,
    seen: Arc<Seen>,
    listener: Option<Arc<Listener>>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    // However this ends.
    let _ended = Ended(listener.clone());
    loop {
        match poll_fn(|context| inner.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => seen.notice(&notice),
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if let Some(listener) = &listener {
                    listener.hear(notification.payload());
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                seen.remarks().end = Some(StoreError::unavailable(error).chain());
                break;
            }
            None => break,
        }
    }
}

/// Tells whoever keeps the connection up that it has ended.
struct Ended(Option<Arc<Listener>>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(listener) = &self.0 {
            listener.broken();
        }
    }
}

/// A connection that nobody else uses. When it is dropped its socket is closed, whatever it is at; nothing is
/// ever cancelled.
pub(super) struct Connection {
    client: Client,
    /// Which of the servers it leads to.
    pub(super) server: usize,
    prepared: HashMap<&'static str, Statement>,
    seen: Arc<Seen>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Must be called on the store's own runtime.
    pub(super) fn new<S, T>(
        client: Client,
        inner: tokio_postgres::Connection<S, T>,
        server: usize,
        listener: Option<Arc<Listener>>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let seen = Arc::new(Seen::default());
        let driver = tokio::spawn(drive(inner, Arc::clone(&seen), listener)).abort_handle();
        Self { client, server, prepared: HashMap::new(), seen, driver }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The database's encoding.
    pub(super) async fn encoding(&mut self) -> Outcome<String> {
        let row = self.query_opt("SELECT current_setting('server_encoding')", &[]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
    }

    /// The server's `synchronous_standby_names`.
    pub(super) async fn standbys(&mut self) -> Outcome<String> {
        let row = self.query_opt("SELECT current_setting('synchronous_standby_names')", &[]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
    }

    /// For requests that are sent together; the others are below.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Prepares a statement, once for each connection.
    pub(super) async fn prepare(&mut self, sql: &'static str) -> Outcome<Statement> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(|error| self.explain(error))?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }

    pub(super) async fn query(&mut self, sql: &'static str, with: Parameters<'_>) -> Outcome<Vec<Row>> {
        let statement = self.prepare(sql).await?;
        self.client.query(&statement, with).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn query_opt(
        &mut self,
        sql: &'static str,
        with: Parameters<'_>,
    ) -> Outcome<Option<Row>> {
        let statement = self.prepare(sql).await?;
        self.client.query_opt(&statement, with).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn execute(&mut self, sql: &'static str, with: Parameters<'_>) -> Outcome<u64> {
        let statement = self.prepare(sql).await?;
        self.client.execute(&statement, with).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn batch(&mut self, sql: &str) -> Outcome<()> {
        self.client.batch_execute(sql).await.map_err(|error| self.explain(error))
    }

    /// Says why a connection has ended, which the client tells to its driver alone.
    pub(super) fn explain(&self, error: tokio_postgres::Error) -> Failed {
        match self.seen.remarks().end.take() {
            Some(end) if error.is_closed() => Cause::Lost(format!(": {end}")).into(),
            None if error.is_closed() => Cause::Lost(String::new()).into(),
            _ => error.into(),
        }
    }

    /// Commits. Only `Ok` says that the transaction is kept wherever the server must keep it (rule M1):
    ///
    /// - the client forgets that a server answers the COMMIT of a failed transaction with ROLLBACK and no error, so
    ///   nothing may have failed before;
    /// - a commit that was interrupted while it waited for a standby is there, and comes with a warning;
    /// - one that takes too long goes on, without us: a request to cancel it would do just that to it.
    ///
    /// After any error the connection must be dropped.
    pub(super) async fn commit(&mut self, limit: Duration) -> Result<(), StoreError> {
        self.seen.remarks().warning = None;
        let committed = timeout(limit, self.client.batch_execute("COMMIT")).await;
        let warning = self.seen.remarks().warning.take();
        match (committed, warning) {
            (Ok(Ok(())), None) => Ok(()),
            (Ok(_), Some(warning)) => Err(StoreError::outcome_unknown(Cause::CommitWarned(warning))),
            (Ok(Err(error)), None) if error.is_closed() => {
                Err(StoreError::outcome_unknown(StoreError::from(self.explain(error))))
            }
            (Ok(Err(error)), None) => Err(error::commit_failed(error)),
            (Err(_), _) => Err(StoreError::outcome_unknown(Cause::CommitSilent(limit))),
        }
    }
}
