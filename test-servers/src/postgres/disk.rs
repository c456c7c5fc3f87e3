//! A small disk of its own, to be filled.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::Postgres;
use crate::folder::Folder;
use crate::process::LIMIT;
use crate::system::{find, output, tool};
use crate::{Result, ServerError};

impl Postgres {
    /// Fills the disk of [`disk_size`](super::PostgresBuilder::disk_size) to the last byte.
    ///
    /// # Errors
    /// If the server's disk is not one of its own.
    pub fn fill_disk(&self) -> Result<()> {
        let filler = self.filler()?;
        let mut fill = tool("sh", self.folder.account(), LIMIT);
        // Until it fails, which is what is wanted.
        fill.arg("-c").arg("cat /dev/zero > \"$0\" 2> /dev/null; test -s \"$0\"").arg(filler);
        output("filling the disk", &mut fill, None).map(drop)
    }

    /// Takes away what [`fill_disk`](Self::fill_disk) put there.
    ///
    /// # Errors
    /// If the disk was not filled.
    pub fn free_disk(&self) -> Result<()> {
        let filler = self.filler()?;
        fs::remove_file(&filler).map_err(ServerError::io(filler))
    }

    fn filler(&self) -> Result<PathBuf> {
        match self.options.disk_size {
            Some(_) => Ok(self.folder.path().join("disk/filler")),
            None => {
                Err(ServerError::failed("filling the disk", "the server was started without `disk_size`"))
            }
        }
    }
}

/// Mounts a small disk in the folder. The folder's guard knows its name.
pub(super) fn mount(folder: &Folder, bytes: u64) -> Result<PathBuf> {
    let disk = folder.make("disk")?;
    let Some(account) = folder.account() else {
        return Err(ServerError::failed("mounting a small disk", "only root can"));
    };
    let options = format!("size={bytes},uid={},gid={},mode=0700", account.uid, account.gid);
    let mut mount = tool(find("mount", "mount", &[])?, None, Duration::from_secs(10));
    output("mounting a small disk", mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&disk), None)?;
    Ok(disk)
}
