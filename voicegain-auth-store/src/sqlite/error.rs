use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};
use voicegain_auth_core::store::{BoxError, StoreError};

use crate::sealing::{SealError, SealingMismatch};

/// Why a store could not be opened. Whatever the file held, it still holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file's directory is not there.
    #[error("there is no directory {}: create it, or name another file", .directory.display())]
    NoDirectory {
        /// The directory that is missing.
        directory: PathBuf,
    },
    /// The path names a directory or something else that is not a regular file.
    #[error("{} is not a regular file: name the file itself", .path.display())]
    NotAFile {
        /// What was to be opened.
        path: PathBuf,
    },
    /// The file or its directory is read-only for this process.
    #[error("{} cannot be written: this process needs write access to the file and to its directory, where \
             SQLite keeps two more files", .path.display())]
    NotWritable {
        /// What was to be opened.
        path: PathBuf,
        /// What the system or SQLite said.
        #[source]
        source: BoxError,
    },
    /// The file is open to other users, and this process may not change that.
    #[error("{} holds secrets but can be read by other users, and its mode cannot be changed: have its owner \
             set it to 0600",
            .path.display())]
    OpenToOthers {
        /// The file whose mode is too wide.
        path: PathBuf,
        /// Why the mode could not be changed.
        #[source]
        source: io::Error,
    },
    /// The file is no SQLite database.
    #[error("{} is not a SQLite database: name another file", .path.display())]
    NotADatabase {
        /// What was to be opened.
        path: PathBuf,
    },
    /// The file is a SQLite database of something else.
    #[error("{} is the database of another application: name another file", .path.display())]
    ForeignDatabase {
        /// What was to be opened.
        path: PathBuf,
    },
    /// The file was written by a newer version of this library.
    #[error("{} has schema version {found}, and this program knows versions up to {supported} only: use the \
             newer program",
            .path.display())]
    NewerSchema {
        /// What was to be opened.
        path: PathBuf,
        /// The file's schema version.
        found: i64,
        /// The newest version known here.
        supported: i64,
    },
    /// The file and the sealing that it was to be opened with do not fit together.
    #[error("the store in {} cannot be opened like this", .path.display())]
    Sealing {
        /// What was to be opened.
        path: PathBuf,
        /// Why not, and what to do.
        #[source]
        source: SealingMismatch,
    },
    /// The file is damaged.
    #[error("{} is damaged: keep a copy of it, then restore a backup", .path.display())]
    Damaged {
        /// What was to be opened.
        path: PathBuf,
        /// What was found.
        #[source]
        source: BoxError,
    },
    /// There is no space left on the disk.
    #[error("the disk that holds {} is full: free some space", .path.display())]
    DiskFull {
        /// What was to be opened.
        path: PathBuf,
        /// What the system or SQLite said.
        #[source]
        source: BoxError,
    },
    /// Another process kept the file locked.
    #[error("{} is locked by another process: try again once that is done", .path.display())]
    Busy {
        /// What was to be opened.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: BoxError,
    },
    /// The file was replaced while it was being opened.
    #[error("{} was replaced while it was being opened: try again", .path.display())]
    Replaced {
        /// What was to be opened.
        path: PathBuf,
    },
    /// The file system has no shared memory, which several processes on one file need.
    #[error("{} is on a file system without shared memory: put it on a local disk", .path.display())]
    UnsuitableFileSystem {
        /// What was to be opened.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{} could not be opened", .path.display())]
    Other {
        /// What was to be opened.
        path: PathBuf,
        /// What the system or SQLite said.
        #[source]
        source: BoxError,
    },
}

impl OpenError {
    pub(super) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match Class::of(&error) {
            Class::Full => Self::DiskFull { path, source: error.into() },
            Class::Busy => Self::Busy { path, source: error.into() },
            Class::ReadOnly => Self::NotWritable { path, source: error.into() },
            Class::NotADatabase => Self::NotADatabase { path },
            Class::Damaged => Self::Damaged { path, source: error.into() },
            Class::Other => Self::Other { path, source: error.into() },
        }
    }

    pub(super) fn first_read(path: &Path, error: StoreError) -> Self {
        let path = path.to_owned();
        match error {
            StoreError::Damaged(source) => Self::Damaged { path, source },
            error => Self::Other { path, source: error.into() },
        }
    }

    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source: error.into() }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source: error.into() }
            }
            _ => Self::Other { path, source: error.into() },
        }
    }
}

