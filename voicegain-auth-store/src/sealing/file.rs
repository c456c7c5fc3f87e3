//! Key files: read by their owner alone, and never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::MasterKeyError;

/// Far more than any set of keys needs, in bytes.
const MAX_LEN: usize = 65_536;

/// The text of a key file.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, MasterKeyError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MasterKeyError::NoFile { path: path.to_owned() },
        _ => MasterKeyError::Io { path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(failed)?;
    // Of the file that is open, whatever the path names meanwhile.
    closed_to_others(&file, path)?;
    // As long as it can get, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(vec![0_u8; MAX_LEN + 1]);
    let mut length = 0;
    let mut limited = file.take(MAX_LEN as u64 + 1);
    while let Some(free @ [_, ..]) = bytes.get_mut(length..) {
        match limited.read(free) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if length > MAX_LEN {
        return Err(MasterKeyError::TooLong { path: path.to_owned() });
    }
    let text = bytes.get(..length).and_then(|text| std::str::from_utf8(text).ok());
    let text = text.ok_or_else(|| MasterKeyError::NotText { path: path.to_owned() })?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(unix)]
fn closed_to_others(file: &File, path: &Path) -> Result<(), MasterKeyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata().map_err(|source| MasterKeyError::Io { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(MasterKeyError::OpenToOthers { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn closed_to_others(_file: &File, _path: &Path) -> Result<(), MasterKeyError> {
    Ok(())
}

/// Writes a new key file, whole or not at all.
pub(super) fn create(path: &Path, text: &str) -> Result<(), MasterKeyError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => MasterKeyError::FileExists { path: path.to_owned() },
        _ => MasterKeyError::Io { path: path.to_owned(), source },
    };
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_directory(path))
        .map_err(|source| {
            let _ = fs::remove_file(path);
            MasterKeyError::Io { path: path.to_owned(), source }
        })
}

/// Makes the file's name survive a loss of power.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = std::path::absolute(path)?;
    match directory.parent() {
        Some(directory) if cfg!(unix) => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::super::keys::tests::line;
    use super::super::{InvalidLine, MasterKeys};
    use super::*;

    fn place() -> (TempDir, PathBuf) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("master.keys");
        (directory, path)
    }

    fn write(path: &Path, text: impl AsRef<[u8]>, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused() {
        let (_directory, path) = place();
        for mode in [0o600, 0o400, 0o700] {
            write(&path, line("key-1", 1), mode);
            assert_eq!(MasterKeys::read_file(&path).unwrap().key_ids(), ["key-1"], "{mode:o}");
            fs::remove_file(&path).unwrap();
        }
        for mode in [0o640, 0o620, 0o604, 0o602, 0o644, 0o666, 0o610, 0o601] {
            write(&path, line("key-1", 1), mode);
            let error = MasterKeys::read_file(&path).unwrap_err();
            assert!(matches!(error, MasterKeyError::OpenToOthers { mode: found, .. } if found == mode));
            let said = error.to_string();
            assert!(said.contains(&format!("chmod 600 {}", path.display())), "{said}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_missing_file_is_told_how_to_be_made() {
        let (_directory, path) = place();
        let said = MasterKeys::read_file(&path).unwrap_err().to_string();
        let command = said.split('`').nth(1).unwrap();
        let status = std::process::Command::new("sh").arg("-c").arg(command).status().unwrap();
        assert!(status.success(), "{command}");
        assert_eq!(MasterKeys::read_file(&path).unwrap().key_ids(), ["key-1"], "{command}");
    }

    #[test]
    fn what_is_no_key_file_is_said_with_its_line() {
        let (directory, path) = place();
        write(&path, "key-1:short", 0o600);
        let MasterKeyError::InFile { source, path: named } = MasterKeys::read_file(&path).unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(named, path);
        assert!(matches!(
            *source,
            MasterKeyError::InvalidLine {
                line: 1,
                problem: InvalidLine::NotBase64 | InvalidLine::Length { .. }
            }
        ));
        write(&path, [0xff, 0xfe], 0o600);
        assert!(matches!(MasterKeys::read_file(&path), Err(MasterKeyError::NotText { .. })));
        write(&path, "#".repeat(MAX_LEN + 1), 0o600);
        assert!(matches!(MasterKeys::read_file(&path), Err(MasterKeyError::TooLong { .. })));
        write(&path, "#".repeat(MAX_LEN - 100) + "\n" + &line("key-1", 1), 0o600);
        MasterKeys::read_file(&path).unwrap();
        let inner = directory.path().join("directory");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(MasterKeys::read_file(&inner), Err(MasterKeyError::Io { .. })));
    }

    #[test]
    fn a_generated_file_is_its_owners_and_never_overwrites() {
        let (directory, path) = place();
        let keys = MasterKeys::generate_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let read = MasterKeys::read_file(&path).unwrap();
        assert_eq!(read.key_ids(), keys.key_ids());
        let check = keys.check_value(&keys.first_id()).unwrap();
        read.verify_check(&keys.first_id(), &check).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(MasterKeys::generate_file(&path), Err(MasterKeyError::FileExists { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
        let other = MasterKeys::generate_file(directory.path().join("other.keys")).unwrap();
        assert_ne!(other.key_ids(), keys.key_ids());
        assert!(matches!(
            MasterKeys::generate_file(directory.path().join("missing").join("keys")),
            Err(MasterKeyError::Io { .. })
        ));
    }

    #[test]
    fn reloading_swaps_in_place_on_success_only() {
        let (_directory, path) = place();
        write(&path, line("old", 1), 0o600);
        let keys = MasterKeys::read_file(&path).unwrap();
        let clone = keys.clone();
        write(&path, line("new", 2) + &line("old", 1), 0o600);
        keys.reload_file(&path).unwrap();
        assert_eq!(clone.key_ids(), ["new", "old"]);
        for bad in ["", "new", &line("old", 9)] {
            write(&path, bad, 0o600);
            keys.reload_file(&path).unwrap_err();
            assert_eq!(clone.key_ids(), ["new", "old"], "{bad:?}");
        }
        fs::remove_file(&path).unwrap();
        keys.reload_file(&path).unwrap_err();
        assert_eq!(clone.key_ids(), ["new", "old"]);
    }
}
