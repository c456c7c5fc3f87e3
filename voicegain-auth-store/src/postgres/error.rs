use std::time::Duration;

use tokio_postgres::error::{Severity, SqlState};
use voicegain_auth_core::store::{BoxError, StoreError};

use super::url::UrlProblem;
use crate::sealing::{SealError, SealingMismatch};

/// Why a store could not be opened. Whatever the database held, it still holds. None of it shows a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is none of a PostgreSQL database, or asks for something that is not to be had.
    #[error("the database URL cannot be used")]
    Url(#[source] UrlProblem),
    /// There is no tokio runtime to serve the connections.
    #[error("a PostgreSQL store must be opened on a tokio runtime")]
    NoRuntime,
    /// The certificates that servers are verified with could not be read.
    #[error("the certificates to verify the server with could not be read: check sslrootcert in the URL")]
    Certificates(#[source] BoxError),
    /// No server could be reached.
    #[error("{server} cannot be reached: check the host and port in the URL, and that the server runs")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system said.
        #[source]
        source: BoxError,
    },
    /// There was no encrypted connection to be had, or the server's certificate does not hold.
    #[error(
        "there is no encrypted connection to {server}: give the certificate that signed the server's by \
         sslrootcert=FILE in the URL, use the host name that is in it, or say sslmode=disable if nobody can \
         listen on the way"
    )]
    Tls {
        /// Host and port.
        server: String,
        /// What was wrong.
        #[source]
        source: BoxError,
    },
    /// The server does not encrypt connections.
    #[error(
        "write sslmode=disable into the URL if nobody can listen on the way to {server}, or switch TLS on there (ssl = \
         on): it does not encrypt connections"
    )]
    NoTls {
        /// Host and port.
        server: String,
    },
    /// The server refused to let us in.
    #[error("{server} refused the connection: check user, password and database in the URL, and pg_hba.conf")]
    Refused {
        /// Host and port.
        server: String,
        /// What the server said.
        #[source]
        source: BoxError,
    },
    /// The server has no connection left.
    #[error(
        "{server} has no connection left: raise max_connections or the role's limit there, or lower the number \
         of connections of its clients"
    )]
    TooManyConnections {
        /// Host and port.
        server: String,
        /// What the server said.
        #[source]
        source: BoxError,
    },
    /// The server takes no writes.
    #[error(
        "{server} is read-only, a standby perhaps: name the primary, or all servers one of which is the primary"
    )]
    ReadOnly {
        /// Host and port.
        server: String,
    },
    /// The server is too old.
    #[error("{server} runs PostgreSQL {found}, and 15 or later is needed")]
    TooOld {
        /// Host and port.
        server: String,
        /// What the server calls its version.
        found: String,
    },
    /// The database cannot hold every text.
    #[error("the database's encoding is {found}: make one with ENCODING 'UTF8'")]
    Encoding {
        /// The database's encoding.
        found: String,
    },
    /// The role may not do what it must.
    #[error(
        "the role may not make or use the schema {schema}: GRANT CREATE ON DATABASE to it, or make the schema \
         with it as the owner"
    )]
    NotAllowed {
        /// The schema.
        schema: String,
        /// What the server said.
        #[source]
        source: BoxError,
    },
    /// The schema holds something else.
    #[error("the schema {schema} holds tables of another application: choose another schema or database")]
    ForeignSchema {
        /// The schema.
        schema: String,
    },
    /// The schema was made by a newer version of this library.
    #[error(
        "the schema {schema} has version {found}, and this program knows versions up to {supported} only: use \
         the newer program"
    )]
    NewerSchema {
        /// The schema.
        schema: String,
        /// The version it has.
        found: i32,
        /// The newest version known here.
        supported: i32,
    },
    /// The store's secrets are sealed in another way than it is to be opened with.
    #[error("the store in the schema {schema} does not fit the master keys")]
    Sealing {
        /// The schema.
        schema: String,
        /// What does not fit.
        #[source]
        source: SealingMismatch,
    },
    /// What the database holds cannot be read.
    #[error("the store in the schema {schema} is damaged: keep a copy of it, then restore a backup")]
    Damaged {
        /// The schema.
        schema: String,
        /// What was found.
        #[source]
        source: BoxError,
    },
    /// Anything else.
    #[error("the store could not be opened: try again, and look at the server's log")]
    Other(#[source] BoxError),
}

