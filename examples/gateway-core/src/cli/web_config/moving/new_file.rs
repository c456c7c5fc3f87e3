//! A file that is there whole or not at all, for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A file under another name, until it is finished. Otherwise nothing is left of it.
pub(super) struct NewFile {
    pub(super) file: File,
    draft: PathBuf,
    path: PathBuf,
}

impl NewFile {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        // That is looked at once more in the end.
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{number:016x}.unfinished"));
        let draft = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { file: options.open(&draft)?, draft, path: path.to_owned() })
    }

    /// Gives it its name, unless something has that by now, once it is on the disk.
    pub(super) fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        // Unlike a rename, a link never takes the place of a file that is there.
        fs::hard_link(&self.draft, &self.path)?;
        let directory = std::path::absolute(&self.path)?;
        match directory.parent() {
            // So that its name survives a loss of power.
            Some(directory) if cfg!(unix) => File::open(directory)?.sync_all(),
            _ => Ok(()),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
    }
}
