//! The audit log: a file of JSON lines that says who changed what and when, and in which each line names the hash of the one
//! before it.
//!
//! A file is opened anew for every entry, so that it may be rotated at any time, and locked while one is appended, so that
//! several gateways and the command line may share it. Nothing in it is ever changed or cut off.

mod changes;
mod file;
mod line;
mod tail;
mod verify;

pub(crate) use self::changes::{Change, latest, read};
pub use self::file::{AuditFileError, FileLog};
pub(crate) use self::verify::{Verification, Verified};
