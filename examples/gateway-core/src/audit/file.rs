//! Appending to the file.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use voicegain_auth_core::audit::{AuditEntry, AuditLog};
use voicegain_auth_core::store::BoxError;

use super::line::{Last, Line, Torn};
use super::tail::Tail;
use crate::private_file::{Exposure, closed_to_others};

/// How long another program may hold the lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why an audit log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditFileError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is a folder, a device or a pipe.
    #[error("this is no regular file; name one, or one that does not exist yet in a folder that does")]
    NotAFile,
    /// Others than its owner can read or write it.
    #[error(transparent)]
    Exposed(#[from] Exposure),
    /// It holds something else.
    #[error(
        "the file holds something else than an audit log; name another one, or one that does not exist yet"
    )]
    NotALog,
    /// Another program does not let go of it.
    #[error("another program has held its lock for {} s; end it", PATIENCE.as_secs())]
    Locked,
}

/// An audit log in a file, which other processes may append to as well.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    /// The last entry that was written or found here: no later one may claim to come before it.
    known: Mutex<Option<Last>>,
}

impl AuditLog for FileLog {
    fn write(&self, entry: &AuditEntry) -> Result<(), BoxError> {
        self.append(entry).map_err(|error| format!("--audit-log {}: {error}", self.path.display()).into())
    }
}

impl FileLog {
    /// The log in this file, which is made if there is none.
    ///
    /// # Errors
    /// If nothing could be appended to it.
    pub fn open(path: &Path) -> Result<Self, AuditFileError> {
        let log = Self { path: path.to_owned(), known: Mutex::new(None) };
        let file = log.locked(Instant::now())?;
        *log.known.lock().unwrap_or_else(PoisonError::into_inner) = log.end(&file)?.last;
        Ok(log)
    }

    /// What opening would find, as far as can be told without making or changing anything.
    pub(crate) fn look(path: &Path) -> Result<(), AuditFileError> {
        let file = match OpenOptions::new().append(true).read(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                return match folder.map(fs::metadata).transpose()? {
                    Some(found) if !found.is_dir() => Err(AuditFileError::NotAFile),
                    _ => Ok(()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        check(&file.metadata()?, path)?;
        if Tail::of(&file)?.is_ours() { Ok(()) } else { Err(AuditFileError::NotALog) }
    }

    fn append(&self, entry: &AuditEntry) -> Result<(), AuditFileError> {
        let begun = Instant::now();
        // Those of this process wait for each other, however slow the disk is, and only for others not too long.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.locked(begun)?;
        let Tail { last, torn, ends_line } = self.end(&file)?;
        let is_new = last.is_none() && torn.is_empty();
        let mut after = last.clone();
        if last.is_none() {
            after = self.before();
        }
        let is_behind =
            |after: &Last| known.as_ref().is_some_and(|known| known.seq >= after.seq && known != after);
        if after.as_ref().is_none_or(is_behind) {
            if let (Some(after), Some(known)) = (&after, &*known) {
                tracing::error!(
                    file = %self.path.display(),
                    entry = known.seq,
                    last = after.seq,
                    "entries of the audit log were changed or are gone since this process has seen them"
                );
            }
            after.clone_from(&known);
        }
        let line = serde_json::to_vec(&Line::new(entry, after.as_ref(), Torn::of(&torn)))
            .map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if !ends_line {
            bytes.push(b'\n');
        }
        bytes.extend(&line);
        bytes.push(b'\n');
        (&file).write_all(&bytes)?;
        file.sync_data()?;
        if is_new {
            // That there is such a file has to survive too.
            File::open(folder(&self.path))?.sync_all()?;
        }
        *known = Last::of(&line);
        Ok(())
    }

    /// The file that the path names, which nobody else appends to while it is open here.
    fn locked(&self, begun: Instant) -> Result<File, AuditFileError> {
        loop {
            let file = open(&self.path)?;
            check(&file.metadata()?, &self.path)?;
            lock(&file, begun)?;
            // It may have been moved away meanwhile, and whoever reads its end then must find nothing more behind it.
            match fs::metadata(&self.path) {
                Ok(named) if is_same(&named, &file.metadata()?) => return Ok(file),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
            if begun.elapsed() > PATIENCE {
                return Err(AuditFileError::Locked);
            }
        }
    }

    fn end(&self, file: &File) -> Result<Tail, AuditFileError> {
        let tail = Tail::of(file)?;
        if tail.is_ours() { Ok(tail) } else { Err(AuditFileError::NotALog) }
    }

    /// The last entry of the files that this one was rotated to: what is beside it under its name and something behind that.
    fn before(&self) -> Option<Last> {
        let name = self.path.file_name()?.to_str()?;
        let beside = fs::read_dir(folder(&self.path)).ok()?.filter_map(Result::ok).filter_map(|found| {
            let found_name = found.file_name();
            let rest = found_name.to_str()?.strip_prefix(name)?;
            let is_older = rest.starts_with(['.', '-']) && found.file_type().ok()?.is_file();
            if !is_older {
                return None;
            }
            let file = File::open(found.path()).ok()?;
            // Somebody may still append the entry to it that was begun before it was moved away.
            lock(&file, Instant::now()).ok()?;
            Tail::of(&file).ok()?.last
        });
        beside.max_by_key(|last| last.seq)
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn check(metadata: &Metadata, path: &Path) -> Result<(), AuditFileError> {
    if metadata.is_file() { Ok(closed_to_others(metadata, path)?) } else { Err(AuditFileError::NotAFile) }
}

/// Until it is closed.
fn lock(file: &File, since: Instant) -> Result<(), AuditFileError> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if since.elapsed() > PATIENCE => {
                return Err(AuditFileError::Locked);
            }
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(2)),
        }
    }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
pub(super) mod tests;
