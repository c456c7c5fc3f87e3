use std::io;
use std::path::PathBuf;

use voicegain_auth_core::InvalidSecret;
use voicegain_auth_core::store::StoreError;

/// Why there are no master keys to be had. None of it shows any part of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// There was no key at all.
    #[error(
        "there is no master key in it: it needs at least one line of the form <key id>:<base64 of 32 bytes>"
    )]
    NoKeys,
    /// A line is no master key.
    #[error("line {line} is no master key")]
    InvalidLine {
        /// Which line, the first being 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        problem: InvalidLine,
    },
    /// The key file says something that is no set of master keys.
    #[error("the key file {} cannot be used", .path.display())]
    InFile {
        /// The key file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<MasterKeyError>,
    },
    /// There is no such key file.
    #[error(
        "there is no key file {path}: make one with `(umask 077 && printf 'key-1:%s\\n' \
         \"$(head -c 32 /dev/urandom | base64)\" > '{path}')`, and keep a copy of it where the store's \
         backups are not, since what is sealed under a lost key is lost",
        path = .path.display()
    )]
    NoFile {
        /// The key file that is missing.
        path: PathBuf,
    },
    /// Others than its owner can read or write the key file.
    #[error(
        "the key file {path} is open to other users (mode {mode:04o}): chmod 600 {path}",
        path = .path.display()
    )]
    OpenToOthers {
        /// The key file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key file is another user's, who can read it and write it.
    #[error(
        "the key file {path} belongs to the user with the id {owner}: it must be the user's that this process runs \
         as, or root's; chown it",
        path = .path.display()
    )]
    OtherOwner {
        /// The key file.
        path: PathBuf,
        /// The id of the user that it belongs to.
        owner: u32,
    },
    /// What was named is a directory, a pipe or a device.
    #[error("{} is not a regular file: name the key file itself", .path.display())]
    NotAFile {
        /// What was taken for a key file.
        path: PathBuf,
    },
    /// The key file is far too long for one.
    #[error("{} is too long for a key file: name another one", .path.display())]
    TooLong {
        /// What was taken for a key file.
        path: PathBuf,
    },
    /// The key file is no text.
    #[error("{} is not a text file: name another one", .path.display())]
    NotText {
        /// What was taken for a key file.
        path: PathBuf,
    },
    /// A key file was to be made where there is a file already.
    #[error(
        "there is a file {} already, and key files are never overwritten: name another one",
        .path.display()
    )]
    FileExists {
        /// What is there already.
        path: PathBuf,
    },
    /// The key file could not be read or written.
    #[error("the key file {} could not be read or written", .path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key was replaced by another one under the same id.
    #[error(
        "the key under the id {key_id} is not the one in use under it: give the new key an id of its own, or restart this \
         process if the new one is right"
    )]
    KeyChanged {
        /// The id that stands for two keys.
        key_id: String,
    },
    /// Something is sealed under a key that is not among these.
    #[error(
        "it is sealed under the key {key_id}, which is not among those that were given: give that one too"
    )]
    UnknownKey {
        /// The id of the key that is missing.
        key_id: String,
    },
    /// Something does not open under the key that it names.
    #[error(
        "it does not open under the key {key_id}: that is not the key it was sealed under, or it has been changed since"
    )]
    DoesNotOpen {
        /// The id of the key.
        key_id: String,
    },
    /// The operating system has no randomness to give.
    #[error("the operating system has no randomness to give")]
    NoRandomness,
}

/// What is wrong with a line that should be `<key id>:<base64 of 32 bytes>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLine {
    /// There is no colon in it.
    #[error("it has no colon: write <key id>:<base64 of 32 bytes>")]
    NoColon,
    /// What is before the colon is no key id.
    #[error("what stands before the colon is no key id: use 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
    KeyId,
    /// What is after the colon is not base64.
    #[error("what follows the colon is not base64 (RFC 4648, the standard alphabet): encode the key again")]
    NotBase64,
    /// The key has not 32 bytes.
    #[error("the key has {length} bytes and must have 32: make another one")]
    Length {
        /// How many bytes it has.
        length: usize,
    },
    /// The key is all zeros.
    #[error("the key is all zeros, so that anybody knows it: make another one")]
    AllZero,
    /// The key id stands on an earlier line too.
    #[error("the key id {key_id} stands on line {first} too: give each key an id of its own")]
    DuplicateId {
        /// The key id.
        key_id: String,
        /// The line it stands on first.
        first: usize,
    },
    /// The same key stands on an earlier line too.
    #[error("the key stands on line {first} too: keep one of the two lines, the one whose id is in use")]
    DuplicateKey {
        /// The line it stands on first.
        first: usize,
    },
}

/// A store and what it was to be opened with do not fit together. Nothing in it has been changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingMismatch {
    /// The store's secrets are sealed, and no master keys were given.
    #[error("its secrets are sealed: give the master keys (the store knows {})", list(.key_ids))]
    StoreIsSealed {
        /// The key ids that the store knows.
        key_ids: Vec<String>,
    },
    /// The store's secrets are plain, and master keys were given.
    #[error(
        "its secrets are plain, and a store does not become a sealed one by itself: have its secrets sealed \
         while it is opened, if the store can do that (SQLite: seal_existing), import them into a new store, \
         or say that the store is to be plain"
    )]
    StoreIsPlain,
    /// The store knows of master keys that were not given, and under which it may hold secrets.
    #[error(
        "it may hold secrets under master keys that were not given: {}. Give them too, or have a process that has them \
         and the new key, the new one first, seal everything anew, which retires the others",
        list(.key_ids)
    )]
    MissingKey {
        /// The ids of the keys that are missing.
        key_ids: Vec<String>,
    },
    /// A master key is not the one that the store knows under its id.
    #[error(
        "the master key {key_id} is not the one that it knows under that id: give the right one, or give the \
         new key an id of its own"
    )]
    WrongKey {
        /// The id that stands for two keys.
        key_id: String,
    },
    /// The store says something about its secrets that is not known here.
    #[error("it does not say in a way known here whether its secrets are sealed: use the newer program")]
    UnknownKind,
    /// The operating system has no randomness to give.
    #[error("the operating system has no randomness to give")]
    NoRandomness,
}

