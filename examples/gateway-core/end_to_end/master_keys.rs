//! Where the keys that secrets are sealed under come from, and how they change.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{BINARY, Gateway, failure, failure_with, wait_until, without_variables};

/// Two lines of a key file.
pub const KEYS: [&str; 2] =
    ["old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "new:IB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE="];

/// A file that only its owner may read.
pub fn own_file(path: &Path, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn sighup_reads_the_master_keys_again() {
    let place = tempfile::TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name);
    let (keys, log) = (path("master.keys"), path("log"));
    let url = format!("sqlite://{}", path("store.db").display());
    own_file(&keys, KEYS[0]);
    let command = Command::new(BINARY);
    let args = ["--master-key-file", keys.to_str().unwrap()];
    let mut gateway = Gateway::launch(command, &url, &args, File::create(&log).unwrap().into());
    let logged = |what: &str| fs::read_to_string(&log).unwrap().contains(what);
    let resealed = || {
        let (status, answer) = gateway.admin("POST", "/api/master-keys/reseal", None);
        assert_eq!(status, 200, "{answer}");
        answer["resealed"].as_u64().unwrap()
    };
    let (_, token) = gateway.create();
    assert!(!path("store.db.key").exists(), "there is no need for another key");
    assert_eq!(resealed(), 0, "everything is under the first key");

    own_file(&keys, "old:hush");
    gateway.signal("-HUP");
    wait_until("an error", || logged("the master keys stay as they are"));
    assert!(!logged("hush"));
    assert_eq!(
        (resealed(), gateway.get("/v1/x", &token, &[]).status),
        (0, 200),
        "it goes on with the old keys"
    );
    gateway.create();

    own_file(&keys, &format!("{}\n{}\n", KEYS[1], KEYS[0]));
    gateway.signal("-HUP");
    wait_until("the new key", || logged("the master keys were read again"));
    assert_eq!(resealed(), 2);
    assert_eq!(resealed(), 0);
    gateway.terminate();
    assert!(gateway.process.wait().unwrap().success());

    own_file(&keys, KEYS[1]);
    let gateway = Gateway::with_store(&url, &args);
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200, "the old key is of no more use");
    drop(gateway);
    own_file(&keys, &KEYS[0].replace("old", "other"));
    let said = failure(&["--store", &url, "--master-key-file", keys.to_str().unwrap()]);
    assert!(said.contains("none of the master keys given is known") && said.contains("new"), "{said}");
}

#[test]
fn sighup_without_a_key_file_changes_nothing() {
    let place = tempfile::TempDir::new().unwrap();
    let log = place.path().join("log");
    let command = Command::new(BINARY);
    let mut gateway = Gateway::launch(command, "memory:", &[], File::create(&log).unwrap().into());
    gateway.signal("-HUP");
    wait_until("a word about it", || {
        fs::read_to_string(&log).unwrap().contains("there is no master key file to read again")
    });
    assert_eq!(gateway.admin("GET", "/readyz", None).0, 200);
    let (status, refused) = gateway.admin("POST", "/api/master-keys/reseal", None);
    assert_eq!((status, &refused["error"]["reason"]), (409, &json!("not_sealed")));
    // Had the first signal counted, this second one would end it at once, without success.
    gateway.terminate();
    assert!(gateway.process.wait().unwrap().success());
}

