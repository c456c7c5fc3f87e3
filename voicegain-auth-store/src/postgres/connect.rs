//! How connections are made, and with which settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::types::Type;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Connection;
use super::error::{ConnectError, Why};
use super::feed::Listener;
use super::options::{Limits, Schema};

/// The oldest version of the server that will do.
const OLDEST: u32 = 15;

/// What every connection is set to, whatever the server, the database, the role and the URL say:
///
/// - commits wait for what they would wait for at `synchronous_commit` on, or more if the server is set to more;
/// - no time-out of the server's can end a commit that waits for a standby, since that would end the wait and not the
///   commit; but a lock that does not come, and a transaction that a stopped process has left behind, end;
/// - a commit's warnings are sent;
/// - no statement is big enough for other processes or a compiler to be of use;
/// - names mean our tables.
const SETTINGS: &str = "SELECT \
    set_config('synchronous_commit', \
        CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), \
    set_config('statement_timeout', '0', false), \
    CASE WHEN current_setting('server_version_num')::int >= 170000 \
        THEN set_config('transaction_timeout', '0', false) END, \
    set_config('idle_session_timeout', '0', false), \
    set_config('lock_timeout', $2, false), \
    set_config('idle_in_transaction_session_timeout', $3, false), \
    set_config('client_min_messages', 'warning', false), \
    set_config('default_transaction_isolation', 'read committed', false), \
    set_config('max_parallel_workers_per_gather', '0', false), \
    set_config('jit', 'off', false), \
    set_config('search_path', quote_ident($1) || ', pg_temp', false), \
    current_setting('transaction_read_only')";
const READ_ONLY: usize = 11;

/// The servers that the URL names.
pub(super) struct Servers {
    servers: Vec<(String, Config)>,
    /// Where to begin: where the last connection was made.
    preferred: AtomicUsize,
    tls: MakeRustlsConnect,
    schema: Schema,
    limits: Limits,
}

impl Servers {
    pub(super) fn new(
        servers: Vec<(String, Config)>,
        tls: MakeRustlsConnect,
        schema: Schema,
        limits: Limits,
    ) -> Self {
        Self { servers, preferred: AtomicUsize::new(0), tls, schema, limits }
    }

    /// Connects to the first server that takes writes: a standby is never used (rule C4). Must be called on the
    /// store's own runtime.
    pub(super) async fn connect(&self, listener: Option<&Arc<Listener>>) -> Result<Connection, ConnectError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure: Option<ConnectError> = None;
        let in_turn = self.servers.iter().enumerate().cycle().skip(first).take(self.servers.len());
        for (number, (name, config)) in in_turn {
            let limit = self.limits.connect;
            let connected = timeout(limit, self.connect_to(number, config, listener.cloned())).await;
            let why = match connected {
                Ok(Ok(connection)) => {
                    self.preferred.store(number, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Err(why)) => why,
                Err(_) => Why::Silent(limit),
            };
            // Beside a primary that cannot be reached, a standby that can is nothing to complain about.
            if failure.is_none() || !matches!(why, Why::ReadOnly) {
                failure = Some(ConnectError { server: name.clone(), why });
            }
        }
        Err(failure.unwrap_or_else(|| ConnectError { server: "no server".to_owned(), why: Why::ReadOnly }))
    }

    /// Tries another server next, if there is one.
    pub(super) fn avoid(&self, server: usize) {
        let next = server.saturating_add(1).checked_rem(self.servers.len()).unwrap_or(0);
        let _ = self.preferred.compare_exchange(server, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn connect_to(
        &self,
        number: usize,
        config: &Config,
        listener: Option<Arc<Listener>>,
    ) -> Result<Connection, Why> {
        let (client, inner) = config.connect(self.tls.clone()).await.map_err(Why::Postgres)?;
        let version = inner.parameter("server_version").unwrap_or("?").to_owned();
        let major: Option<u32> =
            version.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
        if major.is_none_or(|major| major < OLDEST) {
            return Err(Why::TooOld(version));
        }
        let connection = Connection::new(client, inner, number, listener);
        let lock = self.limits.lock.as_millis().max(1).to_string();
        let idle = self.limits.idle_in_transaction.as_millis().max(1).to_string();
        let rows = connection
            .client()
            .query_typed(SETTINGS, &[(&self.schema.0, Type::TEXT), (&lock, Type::TEXT), (&idle, Type::TEXT)])
            .await
            .map_err(Why::Postgres)?;
        let read_only = rows.first().map(|row| row.try_get::<_, &str>(READ_ONLY)).transpose();
        if read_only.map_err(Why::Postgres)? == Some("off") { Ok(connection) } else { Err(Why::ReadOnly) }
    }
}