/// Causes of [`StoreError::Unavailable`] and [`StoreError::OutcomeUnknown`], written for the operator's log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("the disk is full: free some space, and changes work again")]
    DiskFull(#[source] rusqlite::Error),
    #[error("another process kept the database file locked")]
    Busy(#[source] rusqlite::Error),
    #[error("the database file or its directory has become read-only")]
    ReadOnly(#[source] rusqlite::Error),
    #[error("{} was replaced or removed while it was open: restart this process", .0.display())]
    Replaced(PathBuf),
    #[error(
        "the database file was changed to schema version {0} while it was open: restart this process with \
         the program that did it"
    )]
    OtherSchema(i64),
    #[error("too many requests are waiting for the database file")]
    Overloaded,
    #[error("the thread that serves the database file has ended")]
    Ended,
    #[error("the thread that serves the database file panicked over this request")]
    Panicked,
    #[error("the operating system has no randomness to give")]
    NoRandomness,
}

/// Why a piece of work on the file failed. It exists for the sake of `?`.
#[derive(Debug)]
pub(super) struct Failed(StoreError);

pub(super) type Outcome<T> = Result<T, Failed>;

impl Failed {
    pub(super) fn damaged(source: impl Into<BoxError>) -> Self {
        Self(StoreError::damaged(source))
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

impl From<SealError> for Failed {
    fn from(error: SealError) -> Self {
        Self(error.into())
    }
}

impl From<Cause> for Failed {
    fn from(cause: Cause) -> Self {
        Self(StoreError::unavailable(cause))
    }
}

/// For everything that happens before a commit is begun: nothing has been changed.
impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self(match Class::of(&error) {
            Class::NotADatabase | Class::Damaged => StoreError::damaged(error),
            class => StoreError::Unavailable(class.explain(error)),
        })
    }
}

/// What a commit that failed means. In the write-ahead log a change is there once its last frame is. If
/// SQLite had to wait or found no space, that frame was never written whole; after any other failure, such as
/// that of forcing it to the disk, a recovery may still find it (rule M1).
pub(super) fn commit_failed(error: rusqlite::Error) -> StoreError {
    match Class::of(&error) {
        class @ (Class::Full | Class::Busy) => StoreError::Unavailable(class.explain(error)),
        class => StoreError::OutcomeUnknown(class.explain(error)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Full,
    Busy,
    ReadOnly,
    NotADatabase,
    Damaged,
    Other,
}

impl Class {
    fn of(error: &rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match error {
            E::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => Self::Full,
                // The index of the write-ahead log could not grow.
                ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
                    Self::Full
                }
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Self::ReadOnly,
                ErrorCode::NotADatabase => Self::NotADatabase,
                ErrorCode::DatabaseCorrupt => Self::Damaged,
                _ => Self::Other,
            },
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..) => Self::Damaged,
            _ => Self::Other,
        }
    }

    fn explain(self, error: rusqlite::Error) -> BoxError {
        match self {
            Self::Full => Cause::DiskFull(error).into(),
            Self::Busy => Cause::Busy(error).into(),
            Self::ReadOnly => Cause::ReadOnly(error).into(),
            Self::NotADatabase | Self::Damaged | Self::Other => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn m1_only_a_commit_that_may_have_happened_is_unknown() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(matches!(commit_failed(sqlite(code)), StoreError::Unavailable(_)), "{code}");
        }
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_CORRUPT, ffi::SQLITE_NOMEM]
        {
            assert!(matches!(commit_failed(sqlite(code)), StoreError::OutcomeUnknown(_)), "{code}");
        }
    }

    #[test]
    fn m1_before_the_commit_nothing_is_unknown() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_READONLY] {
            assert!(matches!(Failed::from(sqlite(code)).into(), StoreError::Unavailable(_)), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            assert!(matches!(Failed::from(sqlite(code)).into(), StoreError::Damaged(_)), "{code}");
        }
    }

    #[test]
    fn a_full_disk_is_called_that() {
        let chain = commit_failed(sqlite(ffi::SQLITE_FULL)).chain();
        assert!(chain.contains("the disk is full: free some space"), "{chain}");
    }
}
