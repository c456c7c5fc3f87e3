use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::system::{Account, output, tool};
use crate::{Result, ServerError};

/// Waits for the end of its input, which comes when the folder is dropped or its process ends, then kills
/// every process that works inside the folder (a server's children have sessions of their own, but stay in
/// its working directory), and removes the folder.
const GUARD: &str = r#"
trap '' HUP INT QUIT TERM
cat > /dev/null
while processes=$(find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$1*" 2> /dev/null | cut -d / -f 3)
      [ -n "$processes" ]
do
    kill -KILL $processes 2> /dev/null
    sleep 0.01
done
if grep -q " $1/disk " /proc/mounts; then umount -l "$1/disk"; fi
rm -rf -- "$1"
"#;

/// The temporary folder in which a server works. It goes, with every process that works in it, when this is
/// dropped or when the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    account: Option<Account>,
    guard: Child,
}

impl Folder {
    pub(crate) fn create(account: Option<Account>) -> Result<Self> {
        let cannot = || ServerError::io(std::env::temp_dir());
        let folder = tempfile::Builder::new().prefix("voicegain-test-").tempdir().map_err(cannot())?;
        let path = folder.path().canonicalize().map_err(cannot())?;
        // A process group of its own, so that what ends the test from a terminal does not end the guard.
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "voicegain-test-guard"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .map_err(ServerError::io("/bin/sh"))?;
        let _ = folder.keep();
        let folder = Self { path, account, guard };
        folder.give_away(&folder.path)?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn account(&self) -> Option<Account> {
        self.account
    }

    /// Makes a folder inside, for the server's user.
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(ServerError::io(&path))?;
        self.give_away(&path)?;
        Ok(path)
    }

    /// Writes a file that only the server's user can read.
    pub(crate) fn write(&self, path: &Path, text: &str) -> Result<()> {
        fs::write(path, text).map_err(ServerError::io(path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(ServerError::io(path))?;
        self.give_away(path)
    }

    /// A file to which a process's output is added.
    pub(crate) fn log(&self, name: &str) -> Result<File> {
        let path = self.path.join(name);
        File::options().create(true).append(true).open(&path).map_err(ServerError::io(path))
    }

    /// What a log says, as far as it can be read.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read(self.path.join(name))
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    /// Copies a folder, which must not be there yet, with owners and permissions.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let mut copy = tool("cp", self.account, Duration::from_secs(60));
        output("copying a data directory", copy.arg("-a").arg(from).arg(to), None).map(drop)
    }

    fn give_away(&self, path: &Path) -> Result<()> {
        let Some(account) = self.account else { return Ok(()) };
        chown(path, Some(account.uid), Some(account.gid)).map_err(ServerError::io(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