#[test]
fn a_key_file_is_made_beside_a_new_database() {
    let place = tempfile::TempDir::new().unwrap();
    let file = place.path().join("store.db");
    let key_file = place.path().join("store.db.key");
    let url = format!("sqlite://{}", file.display());
    let first_words = || {
        let mut command = Command::new(BINARY);
        let mut process = without_variables(&mut command)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", &url])
            .args(["--admin-token", "an-admin-token-of-tests"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = process.stdout.take().unwrap();
        let mut words = vec![0; 4_096];
        let count = output.read(&mut words).unwrap();
        Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
        assert!(process.wait().unwrap().success());
        String::from_utf8(words[..count].to_vec()).unwrap()
    };
    let said = first_words();
    let note =
        format!("master key made in {}: keep a copy of it, without it the secrets", key_file.display());
    assert!(said.contains(&note), "{said}");
    let mode = fs::metadata(&key_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = fs::read_to_string(&key_file).unwrap();

    let said = first_words();
    assert!(said.contains("listening on") && !said.contains("master key"), "said once: {said}");
    assert_eq!(fs::read_to_string(&key_file).unwrap(), key);

    fs::rename(&key_file, place.path().join("lost")).unwrap();
    let said = failure(&["--store", &url]);
    let parts =
        ["put the copy of the key file there", "--master-key-file", "--seal-existing", "--plain-secrets"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    let said = failure(&["--store", &url, "--plain-secrets"]);
    assert!(said.contains("its secrets are sealed") && said.contains("--master-key-file"), "{said}");
    let said = failure(&["--store", &url, "--seal-existing"]);
    assert!(said.contains("its secrets are sealed"), "{said}");
    assert!(!key_file.exists(), "no key is made that would be taken for the lost one");
    let variable = key.trim().to_owned();
    let said = failure_with(&["--store", &url, "--leeway", "1h"], &[("VOICEGAIN_MASTER_KEYS", &variable)]);
    assert!(said.contains("--leeway must"), "with the keys in the environment it would start: {said}");
}

#[test]
fn a_plain_database_stays_plain_or_is_sealed_as_is_said() {
    let place = tempfile::TempDir::new().unwrap();
    let file = place.path().join("store.db");
    let url = format!("sqlite://{}", file.display());
    let gateway = Gateway::with_store(&url, &["--plain-secrets"]);
    let (_, token) = gateway.create();
    let (status, refused) = gateway.admin("POST", "/api/master-keys/reseal", None);
    assert_eq!((status, &refused["error"]["reason"]), (409, &json!("not_sealed")));
    drop(gateway);
    assert!(!place.path().join("store.db.key").exists());

    let keys = place.path().join("master.keys");
    own_file(&keys, KEYS[0]);
    let keys = keys.to_str().unwrap();
    for args in [&["--store", &url] as &[&str], &["--store", &url, "--master-key-file", keys]] {
        let said = failure(args);
        assert!(said.contains("--seal-existing") && said.contains("--plain-secrets"), "{said}");
    }
    assert_eq!(
        Gateway::with_store(&url, &["--plain-secrets"]).get("/v1/x", &token, &[]).status,
        200,
        "unchanged"
    );

    for _ in 0..2 {
        let sealed = Gateway::with_store(&url, &["--seal-existing"]);
        assert_eq!(sealed.get("/v1/x", &token, &[]).status, 200, "the second time there is nothing to do");
        drop(sealed);
        assert!(place.path().join("store.db.key").exists());
    }
    assert_eq!(Gateway::with_store(&url, &[]).get("/v1/x", &token, &[]).status, 200);
    assert!(failure(&["--store", &url, "--plain-secrets"]).contains("its secrets are sealed"));
}

#[test]
fn what_is_wrong_with_master_keys_is_said_without_them() {
    let place = tempfile::TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let url = format!("sqlite://{}", path("store.db"));
    own_file(&place.path().join("wrong"), "key-1:hush");
    own_file(&place.path().join("open"), KEYS[0]);
    fs::set_permissions(path("open"), Permissions::from_mode(0o644)).unwrap();
    for (file, said) in [
        ("nothing", "there is no key file"),
        ("wrong", "line 1 is no master key"),
        ("open", "is open to other users (mode 0644): chmod 600"),
    ] {
        let text = failure(&["--store", &url, "--master-key-file", &path(file)]);
        assert!(text.contains("--master-key-file: ") && text.contains(said), "{text}");
    }
    let text = failure_with(&["--store", &url], &[("VOICEGAIN_MASTER_KEYS", "key-1:hush")]);
    assert!(text.contains("VOICEGAIN_MASTER_KEYS: line 1 is no master key"), "{text}");
    let two = [("VOICEGAIN_MASTER_KEYS", "key-1:hush"), ("VOICEGAIN_MASTER_KEY_FILE", "x")];
    assert!(failure_with(&["--store", &url], &two).contains("two sets of master keys"));
    let text = failure(&["--store", "memory:", "--seal-existing"]);
    assert!(text.contains("only the secrets of a sqlite:// store"), "{text}");
    assert!(!place.path().join("store.db").exists(), "nothing was made");
}

#[test]
fn master_keys_may_come_from_the_environment() {
    let place = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", place.path().join("store.db").display());
    let start = |keys: &str| {
        let mut command = Command::new("env");
        command.arg(format!("VOICEGAIN_MASTER_KEYS={keys}")).arg(BINARY);
        // What `launch` takes out of the environment, `env` puts back.
        Gateway::launch(command, &url, &[], Stdio::null())
    };
    let gateway = start(KEYS[0]);
    let (_, token) = gateway.create();
    drop(gateway);
    assert!(!place.path().join("store.db.key").exists());
    let gateway = start(&KEYS.map(str::to_owned).into_iter().rev().collect::<Vec<_>>().join(","));
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200);
    assert_eq!(gateway.admin("POST", "/api/master-keys/reseal", None), (200, json!({"resealed": 1})));
}
