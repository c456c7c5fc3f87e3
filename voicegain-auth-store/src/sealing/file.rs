//! Key files: read by their owner alone, and never overwritten.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

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
    // Opening a device may already do something to it.
    regular(&fs::metadata(path).map_err(failed)?, path)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // Should it have become a pipe meanwhile, nobody waits for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
    );
    let file = options.open(path).map_err(failed)?;
    // Of the file that is open, whatever the path names meanwhile.
    let metadata = file.metadata().map_err(failed)?;
    regular(&metadata, path)?;
    closed_to_others(&metadata, path)?;
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

fn regular(metadata: &Metadata, path: &Path) -> Result<(), MasterKeyError> {
    if metadata.is_file() { Ok(()) } else { Err(MasterKeyError::NotAFile { path: path.to_owned() }) }
}

#[cfg(unix)]
fn closed_to_others(metadata: &Metadata, path: &Path) -> Result<(), MasterKeyError> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let owner = metadata.uid();
    if !may_own(owner, rustix::process::geteuid().as_raw()) {
        return Err(MasterKeyError::OtherOwner { path: path.to_owned(), owner });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(MasterKeyError::OpenToOthers { path: path.to_owned(), mode }) }
}

/// An owner can read and replace the keys: the process's own user, or root, who can do so anyway.
#[cfg(unix)]
const fn may_own(owner: u32, process: u32) -> bool {
    owner == process || owner == 0
}

#[cfg(not(unix))]
fn closed_to_others(_metadata: &Metadata, _path: &Path) -> Result<(), MasterKeyError> {
    Ok(())
}

/// Makes a new key file, whole or not at all.
pub(super) fn create(path: &Path, text: &str) -> Result<(), MasterKeyError> {
    publish(path, |draft| write(draft, text))
}

/// Has a file written under another name first: whoever sees it at its own sees all of it.
fn publish(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), MasterKeyError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => MasterKeyError::FileExists { path: path.to_owned() },
        _ => MasterKeyError::Io { path: path.to_owned(), source },
    };
    let draft = draft(path)?;
    // Unlike a rename, a link never takes the place of a file that is there.
    let made = write(&draft).and_then(|()| fs::hard_link(&draft, path));
    // Whether or not it was made.
    let _ = fs::remove_file(&draft);
    made.map_err(failed)?;
    // The file stays in any case: somebody else may have read it by now, and sealed under its key.
    sync_directory(path).map_err(failed)
}

/// A name that nobody else uses, in the same directory.
fn draft(path: &Path) -> Result<PathBuf, MasterKeyError> {
    let number = getrandom::u64().map_err(|_| MasterKeyError::NoRandomness)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number:016x}"));
    Ok(path.with_file_name(name))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
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
        assert!(matches!(MasterKeys::read_file(&inner), Err(MasterKeyError::NotAFile { .. })));
    }

    #[test]
    fn a_pipe_or_a_device_is_refused_and_not_waited_for() {
        let (_directory, path) = place();
        let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap();
        assert!(made.success());
        for path in [path.as_path(), Path::new("/dev/null")] {
            let error = MasterKeys::read_file(path).unwrap_err();
            assert!(matches!(&error, MasterKeyError::NotAFile { path: named } if named == path), "{error:?}");
            assert!(error.to_string().contains("is not a regular file"), "{error}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        for (owner, process, may) in [(7, 7, true), (0, 7, true), (0, 0, true), (8, 7, false), (8, 0, false)]
        {
            assert_eq!(may_own(owner, process), may, "{owner} for {process}");
        }
        let (_directory, path) = place();
        write(&path, line("key-1", 1), 0o600);
        // Only root may give a file away; anybody else is left with the table above.
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
            let error = MasterKeys::read_file(&path).unwrap_err();
            assert!(matches!(error, MasterKeyError::OtherOwner { owner: 12_345, .. }), "{error:?}");
        }
    }

    /// Of those who start at once one makes the file, and the others read it, whole.
    #[test]
    fn a_file_is_made_once_and_never_seen_unfinished() {
        for _ in 0..20 {
            let (directory, path) = place();
            let barrier = std::sync::Barrier::new(8);
            let key_ids = std::thread::scope(|scope| {
                let make = || {
                    barrier.wait();
                    match MasterKeys::generate_file(&path) {
                        Ok(keys) => (true, keys.key_ids()),
                        Err(MasterKeyError::FileExists { .. }) => {
                            (false, MasterKeys::read_file(&path).unwrap().key_ids())
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                };
                let making: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
                making.into_iter().map(|made| made.join().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(key_ids.iter().filter(|(made, _)| *made).count(), 1);
            assert!(key_ids.iter().all(|(_, key_ids)| *key_ids == key_ids_of(&path)), "{key_ids:?}");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        }
    }

    #[test]
    fn a_file_is_not_there_before_it_is_finished() {
        let (directory, path) = place();
        publish(&path, |draft| {
            super::write(draft, "key")?;
            assert!(!path.exists(), "nobody sees it while it is written");
            super::write(draft, "key").unwrap_err();
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "key");
        fs::remove_file(&path).unwrap();
        let full = publish(&path, |draft| {
            super::write(draft, "ke")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(full, Err(MasterKeyError::Io { .. })), "{full:?}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left of it");
    }

    fn key_ids_of(path: &Path) -> Vec<String> {
        MasterKeys::read_file(path).unwrap().key_ids()
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
