use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use voicegain_auth_core::store::SecretStore as _;

use super::{
    Ran, available, block_on, child, database, digest, is_root, load, new_config, open, shared_id, text,
    this_program,
};

/// Rule M1: a commit that fails while it is being written may or may not have happened, and says so. The
/// child's files may not grow beyond 512 KiB; a write beyond that fails with EFBIG.
pub(super) fn m1_a_commit_that_cannot_be_written_is_unknown() -> Ran {
    let place = TempDir::new().unwrap();
    block_on(open(place.path()).create(new_config(shared_id()))).unwrap();
    // POSIX counts in blocks of 512 bytes; shells that count in kilobytes just let the files grow further.
    let script = "trap '' XFSZ && ulimit -f 1024 && exec \"$0\" child until-unknown \"$1\"";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(this_program())
        .arg(place.path())
        .stdin(Stdio::null())
        .output();
    let said = text(&output.unwrap());
    let words: Vec<_> = said.trim().split(' ').collect();
    let generation: u64 = words[0].parse().unwrap();
    let stored = load(&open(place.path()));
    let found = (stored.config.generation.get(), digest(&stored.secret));
    assert!(
        found == (generation, words[1].to_owned()) || found == (generation + 1, words[2].to_owned()),
        "either all of it or nothing: {found:?}, {said}"
    );
    Ok(())
}

/// Runs the child on a small file system of its own, which vanishes with it.
fn on_a_file_system_of_its_own(name: &str) -> Result<String, String> {
    let place = TempDir::new().unwrap();
    let run = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command.arg(this_program()).arg(place.path()).arg(name).stdin(Stdio::null());
        command
    };
    let mount = "mount -t tmpfs -o size=768k tmpfs \"$1\"";
    available(&mut run(&format!("{mount} && mount -o remount,bind,ro \"$1\"")))?;
    let output = run(&format!("{mount} && exec \"$0\" child \"$2\" \"$1\"")).output().unwrap();
    Ok(text(&output))
}

pub(super) fn a_full_disk_loses_nothing_and_ends() -> Ran {
    assert_eq!(on_a_file_system_of_its_own("full-disk")?, "recovered\n");
    Ok(())
}

pub(super) fn a_read_only_file_system_is_refused() -> Ran {
    assert_eq!(on_a_file_system_of_its_own("read-only-file-system")?, "refused\n");
    Ok(())
}

/// A user and group without any rights.
const NOBODY: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What a process that modes bind says when it opens the store there: this user, or nobody if this user is
/// root.
fn opened_without_privileges(place: &Path, root: bool) -> Result<String, String> {
    if !root {
        return Ok(text(&child("open", place).output().unwrap()));
    }
    // Where nobody can reach it.
    let program = place.with_file_name("program");
    if !program.exists() {
        fs::copy(this_program(), &program).unwrap();
        set_mode(&program, 0o755);
    }
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).args(arguments);
        command.stdin(Stdio::null());
        command
    };
    available(&mut nobody(&["true"]))?;
    let arguments = [program.to_str().unwrap(), "child", "open", place.to_str().unwrap()];
    Ok(text(&nobody(&arguments).output().unwrap()))
}

/// A store, closed, in a directory of its own, both owned by whoever is to open it.
fn owned(above: &Path, name: &str, root: bool) -> std::path::PathBuf {
    let place = above.join(name);
    fs::create_dir(&place).unwrap();
    open(&place).close();
    if root {
        chown(&place, Some(NOBODY), Some(NOBODY)).unwrap();
        chown(database(&place), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    place
}

pub(super) fn a_read_only_file_or_directory_is_refused() -> Ran {
    let root = is_root();
    let above = TempDir::new().unwrap();
    set_mode(above.path(), 0o755);
    for (name, directory, file, expected) in [
        ("control", 0o700, 0o600, "opened\n"),
        ("file", 0o700, 0o400, "not writable\n"),
        ("directory", 0o500, 0o600, "not writable\n"),
        ("both", 0o500, 0o400, "not writable\n"),
        ("unreadable", 0o700, 0o000, "not writable\n"),
    ] {
        let place = owned(above.path(), name, root);
        set_mode(&database(&place), file);
        set_mode(&place, directory);
        let said = opened_without_privileges(&place, root);
        // So that the directory can be removed by whoever runs this.
        set_mode(&place, 0o700);
        assert_eq!(said?, expected, "{name}");
        set_mode(&database(&place), 0o600);
        open(&place);
    }
    let place = owned(above.path(), "new", root);
    fs::remove_file(database(&place)).unwrap();
    set_mode(&place, 0o500);
    let said = opened_without_privileges(&place, root);
    set_mode(&place, 0o700);
    assert_eq!(said?, "not writable\n", "a new file");
    Ok(())
}

pub(super) fn a_mode_that_cannot_be_changed_is_refused() -> Ran {
    if !is_root() {
        return Err("only root can make a file that belongs to somebody else".to_owned());
    }
    let above = TempDir::new().unwrap();
    set_mode(above.path(), 0o755);
    let place = owned(above.path(), "theirs", true);
    set_mode(&place, 0o777);
    chown(database(&place), Some(0), Some(0)).unwrap();
    set_mode(&database(&place), 0o666);
    assert_eq!(opened_without_privileges(&place, true)?, "open to others\n");
    Ok(())
}
