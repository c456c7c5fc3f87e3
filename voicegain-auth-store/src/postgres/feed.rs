//! The connection that listens, and proves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{sleep, timeout};
use voicegain_auth_core::store::{LogRead, Revision, StoreError};

use super::connect::Servers;
use super::connection::{Connection, Parameters};
use super::error::{Cause, Failed, Outcome};
use super::options::{Limits, Schema};
use super::pool::Pool;
use super::reads::{Head, Log, Read as _};
use super::rows::Columns;
use super::values::Uuid;

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// What was heard, for those who wait.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// The newest revision that a notification has named, or that was there when listening began.
    revision: u64,
    /// How often the connection has been restored.
    restored: u64,
}

/// Where the connection's driver puts what it hears.
pub(super) struct Listener {
    heard: watch::Sender<Heard>,
    broken: Notify,
}

impl Listener {
    fn new() -> Self {
        Self { heard: watch::Sender::new(Heard::default()), broken: Notify::new() }
    }

    pub(super) fn hear(&self, payload: &str) {
        let Ok(revision) = payload.parse() else { return };
        self.heard.send_if_modified(|heard| {
            let newer = revision > heard.revision;
            heard.revision = heard.revision.max(revision);
            newer
        });
    }

    /// Listening begins anew. What was heard before may be of another server.
    fn restored(&self, revision: u64) {
        self.heard.send_modify(|heard| *heard = Heard { revision, restored: heard.restored.wrapping_add(1) });
    }

    /// The connection has ended, or is to be made anew.
    pub(super) fn broken(&self) {
        self.broken.notify_one();
    }
}

pub(super) struct Feed {
    servers: Arc<Servers>,
    pool: Arc<Pool>,
    listener: Arc<Listener>,
    schema: Schema,
    limits: Limits,
    /// Whose heartbeat it is.
    process: Uuid,
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    /// What names its backend at the server.
    backend: Option<Backend>,
    /// Where the last proof found the head: by the next one a notification must have said so too.
    proved: u64,
    /// Why there is no connection.
    problem: String,
}

#[derive(Debug)]
struct Backend {
    pid: i32,
    started: String,
}

impl Feed {
    pub(super) fn new(
        servers: Arc<Servers>,
        pool: Arc<Pool>,
        schema: Schema,
        limits: Limits,
        process: Uuid,
    ) -> Self {
        let (listener, link) = (Arc::new(Listener::new()), Mutex::default());
        Self { servers, pool, listener, schema, limits, process, link }
    }

