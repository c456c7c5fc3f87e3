use std::path::PathBuf;
use std::time::Duration;

use voicegain_auth_core::store::{BoxError, StoreError};

use super::values;
use crate::sealing::SealingMismatch;

/// Why a store could not be opened. Nothing in it has been changed. No password is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL does not name an etcd store.
    #[error("not the URL of an etcd store: write etcd://[user:password@]host:port[,host:port]/prefix")]
    Url(#[from] InvalidUrl),
    /// A file that TLS needs could not be read.
    #[error("{} could not be read: name a PEM file that this process may read", .path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// None of the endpoints answered in time.
    #[error(
        "no etcd member of {} answers: check the addresses, and that a majority of the members runs{}",
        list(.endpoints),
        if .endpoints.iter().any(|endpoint| endpoint.starts_with("https:")) {
            "; if they speak no TLS, write etcd:// instead of etcds://"
        } else {
            ""
        }
    )]
    Unreachable {
        /// Who was asked.
        endpoints: Vec<String>,
        /// The last that went wrong.
        #[source]
        source: BoxError,
    },
    /// etcd does not let this user in, or does not let it at these keys.
    #[error(
        "etcd refuses: check the user, the password, and the role's permission for all keys below {prefix}/"
    )]
    Refused {
        /// The store's prefix.
        prefix: String,
        /// What etcd said.
        #[source]
        source: BoxError,
    },
    /// There are keys below the prefix that are not a store's.
    #[error("below {prefix}/ are the keys of something else: name another prefix")]
    NotAStore {
        /// The prefix.
        prefix: String,
    },
    /// The store was written by a newer version of this library.
    #[error(
        "the store at {prefix} is of format {found}, and this program knows format {supported} only: use the newer program"
    )]
    NewerFormat {
        /// The store's prefix.
        prefix: String,
        /// The store's format.
        found: u32,
        /// The one known here.
        supported: u32,
    },
    /// What the store holds cannot be read.
    #[error("the store at {prefix} is damaged: keep a snapshot of it, then restore an older one")]
    Damaged {
        /// The store's prefix.
        prefix: String,
        /// What was found.
        #[source]
        source: BoxError,
    },
    /// The store's sealing and what it was to be opened with do not fit.
    #[error("the store at {prefix} cannot be opened like this")]
    Sealing {
        /// The store's prefix.
        prefix: String,
        /// What does not fit.
        #[source]
        source: SealingMismatch,
    },
    /// There is no tokio runtime to work on.
    #[error("there is no tokio runtime here: open the store from one, with its I/O and time enabled")]
    NoRuntime,
    /// Anything else.
    #[error("the store at {prefix} could not be opened")]
    Other {
        /// The store's prefix.
        prefix: String,
        /// What etcd said.
        #[source]
        source: BoxError,
    },
}

impl OpenError {
    /// What a read or change at the beginning means.
    pub(super) fn of(error: StoreError, prefix: &str, endpoints: &[String]) -> Self {
        let prefix = prefix.to_owned();
        match error {
            StoreError::Damaged(source) => match source.downcast::<values::UnknownVersion>() {
                Ok(found) => Self::NewerFormat { prefix, found: found.0, supported: values::VERSION },
                Err(source) => Self::Damaged { prefix, source },
            },
            StoreError::Unavailable(source) | StoreError::OutcomeUnknown(source) => {
                match source.downcast_ref::<Cause>() {
                    Some(Cause::Refused { .. }) => Self::Refused { prefix, source },
                    Some(
                        Cause::Unreachable { .. }
                        | Cause::TimedOut { .. }
                        | Cause::TooLate
                        | Cause::Abandoned { .. },
                    ) => Self::Unreachable { endpoints: endpoints.to_vec(), source },
                    _ => Self::Other { prefix, source },
                }
            }
            other => Self::Other { prefix, source: other.into() },
        }
    }
}

fn list(endpoints: &[String]) -> String {
    endpoints.join(", ")
}

/// What is wrong with a URL. It shows no part of it, since that may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It begins with neither `etcd://` nor `etcds://`.
    #[error("it begins with neither etcd:// nor etcds://")]
    Scheme,
    /// There is no host, or an address is no host with a port.
    #[error("each endpoint must be a host name or address, with a port or without: host:2379, [::1]:2379")]
    Endpoint,
    /// There is no prefix.
    #[error("there is no prefix after the endpoints: add one, such as /voicegain")]
    NoPrefix,
    /// The prefix has a character that it must not have.
    #[error("the prefix has an empty part, or characters other than letters, digits, '.', '_', '-' and '/'")]
    Prefix,
    /// The user or the password is not percent-encoded text.
    #[error(
        "user and password must both be there, and percent-encoded: write %40 for @, %2F for /, %3A for :"
    )]
    Credentials,
    /// A parameter is unknown, repeated or empty.
    #[error("the parameters are cacert, cert and key, each with a file name, each at most once")]
    Parameter,
    /// TLS files were named, but TLS is not asked for.
    #[error("cacert, cert and key need TLS: begin with etcds://")]
    NotTls,
    /// A certificate without its key, or a key without its certificate.
    #[error("cert and key are needed together")]
    HalfIdentity,
}

/// Causes of [`StoreError::Unavailable`] and [`StoreError::OutcomeUnknown`], written for the operator's log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("etcd at {endpoint} could not be reached")]
    Unreachable {
        endpoint: String,
        #[source]
        source: BoxError,
    },
    #[error("etcd at {endpoint} did not answer within {limit:?}")]
    TimedOut { endpoint: String, limit: Duration },
    #[error("the connection to etcd was given up: {why}")]
    Abandoned { why: String },
    #[error("etcd did not answer in time")]
    TooLate,
    #[error("etcd refuses: check the user, the password and the role's permissions")]
    Refused {
        #[source]
        source: BoxError,
    },
    #[error(
        "etcd has used up its space and refuses changes: compact its history (etcdctl compact), defragment \
         its members (etcdctl defrag), clear the alarm (etcdctl alarm disarm), and set \
         --auto-compaction-retention"
    )]
    NoSpace {
        #[source]
        source: BoxError,
    },
    #[error("etcd takes no request of this size: allow it a larger one (--max-request-bytes)")]
    TooLarge {
        #[source]
        source: BoxError,
    },
    #[error("etcd has compacted the revision that was being read")]
    Compacted {
        #[source]
        source: BoxError,
    },
    #[error("etcd refuses the request")]
    Rejected {
        #[source]
        source: BoxError,
    },
    #[error("other changes came first, again and again")]
    Contended,
    #[error("the store changed under the reader, again and again")]
    Moved,
    #[error("the watch ended: {0}")]
    WatchEnded(String),
    #[error("the runtime that the store was opened on is shutting down, or a task of it panicked")]
    Ended,
    #[error("the operating system has no randomness to give")]
    NoRandomness,
}

/// Why a piece of work failed.
#[derive(Debug)]
pub(super) enum Failed {
    Store(StoreError),
    /// What was read is of no snapshot any more: begin again.
    Again(Cause),
}

pub(super) type Outcome<T> = Result<T, Failed>;

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Cause> for Failed {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Compacted { .. } | Cause::Moved => Self::Again(cause),
            cause => Self::Store(StoreError::unavailable(cause)),
        }
    }
}

/// For what changes nothing, or has not changed anything yet.
impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => error,
            Failed::Again(cause) => Self::unavailable(cause),
        }
    }
}
