//! Where the keys that secrets are sealed under come from, and how they change.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

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

/// The answer to a request to seal everything anew.
pub fn resealed(gateway: &Gateway) -> Value {
    let (status, answer) = gateway.admin("POST", "/api/master-keys/reseal", None);
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn sighup_reads_the_master_keys_again() {
    let place = tempfile::TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name);
    let (keys, log) = (path("master.keys"), path("log"));
    let url = format!("sqlite://{}", path("store.db").display());
    let [old, new] = KEYS;
    own_file(&keys, old);
    let command = Command::new(BINARY);
    let args = ["--master-key-file", keys.to_str().unwrap()];
    let mut gateway = Gateway::launch(command, &url, &args, File::create(&log).unwrap().into());
    // How often something is in the log.
    let logged = |what: &str| fs::read_to_string(&log).unwrap().matches(what).count();
    let (read_again, kept) = ("the master keys were read again", "the master keys stay as they are");
    let works = |gateway: &Gateway| {
        let (_, token) = gateway.create();
        assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200);
        token
    };
    let nothing = json!({"resealed": 0, "skipped": 0, "retired": [], "known": ["old"]});
    let token = works(&gateway);
    assert!(!path("store.db.key").exists(), "there is no need for another key");
    assert_eq!(resealed(&gateway), nothing, "everything is under the first key");

    own_file(&keys, "old:hush");
    gateway.signal("-HUP");
    wait_until("an error", || logged(kept) == 1);
    assert_eq!((logged("hush"), logged("send SIGHUP again")), (0, 1));
    assert_eq!(resealed(&gateway), nothing, "it goes on with the old key");
    works(&gateway);
    own_file(&keys, new);
    gateway.signal("-HUP");
    wait_until("an error", || logged(kept) == 2);
    assert_eq!(logged("were not given: old"), 1);
    assert_eq!(resealed(&gateway), nothing, "it goes on with the old key, which is in use");
    works(&gateway);

    for (number, lines) in [(1, [old, new]), (2, [new, old])] {
        own_file(&keys, &lines.join("\n"));
        gateway.signal("-HUP");
        wait_until("the new key", || logged(read_again) == number);
        works(&gateway);
    }
    own_file(&keys, new);
    gateway.signal("-HUP");
    wait_until("an error", || logged(kept) == 3);
    assert_eq!(logged("were not given: old"), 2, "nothing has been sealed anew");
    assert_eq!(
        resealed(&gateway),
        json!({"resealed": 4, "skipped": 0, "retired": ["old"], "known": ["new"]})
    );
    let done = json!({"resealed": 0, "skipped": 0, "retired": [], "known": ["new"]});
    assert_eq!(resealed(&gateway), done, "whoever has missed the answer asks again");
    own_file(&keys, old);
    gateway.signal("-HUP");
    wait_until("an error", || logged(kept) == 4);
    assert_eq!(logged("were not given: new"), 1);
    works(&gateway);
    own_file(&keys, new);
    gateway.signal("-HUP");
    wait_until("the new key alone", || logged(read_again) == 3);
    works(&gateway);
    gateway.terminate();
    assert!(gateway.process.wait().unwrap().success());

    let gateway = Gateway::with_store(&url, &args);
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200, "the old key is of no more use");
    drop(gateway);
    own_file(&keys, old);
    let said = failure(&["--store", &url, "--master-key-file", keys.to_str().unwrap()]);
    let parts =
        ["master keys that were not given: new. Give them too", "the keys come from --master-key-file"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

/// From the reload that puts it first, and before anything is under it.
#[test]
fn a_new_first_key_is_known_from_the_reload_on() {
    let place = tempfile::TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name);
    let url = format!("sqlite://{}", path("store.db").display());
    let [old, new] = KEYS;
    let other_new = "new:MjM0NTY3ODlBQkNERUZHSElKS0xNTk9QUVJTVFVWV1g=";
    let machines = ["one", "two"].map(|name| {
        let (keys, log) = (path(&format!("{name}.keys")), path(&format!("{name}.log")));
        own_file(&keys, old);
        let args = ["--master-key-file", keys.to_str().unwrap()];
        let gateway = Gateway::launch(Command::new(BINARY), &url, &args, File::create(&log).unwrap().into());
        (gateway, keys, log)
    });
    // Reloads one of them, and waits until it has said that so many times.
    let reload = |machine: usize, lines: [&str; 2], what: &str, times: usize| {
        let (gateway, keys, log) = &machines[machine];
        own_file(keys, &lines.join("\n"));
        gateway.signal("-HUP");
        wait_until(what, || fs::read_to_string(log).unwrap().matches(what).count() == times);
    };
    let (read_again, kept) = ("the master keys were read again", "the master keys stay as they are");
    // Each was given a key of its own, by mistake.
    reload(0, [old, new], read_again, 1);
    reload(1, [old, other_new], read_again, 1);
    drop(Gateway::with_store(&url, &["--master-key-file", &path("one.keys").display().to_string()]));
    reload(0, [new, old], read_again, 2);
    reload(1, [other_new, old], kept, 1);
    reload(1, [new, old], kept, 2);
    let said = fs::read_to_string(&machines[1].2).unwrap();
    for part in [
        "the master key new is not the one that it knows under that id",
        "the key under the id new is not the one in use under it: give the new key an id of its own, or restart this",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("the store is not available"), "{said}");

    let behind = path("behind.keys");
    own_file(&behind, old);
    let said = failure(&["--store", &url, "--master-key-file", behind.to_str().unwrap()]);
    assert!(said.contains("master keys that were not given: new"), "nothing is under it yet: {said}");
    // The one that was refused goes on with what it had.
    let (_, token) = machines[1].0.create();
    assert_eq!(machines.each_ref().map(|(gateway, ..)| gateway.get("/v1/x", &token, &[]).status), [200; 2]);
}

