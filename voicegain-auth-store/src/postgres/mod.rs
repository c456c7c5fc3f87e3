//! A store in a PostgreSQL database, version 15 or later, shared by any number of processes.
//!
//! Every change is one transaction that locks the log's head first, so that revisions follow one another in the
//! order of commits, and that tells all processes by a notification. A change has returned only when its commit
//! was acknowledged at `synchronous_commit` on or higher; one that was given up on, or that came with a warning
//! ("committed locally"), is
//! [`StoreError::OutcomeUnknown`](voicegain_auth_core::store::StoreError::OutcomeUnknown) (rule M1).
//!
//! One connection of each process listens, and carries the proofs of freshness too: each is a transaction that
//! writes a row of the process's own before it reads the log, so that a primary that has lost its synchronous
//! standby cannot answer one (rule C4).
//!
//! What the promise needs of the server: synchronous replication to every standby that may be promoted, so
//! `synchronous_standby_names = 'FIRST n (…)'` with all n of them, or a fence that stops an old primary. Otherwise an
//! old primary that still answers vouches for itself, with the help of a standby that it has left. A connection pooler between them must keep sessions as they are; in transaction mode notifications and settings get lost.
//!
//! All connections are served by the tokio runtime on which the store was opened, whoever calls.

mod changes;
mod connect;
mod connection;
mod error;
mod feed;
mod kinds;
mod options;
mod pool;
mod reads;
mod rows;
mod schema;
mod sealed;
mod standbys;
mod store;
mod tls;
mod url;
mod uses;
mod values;

pub use error::OpenError;
pub use options::PostgresOptions;
pub use store::PostgresStore;
pub use url::UrlProblem;