/// Causes of [`StoreError::Unavailable`] and [`StoreError::OutcomeUnknown`], written for the operator's log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("the database did not answer within {0:?}")]
    Silent(Duration),
    #[error("the connection to the database was lost{0}")]
    Lost(String),
    #[error("no connection became free within {0:?}: every one of the pool's is busy")]
    PoolExhausted(Duration),
    #[error("another transaction keeps the head of the change log locked, or what comes after it")]
    HeadLocked(#[source] tokio_postgres::Error),
    #[error("the disk of the database is full: free some space, and changes work again")]
    DiskFull(#[source] tokio_postgres::Error),
    #[error(
        "the commit was not acknowledged within {0:?}: does the server wait for a synchronous standby that is \
         gone?"
    )]
    CommitSilent(Duration),
    #[error("the commit came with a warning: {0}")]
    CommitWarned(String),
    #[error("the connection that listens is being restored: {0}")]
    FeedDown(String),
    #[error("an earlier proof of freshness has not ended yet")]
    FeedBusy,
    #[error(
        "the schema has changed to version {0} while it was open: restart this process with the program \
             that did it"
    )]
    OtherSchema(i32),
    #[error("the runtime on which the store was opened has ended")]
    RuntimeEnded,
    #[error("the operating system has no randomness to give")]
    NoRandomness,
}

/// Why a piece of work on a connection failed before it was committed. It exists for the sake of `?`.
#[derive(Debug)]
pub(super) struct Failed(StoreError);

pub(super) type Outcome<T> = Result<T, Failed>;

impl Failed {
    pub(super) fn damaged(source: impl Into<BoxError>) -> Self {
        Self(StoreError::damaged(source))
    }

    /// Whether the store has answered: nothing is wrong with the connection.
    pub(super) fn is_answer(&self) -> bool {
        matches!(
            self.0,
            StoreError::NotFound
                | StoreError::AlreadyExists
                | StoreError::Deleted
                | StoreError::GenerationPassed
        )
    }

    pub(super) fn into_boxed(self) -> BoxError {
        self.0.into()
    }

    pub(super) fn chain(&self) -> String {
        self.0.chain()
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        failed.0
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<Cause> for Failed {
    fn from(cause: Cause) -> Self {
        Self(StoreError::unavailable(cause))
    }
}

impl From<SealError> for Failed {
    fn from(error: SealError) -> Self {
        Self(error.into())
    }
}

/// For everything that happens before a commit is begun: nothing has been changed.
impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            // A value that is not of its column's type was written by something else.
            let of_row = error.to_string().starts_with("error deserializing");
            return Self(if of_row { StoreError::damaged(error) } else { StoreError::unavailable(error) });
        };
        Self(match *code {
            SqlState::LOCK_NOT_AVAILABLE => StoreError::unavailable(Cause::HeadLocked(error)),
            SqlState::DISK_FULL => StoreError::unavailable(Cause::DiskFull(error)),
            SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => StoreError::damaged(error),
            _ => StoreError::unavailable(error),
        })
    }
}

/// What a commit that did not succeed means (rule M1). Only a server that says "error" has rolled back: it stays
/// connected, and a commit that was written does not end like that.
pub(super) fn commit_failed(error: tokio_postgres::Error) -> StoreError {
    let severity = error.as_db_error().and_then(|error| error.parsed_severity());
    if severity == Some(Severity::Error) {
        StoreError::unavailable(error)
    } else {
        StoreError::outcome_unknown(error)
    }
}

/// The client tells some of its errors by their text alone.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct ConnectError {
    pub(super) server: String,
    pub(super) why: Why,
}

#[derive(Debug)]
pub(super) enum Why {
    Silent(Duration),
    ReadOnly,
    TooOld(String),
    Postgres(tokio_postgres::Error),
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = &self.server;
        match &self.why {
            Why::Silent(limit) => write!(f, "{server} did not let us in within {limit:?}"),
            Why::ReadOnly => write!(f, "{server} is read-only, a standby perhaps"),
            Why::TooOld(found) => write!(f, "{server} runs PostgreSQL {found}, and 15 or later is needed"),
            Why::Postgres(error) if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => {
                write!(f, "{server} has no connection left")
            }
            Why::Postgres(_) => write!(f, "no connection to {server}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Postgres(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConnectError> for Failed {
    fn from(error: ConnectError) -> Self {
        Self(StoreError::unavailable(error))
    }
}

impl From<ConnectError> for OpenError {
    fn from(error: ConnectError) -> Self {
        let ConnectError { server, why } = error;
        let error = match why {
            Why::ReadOnly => return Self::ReadOnly { server },
            Why::TooOld(found) => return Self::TooOld { server, found },
            Why::Silent(limit) => {
                return Self::Unreachable { server, source: Cause::Silent(limit).into() };
            }
            Why::Postgres(error) => error,
        };
        let text = error.to_string();
        let source = error.code().cloned();
        match source {
            Some(SqlState::TOO_MANY_CONNECTIONS) => Self::TooManyConnections { server, source: error.into() },
            Some(code) if code == SqlState::CANNOT_CONNECT_NOW => {
                Self::Unreachable { server, source: error.into() }
            }
            Some(_) => Self::Refused { server, source: error.into() },
            None if in_full(&error).contains("server does not support TLS") => Self::NoTls { server },
            None if text.contains("TLS") => Self::Tls { server, source: error.into() },
            None if text.contains("configuration") || text.contains("authentication") => {
                Self::Refused { server, source: error.into() }
            }
            None => Self::Unreachable { server, source: error.into() },
        }
    }
}
