//! The database file and the two beside it: their names, their modes, and whether they are still the same.

use std::ffi::OsString;
use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Cause, OpenError};

/// A file, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(#[cfg(unix)] (u64, u64));

impl FileId {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self((metadata.dev(), metadata.ino()))
    }

    /// Elsewhere a file that is open can be neither replaced nor removed.
    #[cfg(not(unix))]
    fn of(_metadata: &Metadata) -> Self {
        Self()
    }
}

/// Finds the database file, or creates an empty one that only its owner can read.
///
/// An existing file is never opened here: closing it again would drop the locks that SQLite holds on it in
/// this process. That is also why the caller keeps other threads from opening the same path meanwhile.
pub(super) fn find_or_create(path: &Path) -> Result<FileId, OpenError> {
    match look(path)? {
        Some(found) => Ok(found),
        None => {
            create(path)?;
            look(path)?.ok_or_else(|| OpenError::Replaced { path: path.to_owned() })
        }
    }
}

/// One page of the smallest size, in bytes.
const SMALLEST_DATABASE: u64 = 512;

fn look(path: &Path) -> Result<Option<FileId>, OpenError> {
    match fs::metadata(path) {
        // SQLite itself would take a file of one byte for an empty one.
        Ok(metadata) if metadata.is_file() && (1..SMALLEST_DATABASE).contains(&metadata.len()) => {
            Err(OpenError::NotADatabase { path: path.to_owned() })
        }
        Ok(metadata) if metadata.is_file() => Ok(Some(FileId::of(&metadata))),
        Ok(_) => Err(OpenError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(path, error)),
    }
}

/// Whether the database file is there, without which its directory has to be.
pub(super) fn is_there(path: &Path) -> Result<bool, OpenError> {
    match look(path)? {
        Some(_) => Ok(true),
        None => directory(path).map(|_| false),
    }
}

/// Whether a write-ahead log is beside the database, as while somebody has it open.
pub(super) fn has_log(path: &Path) -> bool {
    // What cannot be told is taken for one.
    beside(path).map_or(true, |[wal, _]| wal.exists())
}

fn directory(path: &Path) -> Result<&Path, OpenError> {
    let directory = path.parent().unwrap_or(path);
    if directory.is_dir() {
        Ok(directory)
    } else {
        Err(OpenError::NoDirectory { directory: directory.to_owned() })
    }
}

fn create(path: &Path) -> Result<(), OpenError> {
    let directory = directory(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => sync_directory(directory).map_err(|error| OpenError::io(path, error)),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::io(path, error)),
    }
}

/// Makes the file's name survive a loss of power, as SQLite does for the files it creates itself.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(directory)?.sync_all() } else { Ok(()) }
}

/// The files that a store has open.
#[derive(Debug)]
pub(super) struct Files {
    /// As it was named: if that is a symbolic link, the link may be pointed elsewhere.
    database: (PathBuf, FileId),
    /// `-wal` and `-shm`. SQLite removes them only when the last connection is closed.
    beside: [(PathBuf, FileId); 2],
}

impl Files {
    /// To be called while the database and both files beside it are open.
    pub(super) fn opened(path: &Path, database: FileId) -> Result<Self, OpenError> {
        let files = beside(path).map_err(|error| OpenError::io(path, error))?.map(|beside| {
            let metadata =
                fs::metadata(&beside).map_err(|_| OpenError::Replaced { path: path.to_owned() })?;
            Ok((beside, FileId::of(&metadata)))
        });
        let [wal, shm] = files;
        let files = Self { database: (path.to_owned(), database), beside: [wal?, shm?] };
        files.still_there().map_err(|_| OpenError::Replaced { path: path.to_owned() })?;
        Ok(files)
    }

    pub(super) fn path(&self) -> &Path {
        &self.database.0
    }

    /// Whether every path still names the file that is open (rule C4).
    pub(super) fn still_there(&self) -> Result<(), Cause> {
        for (path, opened) in std::iter::once(&self.database).chain(&self.beside) {
            if !fs::metadata(path).is_ok_and(|metadata| FileId::of(&metadata) == *opened) {
                return Err(Cause::Replaced(path.clone()));
            }
        }
        Ok(())
    }
}

/// SQLite follows symbolic links before it names the files beside the database.
fn beside(path: &Path) -> io::Result<[PathBuf; 2]> {
    let target = fs::canonicalize(path)?;
    Ok(["-wal", "-shm"].map(|suffix| {
        let mut name = OsString::from(&target);
        name.push(suffix);
        PathBuf::from(name)
    }))
}

/// Closes the files to everybody but their owner. SQLite gives those beside the database the database's mode.
pub(super) fn close_to_others(path: &Path) -> Result<(), OpenError> {
    let [wal, shm] = beside(path).map_err(|error| OpenError::io(path, error))?;
    for file in [path, &wal, &shm] {
        match restrict(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::OpenToOthers { path: file.to_owned(), source: error });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(unix)]
fn restrict(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(file)?.permissions();
    let mode = permissions.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    permissions.set_mode(mode & 0o700);
    fs::set_permissions(file, permissions)?;
    tracing::warn!(
        file = %file.display(),
        mode = %format_args!("{mode:04o}"),
        "a file with secrets was open to other users; its mode is now {:04o}",
        mode & 0o700
    );
    Ok(())
}

#[cfg(not(unix))]
fn restrict(_file: &Path) -> io::Result<()> {
    Ok(())
}