/// What a process that was left behind cannot open stays as it is, and with it the key that it is under.
#[test]
fn what_cannot_be_sealed_anew_is_skipped_and_nothing_is_retired() {
    let place = tempfile::TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name);
    let url = format!("sqlite://{}", path("store.db").display());
    let (keys, keys_ahead, log) = (path("master.keys"), path("ahead.keys"), path("log"));
    let [old, new] = KEYS;
    own_file(&keys, old);
    own_file(&keys_ahead, &[new, old].join("\n"));
    let args = ["--master-key-file", keys.to_str().unwrap()];
    let behind = Gateway::launch(Command::new(BINARY), &url, &args, File::create(&log).unwrap().into());
    let logged = |what: &str| fs::read_to_string(&log).unwrap().contains(what);
    let (_, token) = behind.create();
    let ahead = Gateway::with_store(&url, &["--master-key-file", keys_ahead.to_str().unwrap()]);
    let (id, newer) = ahead.create();

    assert_eq!(
        resealed(&behind),
        json!({"resealed": 0, "skipped": 1, "retired": [], "known": ["new", "old"]})
    );
    assert!(logged(&id) && logged("under the master key new, which this process does not have"));
    assert_eq!(behind.get("/v1/x", &token, &[]).status, 200);
    assert_eq!(ahead.get("/v1/x", &newer, &[]).status, 200);
    own_file(&keys, &[new, old].join("\n"));
    behind.signal("-HUP");
    wait_until("the new key", || logged("the master keys were read again"));
    assert_eq!(resealed(&behind), json!({"resealed": 1, "skipped": 0, "retired": ["old"], "known": ["new"]}));
    assert_eq!([&token, &newer].map(|token| behind.get("/v1/x", token, &[]).status), [200; 2]);
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
    let said = fs::read_to_string(&log).unwrap();
    let warning = "WARN voicegain_gateway_core::store: --store memory: web configs are kept in memory";
    assert_eq!((said.matches(warning).count(), said.matches("WARN").count()), (1, 1), "{said}");
}

/// A process that has the store open in another way than it is now changes nothing, and says what it is.
#[test]
fn a_change_that_fails_for_the_keys_says_so() {
    let place = tempfile::TempDir::new().unwrap();
    let log = place.path().join("log");
    let url = format!("sqlite://{}", place.path().join("store.db").display());
    let command = Command::new(BINARY);
    let plain = Gateway::launch(command, &url, &["--plain-secrets"], File::create(&log).unwrap().into());
    let (id, _) = plain.create();
    drop(Gateway::with_store(&url, &["--seal-existing"]));
    let new = json!({"accountId": "acc", "contextId": "ctx", "name": "test"});
    for (path, body) in
        [("/api/web-configs".to_owned(), Some(new)), (format!("/api/web-configs/{id}/regenerate"), None)]
    {
        let (status, refused) = plain.admin("POST", &path, body);
        assert_eq!((status, &refused["error"]["reason"]), (503, &json!("temporarily_unavailable")));
        let detail = refused["error"]["detail"].as_str().unwrap();
        assert!(detail.starts_with("The master keys of this process do not fit the store's"), "{detail}");
    }
    let said = fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("the store has become a sealed one while it was open: restart this process"),
        "{said}"
    );
    assert_eq!(said.matches("WARN voicegain_gateway_core::store: --plain-secrets: ").count(), 1, "{said}");
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

/// Of two that start at once on a new database, one makes the key file and the other reads it.
#[test]
fn gateways_that_start_at_once_share_the_key_file() {
    for _ in 0..4 {
        let place = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite://{}", place.path().join("store.db").display());
        let [one, two] = std::thread::scope(|scope| {
            [(); 2]
                .map(|()| scope.spawn(|| Gateway::with_store(&url, &[])))
                .map(|starting| starting.join().unwrap())
        });
        let (_, token) = one.create();
        assert_eq!([&one, &two].map(|gateway| gateway.get("/v1/x", &token, &[]).status), [200; 2]);
        let files = fs::read_dir(place.path()).unwrap().map(|file| file.unwrap().file_name());
        let keys = files.filter(|name| name.to_string_lossy().contains(".key")).count();
        assert_eq!(keys, 1, "nothing is left beside the key file");
    }
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
    assert!(Command::new("mkfifo").args(["-m", "600", &path("pipe")]).status().unwrap().success());
    for (file, said) in [
        ("nothing", "there is no key file"),
        ("wrong", "line 1 is no master key"),
        ("open", "is open to other users (mode 0644): chmod 600"),
        ("pipe", "is not a regular file"),
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
    let text = failure(&["--store", "memory:", "--master-key-file", &path("wrong")]);
    assert!(text.contains("leave out the master keys (--master-key-file"), "{text}");
    let text = failure_with(&["--store", "memory:"], &[("VOICEGAIN_MASTER_KEYS", "key-1:hush")]);
    assert!(text.contains("leave out the master keys"), "{text}");
    let text = failure(&["--store", &format!("sqlite://{}", path("not-there/store.db"))]);
    assert!(text.contains(&format!("there is no directory {}: create it", path("not-there"))), "{text}");
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
    assert_eq!(
        resealed(&gateway),
        json!({"resealed": 1, "skipped": 0, "retired": ["old"], "known": ["new"]})
    );
}
