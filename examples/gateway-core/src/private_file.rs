//! Files that may hold a secret. As with a file of master keys, nobody but their owner may read or write them.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Far more than any of these files needs, in bytes.
const MAX_LEN: u64 = 1024 * 1024;

/// Who besides its owner a file is open to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exposure {
    /// Others than its owner can read or write it.
    #[error("the file is open to other users (mode {mode:04o}): chmod 600 {path}", path = .path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is another user's, who can read it and write it.
    #[error(
        "the file belongs to the user with the id {owner}: it must be the user's that this process runs as, or root's; \
         chown it"
    )]
    OtherOwner {
        /// The id of the user that it belongs to.
        owner: u32,
    },
}

/// The text of a file, and whether it is for its owner alone.
pub(crate) fn read(path: &Path) -> io::Result<(Zeroizing<String>, Result<(), Exposure>)> {
    read_if(path, closed_to_others)
}

/// The same, but what is root's may be for its group too: so a key of TLS is shared with who serves with it, as in Debian's
/// group `ssl-cert` and a volume of Kubernetes with an `fsGroup`.
pub(crate) fn read_shared(path: &Path) -> io::Result<(Zeroizing<String>, Result<(), Exposure>)> {
    read_if(path, |metadata, path| match closed_to_others(metadata, path) {
        Err(Exposure::OpenToOthers { mode, .. }) if is_shared(metadata, mode) => Ok(()),
        closed => closed,
    })
}

fn read_if(
    path: &Path,
    closed: impl FnOnce(&Metadata, &Path) -> Result<(), Exposure>,
) -> io::Result<(Zeroizing<String>, Result<(), Exposure>)> {
    let file = File::open(path)?;
    // Of the file that is open, whatever the path names meanwhile.
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let exposure = closed(&metadata, path);
    // As long as it can get, so that growing leaves no copy behind.
    let capacity = usize::try_from(metadata.len().min(MAX_LEN)).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    let read = file.take(MAX_LEN + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_LEN {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((text, exposure))
}

#[cfg(unix)]
pub(crate) fn closed_to_others(metadata: &Metadata, path: &Path) -> Result<(), Exposure> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let owner = metadata.uid();
    if !may_own(owner, rustix::process::geteuid().as_raw()) {
        return Err(Exposure::OtherOwner { owner });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let is_credential = owner == 0 && credentials.is_some_and(|folder| path.parent() == Some(&*folder));
    if mode & open_bits(is_credential) == 0 {
        Ok(())
    } else {
        Err(Exposure::OpenToOthers { path: path.to_owned(), mode })
    }
}

/// Which bits of a mode open a file to others. What systemd passes to a service is root's, and where it lies on a tmpfs the
/// service reads it by an access control list, whose mask shows as the group's right to read; the folder is the service's.
#[cfg(unix)]
const fn open_bits(is_credential: bool) -> u32 {
    if is_credential { 0o037 } else { 0o077 }
}

/// An owner can read and replace the file: the process's own user, or root, who can do so anyway.
#[cfg(unix)]
const fn may_own(owner: u32, process: u32) -> bool {
    owner == process || owner == 0
}

/// Whether it is root's, and its group can do no more than read it.
#[cfg(unix)]
fn is_shared(metadata: &Metadata, mode: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.uid() == 0 && mode & 0o037 == 0
}

#[cfg(not(unix))]
fn is_shared(_metadata: &Metadata, _mode: u32) -> bool {
    false
}

#[cfg(not(unix))]
pub(crate) fn closed_to_others(_metadata: &Metadata, _path: &Path) -> Result<(), Exposure> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_for_its_owner_alone() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("token");
        std::fs::write(&path, "text").unwrap();
        let exposure = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let (text, exposure) = read(&path).unwrap();
            assert_eq!(text.as_str(), "text");
            exposure
        };
        for mode in [0o600, 0o400, 0o700] {
            assert_eq!(exposure(mode), Ok(()), "{mode:o}");
        }
        for mode in [0o640, 0o620, 0o604, 0o602, 0o644, 0o610, 0o601] {
            let error = exposure(mode).unwrap_err();
            assert_eq!(error, Exposure::OpenToOthers { path: path.clone(), mode });
            assert!(error.to_string().ends_with(&format!("chmod 600 {}", path.display())), "{error}");
        }
    }

    #[test]
    fn what_systemd_passes_may_show_a_mask() {
        assert_eq!((0o440 & open_bits(true), 0o440 & open_bits(false)), (0, 0o040));
        for mode in [0o460, 0o444, 0o442, 0o450] {
            assert_ne!(mode & open_bits(true), 0, "{mode:o}");
        }
    }

    #[test]
    fn its_owner_is_the_process_or_root() {
        assert!(may_own(1_000, 1_000) && may_own(0, 1_000) && may_own(0, 0));
        assert!(!may_own(1_001, 1_000) && !may_own(1_000, 0));
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("token");
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, vec![b'#'; usize::try_from(MAX_LEN).unwrap() + 1]).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(place.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