fn list(key_ids: &[String]) -> String {
    if key_ids.is_empty() { "none yet".to_owned() } else { key_ids.join(", ") }
}

/// Whether a store failed because the master keys that it is open with do not fit what it holds or remembers. Trying again
/// is of no use then: the keys have to be put right.
#[must_use]
pub fn keys_do_not_fit(error: &StoreError) -> bool {
    let StoreError::Unavailable(cause) = error else { return false };
    let of_a_key = |error: &SealError| {
        matches!(
            error,
            SealError::UnknownKey(_)
                | SealError::DoesNotOpen(_)
                | SealError::NotSealed
                | SealError::Sealed
                | SealError::KindChanged(_)
                | SealError::WrongKey(_)
                | SealError::NotKnown(_)
        )
    };
    cause.downcast_ref().is_some_and(of_a_key)
        || matches!(cause.downcast_ref(), Some(MasterKeyError::KeyChanged { .. }))
        || cause
            .downcast_ref::<SealingMismatch>()
            .is_some_and(|mismatch| *mismatch != SealingMismatch::NoRandomness)
}

/// Why a secret could not be sealed or opened: the cause of a [`StoreError`], for the operator's log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error(
        "a secret is sealed under the master key {0}, which this process does not have: give it \
         that key too"
    )]
    UnknownKey(String),
    #[error(
        "a sealed secret does not open under the master key {0}: it was changed, it was put there from \
         another record, or the key is not the one it was sealed under"
    )]
    DoesNotOpen(String),
    #[error("a secret of a sealed store is not sealed: it was put there by something else")]
    NotSealed,
    #[error(
        "a secret is sealed, and this process has the store open as a plain one: give it the master keys"
    )]
    Sealed,
    #[error("a secret is in the format {0}, which is not known here")]
    UnknownFormat(i16),
    #[error("a sealed secret does not name its master key")]
    NoKeyId,
    #[error(transparent)]
    Invalid(#[from] InvalidSecret),
    #[error("the store has become a {0} one while it was open: restart this process")]
    KindChanged(&'static str),
    #[error(
        "the master key {0} is not the one that the store knows under that id: give the new key an id of \
         its own"
    )]
    WrongKey(String),
    #[error(
        "the store does not know the master key {0} that this process seals under: it was retired, or never adopted; \
         put the present keys into the key file and reload them, or restart with them"
    )]
    NotKnown(String),
    #[error("the store is plain, so that there is nothing to seal anew")]
    NothingToReseal,
    #[error("the operating system has no randomness to give")]
    NoRandomness,
}

impl From<SealError> for StoreError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::UnknownFormat(_) | SealError::NoKeyId | SealError::Invalid(_) => Self::damaged(error),
            _ => Self::unavailable(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v6_what_another_key_or_process_could_open_is_not_available() {
        let key = || "key-1".to_owned();
        for error in [
            SealError::UnknownKey(key()),
            SealError::DoesNotOpen(key()),
            SealError::NotSealed,
            SealError::Sealed,
            SealError::KindChanged("sealed"),
            SealError::WrongKey(key()),
            SealError::NotKnown(key()),
            SealError::NothingToReseal,
            SealError::NoRandomness,
        ] {
            let store = StoreError::from(error);
            assert!(matches!(store, StoreError::Unavailable(_)), "{store:?}");
        }
    }

    #[test]
    fn keys_that_do_not_fit_are_told_from_a_store_that_does_not_answer() {
        let key_id = || "key-1".to_owned();
        for error in [
            SealError::UnknownKey(key_id()).into(),
            SealError::DoesNotOpen(key_id()).into(),
            SealError::WrongKey(key_id()).into(),
            SealError::KindChanged("sealed").into(),
            StoreError::unavailable(SealingMismatch::WrongKey { key_id: key_id() }),
            StoreError::unavailable(MasterKeyError::KeyChanged { key_id: key_id() }),
        ] {
            assert!(keys_do_not_fit(&error), "{error:?}");
        }
        for error in [
            StoreError::unavailable("it does not answer"),
            StoreError::outcome_unknown(SealingMismatch::StoreIsPlain),
            SealError::NoRandomness.into(),
            SealError::NothingToReseal.into(),
            StoreError::NotFound,
        ] {
            assert!(!keys_do_not_fit(&error), "{error:?}");
        }
    }

    #[test]
    fn what_nobody_can_open_is_damage() {
        for error in [
            SealError::UnknownFormat(7),
            SealError::NoKeyId,
            SealError::Invalid(voicegain_auth_core::Secret::from_bytes(&[]).unwrap_err()),
        ] {
            let store = StoreError::from(error);
            assert!(matches!(store, StoreError::Damaged(_)), "{store:?}");
        }
    }
}