    /// Keeps the connection up for as long as it is polled.
    pub(super) async fn keep_up(self: Arc<Self>) {
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.restore().await {
                Ok(()) => {
                    self.listener.broken.notified().await;
                    sleep(BACKOFF_MIN).await;
                    backoff = BACKOFF_MIN;
                }
                Err(error) => {
                    let error = error.chain();
                    // Whoever wants a proof is told, and says so.
                    tracing::debug!(error, "the connection that listens for changes could not be made");
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Makes the connection unless it is there. Whoever wants a proof waits meanwhile.
    pub(super) async fn restore(&self) -> Outcome<()> {
        let mut link = self.link.lock().await;
        if link.connection.as_ref().is_some_and(|connection| !connection.is_closed()) {
            return Ok(());
        }
        link.connection = None;
        let restored = self.listen(link.backend.as_ref()).await;
        match restored {
            Ok((connection, backend, head)) => {
                *link = Link {
                    connection: Some(connection),
                    backend: Some(backend),
                    proved: 0,
                    problem: String::new(),
                };
                // Connections to where this one led before are not used again.
                self.pool.renew();
                self.listener.restored(head);
                Ok(())
            }
            Err(error) => {
                link.problem = error.chain();
                Err(error)
            }
        }
    }

    /// Listens first, and only then looks where the log's head is, so that nothing falls between.
    async fn listen(&self, earlier: Option<&Backend>) -> Outcome<(Connection, Backend, u64)> {
        const SELF: &str = "SELECT pid, extract(epoch FROM backend_start)::text FROM pg_stat_activity \
             WHERE pid = pg_backend_pid()";
        // An earlier one of ours may have got stuck in a proof, waiting for a standby, or for an acknowledgement that
        // went astray. It holds our heartbeat's row, and nobody is interested in that proof any more.
        const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid = $1 AND extract(epoch FROM backend_start)::text = $2 AND usename = current_user";
        let mut connection = self.servers.connect(Some(&self.listener)).await?;
        let server = connection.server;
        let limit = self.limits.request;
        let listened = timeout(limit, async {
            connection.batch(&format!("LISTEN \"{}\"", self.schema.0)).await?;
            let head = Head.read(&mut connection).await?.revision.get();
            let row = connection.query_opt(SELF, &[]).await?;
            let row = row.ok_or_else(|| Failed::damaged("the server does not know our connection"))?;
            let mut row = Columns::of(&row);
            let backend = Backend { pid: row.take()?, started: row.take()? };
            if let Some(earlier) = earlier {
                connection.query(END, &[&earlier.pid, &earlier.started]).await?;
            }
            Ok((connection, backend, head))
        });
        let listened = listened.await.unwrap_or_else(|_| Err(Cause::Silent(limit).into()));
        if listened.is_err() {
            self.servers.avoid(server);
        }
        listened
    }

    /// Reads the log on the connection that listens; `None` if that is busy or not there.
    pub(super) async fn read(&self, log: Log) -> Option<LogRead> {
        let mut link = self.link.try_lock().ok()?;
        let connection = link.connection.as_mut().filter(|connection| !connection.is_closed())?;
        let limit = self.limits.proof;
        let read = timeout(limit, log.read(connection)).await;
        match read.unwrap_or_else(|_| Err(Cause::Silent(limit).into())) {
            Ok(read) => Some(read),
            Err(failed) => {
                self.give_up(&mut link, &failed.chain());
                None
            }
        }
    }

    /// Reads the log in a transaction that first writes this process's heartbeat, and counts only if it is committed as
    /// a change would be (rule C4).
    pub(super) async fn prove(&self, log: Log) -> Result<LogRead, StoreError> {
        let limit = self.limits.proof;
        // Longer than the one before it may take, or than the connection takes to be restored.
        let patience = limit.saturating_add(self.limits.connect);
        let Ok(mut link) = timeout(patience, self.link.lock()).await else {
            return Err(StoreError::unavailable(Cause::FeedBusy));
        };
        let Link { connection, problem, .. } = &mut *link;
        let Some(connection) = connection.as_mut().filter(|connection| !connection.is_closed()) else {
            return Err(StoreError::unavailable(Cause::FeedDown(problem.clone())));
        };
        let proved = timeout(limit, self.beat_and_read(connection, log)).await;
        let proved = proved.unwrap_or_else(|_| Err(Cause::Silent(limit).into())).map_err(StoreError::from);
        match proved {
            Ok((read, head)) => {
                self.check_hearing(&mut link, head);
                Ok(read)
            }
            Err(error) => {
                let error = match error {
                    StoreError::OutcomeUnknown(source) => StoreError::Unavailable(source),
                    error => error,
                };
                self.give_up(&mut link, &error.chain());
                Err(error)
            }
        }
    }

    async fn beat_and_read(&self, connection: &mut Connection, log: Log) -> Outcome<(LogRead, u64)> {
        const BEAT: &str = "INSERT INTO heartbeats (process, beaten_at) VALUES ($1, clock_timestamp()) \
             ON CONFLICT (process) DO UPDATE SET beaten_at = EXCLUDED.beaten_at";
        let Some((revision, entry, limit)) = log.parameters() else { return Ok((LogRead::Gone, 0)) };
        let (beat, read) = (connection.prepare(BEAT).await?, connection.prepare(Log::SQL).await?);
        let beating: Parameters<'_> = &[&self.process];
        let reading: Parameters<'_> = &[&revision, &entry, &limit];
        let client = connection.client();
        // Sent together, and done one after the other.
        let (begun, beaten, rows) = tokio::join!(biased;
            client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
            client.execute(&beat, beating),
            client.query(&read, reading));
        let rows = begun.and(beaten).and(rows).map_err(|error| connection.explain(error))?;
        let answer = log.answer(&rows)?;
        let head = rows.first().map(|row| Columns::of(row).head()).transpose()?;
        connection.commit(self.limits.proof).await?;
        Ok((answer, head.map_or(0, |head| head.revision.get())))
    }

    /// A connection can be alive and yet deaf. What the proof before this one saw must have been heard of by now.
    fn check_hearing(&self, link: &mut Link, head: u64) {
        let heard = self.listener.heard.borrow().revision;
        if link.proved > heard {
            tracing::warn!(
                revision = link.proved,
                "no notification came of a change that was found in the log: the connection is made anew"
            );
            link.connection = None;
            self.listener.broken();
        }
        link.proved = head;
    }

    fn give_up(&self, link: &mut Link, problem: &str) {
        if let Some(connection) = link.connection.take() {
            self.servers.avoid(connection.server);
        }
        problem.clone_into(&mut link.problem);
        self.listener.broken();
    }

    /// Resolves when a notification names a later revision, or when what was missed must be asked for.
    pub(super) async fn changed(&self, seen: Revision) {
        let mut heard = self.listener.heard.subscribe();
        let begun = heard.borrow().restored;
        // The sender lives as long as `self`.
        let _ = heard.wait_for(|heard| heard.revision > seen.get() || heard.restored != begun).await;
    }
}
