mod child;
mod durability;
mod sharing;
mod system;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};

use sha2::{Digest as _, Sha256};
use voicegain_auth_core::store::SecretStore as _;
use voicegain_auth_core::{NewWebConfig, Secret, StoredWebConfig, WebConfigId};
use voicegain_auth_store::sealing::Sealing;
use voicegain_auth_store::sqlite::SqliteStore;

/// Why a case was not run, if it was not.
type Ran = Result<(), String>;

type Case = (&'static str, fn() -> Ran);

const CASES: &[Case] = &[
    ("kill_9_loses_no_acknowledged_regenerate", durability::kill_9_loses_no_acknowledged_regenerate),
    ("a_process_that_has_ended_leaves_one_file", durability::a_process_that_has_ended_leaves_one_file),
    ("m1_a_commit_that_cannot_be_written_is_unknown", system::m1_a_commit_that_cannot_be_written_is_unknown),
    ("a_full_disk_loses_nothing_and_ends", system::a_full_disk_loses_nothing_and_ends),
    ("a_read_only_file_system_is_refused", system::a_read_only_file_system_is_refused),
    ("a_read_only_file_or_directory_is_refused", system::a_read_only_file_or_directory_is_refused),
    ("a_mode_that_cannot_be_changed_is_refused", system::a_mode_that_cannot_be_changed_is_refused),
    ("processes_create_one_file_at_once", sharing::processes_create_one_file_at_once),
    ("processes_regenerate_one_web_config_at_once", sharing::processes_regenerate_one_web_config_at_once),
    ("a_change_wakes_another_process", sharing::a_change_wakes_another_process),
];

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, name, place] = arguments.as_slice()
        && child == "child"
    {
        child::run(name, Path::new(place));
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--list") {
        CASES.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let (mut passed, mut not_run, mut failed) = (0, 0, 0);
    for (name, case) in CASES {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        match catch_unwind(AssertUnwindSafe(case)) {
            Ok(Ok(())) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Ok(Err(why)) => {
                not_run += 1;
                println!("test {name} ... not run: {why}");
            }
            Err(_) => {
                failed += 1;
                println!("test {name} ... FAILED");
            }
        }
    }
    println!("test result: {passed} passed; {failed} failed; {not_run} not run");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// This program as the child of that name.
fn child(name: &str, place: &Path) -> Command {
    let mut command = Command::new(this_program());
    command.arg("child").arg(name).arg(place).stdin(Stdio::null());
    command
}

/// A child that is killed when the test that started it ends early.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child wrote, which must have ended well.
fn text(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        output.status.success(),
        "{}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Whether the system has this at all.
fn available(command: &mut Command) -> Ran {
    let shown = format!("{command:?}");
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let probe = tempfile::TempDir::new().unwrap();
    fs::metadata(probe.path()).unwrap().uid() == 0
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn database(place: &Path) -> PathBuf {
    place.join("store.db")
}

fn open(place: &Path) -> SqliteStore {
    SqliteStore::open(database(place), Sealing::Plain).unwrap()
}

fn secret() -> Secret {
    Secret::generate().unwrap()
}

/// What may be printed of a secret.
fn digest(secret: &Secret) -> String {
    Sha256::digest(secret.expose()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The one web config that parent and children share.
fn shared_id() -> WebConfigId {
    WebConfigId::from_bytes([7; 16])
}

fn new_config(id: WebConfigId) -> NewWebConfig {
    NewWebConfig {
        id,
        account_id: "account".parse().unwrap(),
        context_id: "context".parse().unwrap(),
        name: "name".to_owned(),
        allowed_origins: Vec::new(),
        secret: secret(),
        revive: false,
    }
}

fn load(store: &SqliteStore) -> StoredWebConfig {
    block_on(store.load(shared_id())).unwrap().value.unwrap()
}
