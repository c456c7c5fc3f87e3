//! A store in one SQLite file on a local disk.
//!
//! Two threads of its own serve a store: one changes the file, the other reads it, so that a look-up or a
//! proof of freshness never waits behind a change that is being forced to the disk. Both end when the last
//! handle is dropped, which waits for them. Any number of processes may open one file; each sees the changes
//! of the others.
//!
//! An answer counts only while the path still names the very files that are open (rule C4). If they were
//! replaced or removed, every call fails with
//! [`StoreError::Unavailable`](voicegain_auth_core::store::StoreError::Unavailable) until the store is opened
//! again. That is not a [`LogRead::Gone`](voicegain_auth_core::store::LogRead::Gone), after which a feed
//! would start from the head of a file that nobody else writes to any more.

mod changes;
mod checkpoint;
mod error;
mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod look;
mod open;
mod options;
mod place;
mod reads;
mod rows;
mod schema;
mod sealed;
mod store;
mod uses;
mod worker;

pub use error::OpenError;
pub use look::Look;
pub use options::SqliteOptions;
pub use store::SqliteStore;
