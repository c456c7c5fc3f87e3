//! Web configs on their way from one store to another, as an operator moves them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::command_line::{Place, Said, run, run_with};
use super::master_keys::KEYS;
use super::{BINARY, Gateway, wait_until, without_variables};

const EMPTY: &[&str] = &[];

/// A store with what is to be moved, and tokens of it.
struct Source {
    place: Place,
    key_file: String,
    /// The newest token of generation 3, and of generation 1.
    good: [String; 2],
    /// Of an older generation, and of what was deleted.
    ended: [String; 2],
}

impl Source {
    fn new() -> Self {
        let place = Place::new();
        let (id, first) = place.create("regenerated twice");
        place.web_config(&["regenerate", &id, "--yes"]);
        let newest = place.web_config(&["regenerate", &id, "--yes"]).out.trim_end().to_owned();
        let (deleted, of_deleted) = place.create("deleted");
        assert_eq!(place.web_config(&["delete", &deleted, "--yes"]).code, 0);
        let (_, other) = place.create("B\u{fc}ro");
        let key_file = place.file("export.keys", KEYS[0]);
        Self { place, key_file, good: [newest, other], ended: [first, of_deleted] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.directory.path().join(name)
    }

    fn export(&self, name: &str, words: &[&str]) -> Said {
        let output = self.path(name);
        self.place.web_config(&[&["export", "--output", output.to_str().unwrap()], words].concat())
    }

    /// A sealed export, and the digest of what is in it.
    fn exported(&self) -> (String, String) {
        let said = self.export("export", &["--key-file", &self.key_file]);
        assert_eq!((said.code, &*said.out), (0, ""), "{}", said.err);
        (self.path("export").into_os_string().into_string().unwrap(), digest(&said.err))
    }

    fn import(&self, file: &str, store: &str, words: &[&str]) -> Said {
        let key_file = ["--key-file", &self.key_file, "--store", store];
        run(&[&["web-config", "import", file], &key_file as &[_], words].concat())
    }

    /// A gateway takes the good tokens and refuses the others.
    fn is_served_by(&self, store: &str, words: &[&str]) {
        let gateway = Gateway::with_store(store, words);
        assert_eq!(self.good.each_ref().map(|token| gateway.get("/v1/x", token, &[]).status), [200; 2]);
        assert_eq!(self.ended.each_ref().map(|token| gateway.get("/v1/x", token, &[]).status), [401; 2]);
    }
}

fn digest(text: &str) -> String {
    let digest: String =
        text.split("sha256:").nth(1).unwrap_or_else(|| panic!("{text}")).chars().take(64).collect();
    assert!(digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
    digest
}

#[test]
fn web_configs_move_from_one_file_to_another() {
    let source = Source::new();
    let to = Place::new();
    let (file, digest) = source.exported();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().count() == 4 && text.contains("\"secrets\":\"sealed\""), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    let said = source.export("export", &["--key-file", &source.key_file]);
    assert!(said.code == 1 && said.err.contains("there is a file already"), "{}", said.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    // What is looked at first changes nothing, and makes nothing.
    let said = source.import(&file, &to.store, &["--dry-run"]);
    assert!(said.code == 0 && said.out.starts_with("2 web configs would be imported"), "{}", said.err);
    assert_eq!(to.names().len(), 0);
    let said = source.import(&file, &to.store, EMPTY);
    assert_eq!(
        said.out,
        format!("2 web configs imported; contents, read back: sha256:{digest}, as in the file\n")
    );
    assert!(said.code == 0 && said.err.contains("both accept the tokens"), "{}", said.err);
    source.is_served_by(&to.store, &[]);
    source.is_served_by(&source.place.store, &[]);

    let said = source.import(&file, &to.store, EMPTY);
    assert!(said.code == 1 && said.err.contains("--skip-existing"), "{}", said.err);
    let said = source.import(&file, &to.store, &["--skip-existing"]);
    assert!(
        said.code == 0 && said.out.starts_with("0 web configs imported, 2 there already"),
        "{}",
        said.err
    );
    let said = source.import(&file, &to.store, &["--skip-existing", "--dry-run"]);
    assert!(said.out.starts_with("0 web configs would be imported, 2 there already"), "{}", said.out);

    // What was exported there is the same, whatever else the files hold.
    let again = run(&["web-config", "export", "--key-file", &source.key_file, "--store", &to.store]);
    assert_eq!((again.code, self::digest(&again.err)), (0, digest));
    let names: Vec<_> = source.place.names().into_iter().collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("unfinished")), "{names:?}");
}

#[test]
fn a_file_that_is_not_whole_and_as_it_was_imports_nothing() {
    let source = Source::new();
    let to = Place::new();
    let (file, _) = source.exported();
    let text = fs::read(&file).unwrap();
    let changed = |name: &str, text: &[u8]| {
        let path = source.path(name);
        fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let mut flipped = text.clone();
    *flipped.iter_mut().rev().nth(400).unwrap() ^= 1;
    for (file, told) in [
        (changed("flipped", &flipped), "has been changed or damaged"),
        (changed("short", &text[..text.len() * 2 / 3]), "it is not whole"),
        (changed("other", b"{}\n"), "it is no export of web configs"),
        ("/nowhere/export".to_owned(), "/nowhere/export: "),
    ] {
        let said = source.import(&file, &to.store, EMPTY);
        assert!(said.code == 1 && said.err.contains(told), "{told}: {}", said.err);
        assert!(said.err.contains("nothing was imported: "), "{told}: {}", said.err);
    }
    let wrong = source.place.file("wrong.keys", &KEYS[1].replace("new", "old"));
    for (words, told) in [
        (&["--key-file", &wrong] as &[&str], "does not open under the key old"),
        (&["--key-file", &source.place.file("other.keys", KEYS[1])], "which is not among"),
        (&[], "its secrets are sealed under the key old"),
    ] {
        let said = run(&[&["web-config", "import", &file, "--store", &to.store], words].concat());
        assert!(said.code == 1 && said.err.contains(told), "{told}: {}", said.err);
    }
    assert_eq!(to.names().len(), 0, "no store is made for it");
}

#[test]
fn secrets_are_exported_as_they_are_only_when_that_is_said() {
    let source = Source::new();
    let to = Place::new();
    let said = source.export("export", EMPTY);
    assert!(
        said.code == 1 && said.err.contains("--key-file") && said.err.contains("--plain-export"),
        "{}",
        said.err
    );
    assert!(!source.path("export").exists());
    let said = source.place.web_config(&["export", "--plain-export"]);
    assert!(said.code == 0 && said.err.contains("whoever can read it can sign tokens"), "{}", said.err);
    let words = ["web-config", "import", "-", "--store", &to.store];
    let imported = run_with(&words, &said.out, &[]);
    assert!(imported.code == 0 && imported.out.starts_with("2 web configs imported"), "{}", imported.err);
    assert_eq!(digest(&imported.out), digest(&said.err));
    source.is_served_by(&to.store, &[]);

    // A file is not for others to read.
    let open = source.place.file("open", &said.out);
    let words = ["web-config", "import", &open, "--skip-existing", "--store", &to.store];
    assert_eq!(run(&words).code, 0);
    #[cfg(unix)]
    {
        super::set_mode(Path::new(&open), 0o644);
        let said = run(&words);
        assert!(said.code == 1 && said.err.contains("chmod 600"), "{}", said.err);
    }
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_exported() {
    let source = Source::new();
    let database = source.path("store.db");
    let before = fs::read(&database).unwrap();
    let id = source.place.create_in("ctx-of-the-one-that-is-changed");
    let untouched = fs::read(&database).unwrap();
    assert_ne!(before, untouched, "it is all in the one file");
    // A sealed secret is bound to its context, and the origins are JSON.
    for (from, to) in
        [("ctx-of-the-one-that-is-changed", "ctx-of-the-one-that-was-changed"), ("[\"https:", "{\"https:")]
    {
        fs::write(&database, replaced(&untouched, from, to)).unwrap();
        let said = source.export("export", &["--key-file", &source.key_file]);
        assert!(said.code == 1 && said.err.contains("1 web config of 3 cannot be read"), "{}", said.err);
        assert!(said.err.contains(&id), "{}", said.err);
        assert!(!source.path("export").exists());
    }
    fs::write(&database, untouched).unwrap();
    assert_eq!(source.export("export", &["--key-file", &source.key_file]).code, 0);
}

impl Place {
    /// A new web config's id.
    fn create_in(&self, context: &str) -> String {
        let words = ["create", "--account", "acc", "--context", context, "--name", "n"];
        let said = self.web_config(&[&words as &[_], &["--allowed-origin", "https://a.example"]].concat());
        said.err.split("made web config ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    }
}

/// Everywhere, by what is as long.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let to = &to[..from.len()];
    let mut bytes = bytes.to_vec();
    let mut times = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            times += 1;
        }
    }
    assert!(times > 0, "{from}");
    bytes
}

/// It is killed at any moment, and run again.
#[test]
fn an_import_that_was_interrupted_is_run_again() {
    let source = Source::new();
    let to = Place::new();
    {
        let gateway = Gateway::with_store(&source.place.store, &[]);
        for _ in 0..150 {
            gateway.create();
        }
    }
    let (file, digest) = source.exported();
    let mut command = std::process::Command::new(BINARY);
    let words = ["web-config", "import", &file, "--key-file", &source.key_file, "--store", &to.store];
    let mut process = without_variables(&mut command)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let database = to.directory.path().join("store.db");
    wait_until("a store to import into", || database.exists());
    process.kill().unwrap();
    process.wait().unwrap();
    let said = source.import(&file, &to.store, &["--skip-existing"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(self::digest(&said.out), digest, "{}", said.out);
    let said = source.import(&file, &to.store, &["--skip-existing"]);
    assert!(said.out.starts_with("0 web configs imported, 152 there already"), "{}", said.out);
    source.is_served_by(&to.store, &[]);
}

/// From a file into a store across a network, and on into another file.
#[cfg(any(feature = "postgres", feature = "etcd"))]
fn there_and_back(url: &str) {
    let source = Source::new();
    let back = Place::new();
    let (file, digest) = source.exported();
    let master_keys = source.place.file("master.keys", KEYS[1]);
    let keys = ["--master-key-file", &*master_keys];
    let said = source.import(&file, url, &keys);
    assert_eq!((said.code, self::digest(&said.out)), (0, digest.clone()), "{} {}", said.out, said.err);
    source.is_served_by(url, &keys);
    let output = source.path("back").into_os_string().into_string().unwrap();
    let words = ["web-config", "export", "--output", &output, "--key-file", &source.key_file, "--store", url];
    let said = run(&[&words as &[_], &keys].concat());
    assert_eq!((said.code, self::digest(&said.err)), (0, digest), "{}", said.err);
    assert_eq!(source.import(&output, &back.store, EMPTY).code, 0);
    source.is_served_by(&back.store, &[]);
    // A deleted one does not come back at a generation that it has had.
    let ids: Vec<String> = fs::read_to_string(&file)
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.split("{\"id\":\"").nth(1)?[..36].to_owned()))
        .collect();
    let deleted = run(&[&["web-config", "delete", &ids[0], "--yes", "--store", url], &keys as &[_]].concat());
    assert_eq!(deleted.code, 0, "{}", deleted.err);
    let said = source.import(&file, url, &[&keys as &[_], &["--skip-existing", "--revive"]].concat());
    assert!(said.code == 1 && said.err.contains(&format!("{}: was deleted", ids[0])), "{}", said.err);
    assert!(said.err.contains("0 web configs imported, 1 there already"), "{}", said.err);
}

#[cfg(feature = "postgres")]
#[test]
fn to_postgres_and_back() {
    let server = test_servers::Postgres::start().unwrap();
    there_and_back(&format!("{}?sslmode=disable", server.create_database().unwrap()));
}

#[cfg(feature = "etcd")]
#[test]
fn to_etcd_and_back() {
    let cluster = test_servers::EtcdCluster::start(1).unwrap();
    there_and_back(&format!("etcd://{}/moved", cluster.addresses()[0]));
}
