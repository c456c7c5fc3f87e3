//! What can be done with the binary besides serving, and what the config file does.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{BINARY, Gateway, failure, without_variables};

/// What a process has said, and how it ended.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn run(words: &[&str]) -> Said {
    run_with(words, "", &[])
}

pub fn run_with(words: &[&str], input: &str, variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(BINARY);
    let mut process = without_variables(&mut command)
        .args(words)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may not want any.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    let output = process.wait_with_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    for text in [&out, &err] {
        assert!(!text.contains("hush"), "{words:?}: {text}");
    }
    Said { code: output.status.code().unwrap(), out, err }
}

/// A place for files, and in it a store.
pub struct Place {
    pub directory: TempDir,
    pub store: String,
}

impl Place {
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = format!("sqlite://{}", directory.path().join("store.db").display());
        Self { directory, store }
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        super::set_mode(&path, 0o600);
        path.into_os_string().into_string().unwrap()
    }

    pub fn names(&self) -> BTreeSet<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| PathBuf::from(entry.unwrap().file_name())).collect()
    }

    pub fn web_config(&self, words: &[&str]) -> Said {
        run(&[&["web-config"], words, &["--store", &self.store]].concat())
    }

    /// A new web config's id and token.
    pub fn create(&self, name: &str) -> (String, String) {
        let said = self.web_config(&["create", "--account", "acc", "--context", "ctx", "--name", name]);
        assert_eq!(said.code, 0, "{}", said.err);
        let id = said.err.split("made web config ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        (id, said.out.trim_end().to_owned())
    }

    fn explain(&self, words: &[&str], token: &str) -> Said {
        let words = [&["explain"], words, &["--store", &self.store]].concat();
        let said = run_with(&words, &format!("{token}\n"), &[]);
        for text in [&said.out, &said.err] {
            assert!(token.is_empty() || !text.contains(token), "{text}");
        }
        said
    }
}

#[test]
fn web_configs_without_a_browser() {
    let place = Place::new();
    let said = place.web_config(&["list"]);
    assert!(said.code == 1 && said.err.contains("there is no such file"), "{}", said.err);
    assert_eq!(place.names().len(), 0, "nothing is made to be listed");

    let (id, token) = place.create("B\u{fc}ro");
    assert_eq!(token.split('.').count(), 3, "the token alone is printed");
    let (other, _) = place.create("other");
    let said = place.web_config(&["list"]);
    let lines: Vec<_> = said.out.lines().collect();
    assert!(
        lines.len() == 3 && lines[0].starts_with("ID ") && lines[0].contains("GENERATION"),
        "{}",
        said.out
    );
    let mut ids: Vec<_> = lines[1..].iter().map(|line| line.split(' ').next().unwrap()).collect();
    ids.sort_unstable();
    let mut expected = [id.as_str(), other.as_str()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    let said = place.web_config(&["list", "--account", "nobody", "--json"]);
    assert_eq!(said.out, "[]\n");
    let said = place.web_config(&["list", "--json"]);
    let listed: Value = serde_json::from_str(&said.out).unwrap();
    let of = |id: &str| listed.as_array().unwrap().iter().find(|config| config["id"] == id).unwrap().clone();
    assert_eq!((&of(&id)["name"], &of(&id)["generation"]), (&Value::from("B\u{fc}ro"), &Value::from(1)));
    let said = place.web_config(&["show", &id]);
    assert!(
        said.out.contains("context         ctx\n") && said.out.contains("name            B\u{fc}ro\n"),
        "{}",
        said.out
    );

    // A gateway on the store takes the token, and hears of every change.
    let gateway = Gateway::with_store(&place.store, &[]);
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200);
    for act in ["regenerate", "delete"] {
        let said = place.web_config(&[act, &id]);
        assert!(said.code == 1 && said.err.contains("--yes") && said.out.is_empty(), "{act}: {}", said.err);
        assert!(said.err.contains("stop working") && said.err.contains("context ctx"), "{act}: {}", said.err);
    }
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200, "nothing was done");
    let said = place.web_config(&["regenerate", &id, "--yes"]);
    let newer = said.out.trim_end();
    assert!(said.code == 0 && said.err.contains("generation 2"), "{}", said.err);
    super::wait_until("the end of the old token", || gateway.get("/v1/x", &token, &[]).status == 401);
    assert_eq!(gateway.get("/v1/x", newer, &[]).status, 200);
    let said = place.web_config(&["delete", &id, "--yes"]);
    assert!(said.code == 0 && said.out.is_empty(), "{}", said.err);
    super::wait_until("the end of the token", || gateway.get("/v1/x", newer, &[]).status == 401);

    for words in [&["show", &id] as &[_], &["regenerate", &id, "--yes"], &["delete", &id, "--yes"]] {
        let said = place.web_config(words);
        assert!(
            said.code == 1 && said.err.contains("there is no such web config"),
            "{words:?}: {}",
            said.err
        );
    }
    for (words, told) in [
        (&["--name", ""] as &[_], "--name: must be 1 to 128 characters"),
        (&["--name", "n", "--allowed-origin", "https://*"], "--allowed-origin: pattern 1"),
    ] {
        let said = place.web_config(&[&["create", "--account", "a", "--context", "c"], words].concat());
        assert!(said.code == 1 && said.err.contains(told), "{words:?}: {}", said.err);
    }
    let said = run(&["web-config", "list", "--store", "memory:"]);
    assert!(said.code == 1 && said.err.contains("forgets everything"), "{}", said.err);
}

#[test]
fn why_a_token_is_refused() {
    let place = Place::new();
    let (id, token) = place.create("test");
    let said = place.explain(&["--path", "/v1/data"], &token);
    assert!(said.code == 0 && said.out.ends_with("\naccepted\n"), "{} {}", said.out, said.err);
    assert!(said.out.contains(&id) && said.out.contains("generation 1"), "{}", said.out);
    assert_eq!(said.out.lines().filter(|line| line.starts_with("passed ")).count(), 9, "{}", said.out);
    assert_eq!(place.explain(&[], &format!("Bearer {token}")).code, 0);

    let said = place.explain(&["--origin", "https://page.example"], &token);
    assert!(said.code == 1 && said.out.contains("\nrefused: 403 origin_not_allowed: "), "{}", said.out);
    assert!(said.out.contains("failed       The page's origin\n"), "{}", said.out);
    assert!(said.out.contains("not reached  The path of the API\n"), "{}", said.out);
    let said = place.explain(&["--path", "/v2/data"], &token);
    assert!(said.code == 1 && said.out.contains("\nrefused: 404 not_found: "), "{}", said.out);
    let said = place.explain(&["--method", "trace"], &token);
    assert!(said.code == 1 && said.out.contains("method_not_allowed"), "{}", said.out);
    assert_eq!(place.web_config(&["regenerate", &id, "--yes"]).code, 0);
    let said = place.explain(&[], &token);
    assert!(said.code == 1 && said.out.contains("failed       Its signature\n"), "{}", said.out);

    let said = place.explain(&[], "");
    assert!(said.code == 2 && said.err.contains("there is no token"), "{}", said.err);
    assert_eq!(run(&["explain", &token, "--store", &place.store]).code, 2, "never an argument");
    assert_eq!(run_with(&["explain", "--store", "sqlite:///nowhere/x.db"], "x", &[]).code, 2);
}

#[test]
fn a_config_file_is_served_by_and_checked() {
    let place = Place::new();
    let store = &place.store;
    let text = format!("store = \"{store}\"\nbase-path = \"/api\"\nadmin-token = \"hush-hush-hush-hush\"\n");
    let good = place.file("good.toml", &text);
    let before = place.names();
    let said = run(&["check", "--config", &good, "--preload"]);
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    for told in [
        format!("{good}:2:13"),
        "/api ".to_owned(),
        "it would be made".to_owned(),
        "a new one would be made".to_owned(),
        "\nit would serve\n".to_owned(),
    ] {
        assert!(said.out.contains(&told), "{told}: {}", said.out);
    }
    let mut lines = said.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert!(lines.any(|line| line == ["preload", "true", "flag"]), "{}", said.out);
    assert_eq!(place.names(), before, "nothing is made");

    // Serving does as the file says.
    let (_, token) = place.create("test");
    let config = place.file("serve.toml", &format!("store = \"{store}\"\nbase-path = \"/api\"\n"));
    let gateway = Gateway::with_store(store, &["--config", &config]);
    assert_eq!(gateway.get("/api/x", &token, &[]).status, 200);
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 404);
    // While it runs the store is looked at all the same.
    let said = run_with(&["check"], "", &[("VOICEGAIN_CONFIG", &good)]);
    assert!(said.code == 0 && said.out.contains("whole, and fits the keys"), "{} {}", said.out, said.err);
    drop(gateway);

    for (text, told) in [
        ("max-revocation-delay = \"1s\"\n", "bad.toml:1:24: --max-revocation-delay must be 2s to 1h"),
        ("\nleeway = \"1h\"\n", "bad.toml:2:10: --leeway must be 0s to 5m"),
        ("api-url = \"api.example\"\n", "bad.toml:1:11: --api-url: "),
        ("upstream = \"ftp://api.example\"\n", "bad.toml:1:12: --upstream: "),
        (
            "lisen = \"127.0.0.1:1\"\n",
            "bad.toml:1:1: lisen: there is no such setting; did you mean `listen`?",
        ),
        (
            "admin-token = \"hush\"\n",
            "bad.toml:1:15: --admin-token or VOICEGAIN_ADMIN_TOKEN: an admin token has",
        ),
        ("store = \"redis://u:hush@h\"\n", "bad.toml:1:9: --store redis:"),
        ("admin-token = hush\n", "bad.toml:1:15: this is no TOML"),
    ] {
        let bad = place.file("bad.toml", text);
        let said = run(&["check", "--config", &bad]);
        assert!(said.code == 1 && said.err.contains(told), "{text}: {}", said.err);
        let said = failure(&["--config", &bad]);
        assert!(said.contains(told), "{text}: {said}");
    }
}

#[test]
fn nothing_is_made_for_settings_that_cannot_work() {
    let place = Place::new();
    for flag in [["--max-revocation-delay", "1s"], ["--max-cached", "0"], ["--api-url", "x"]] {
        failure(&[&["--store", place.store.as_str()], flag.as_slice()].concat());
        assert_eq!(place.names().len(), 0, "{flag:?}");
        let said = run(&["check", "--store", &place.store, flag[0], flag[1]]);
        assert!(said.code == 1 && said.err.contains(flag[0]), "{}", said.err);
    }
    // A store that is sealed under other keys.
    place.create("test");
    let before = std::fs::read(place.directory.path().join("store.db")).unwrap();
    let other = place.file("other.keys", "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    let said = run(&["check", "--store", &place.store, "--master-key-file", &other]);
    assert!(said.code == 1 && said.err.contains("were not given"), "{}", said.err);
    let said = run(&["check", "--store", &place.store, "--plain-secrets"]);
    assert!(said.code == 1 && said.err.contains("its secrets are sealed"), "{}", said.err);
    assert_eq!(std::fs::read(place.directory.path().join("store.db")).unwrap(), before);
    std::fs::remove_file(place.directory.path().join("store.db.key")).unwrap();
    let said = run(&["check", "--store", &place.store]);
    assert!(said.code == 1 && said.err.contains("the key file beside it"), "{}", said.err);
    assert_eq!(run(&["check", "--store", "memory:"]).code, 0);
}

#[test]
fn shells_complete_the_command_line() {
    let name = Path::new(BINARY).file_name().unwrap().to_str().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let said = run(&["completion", shell]);
        assert!(said.code == 0 && said.err.is_empty(), "{shell}: {}", said.err);
        for word in [name, "max-revocation-delay", "web-config", "regenerate"] {
            assert!(said.out.contains(word), "{shell} {word}");
        }
    }
    let script = run(&["completion", "bash"]).out;
    // What a shell that is there makes of it.
    let asked = format!(
        "{script}\nwords=($(complete -p {name})); function=_{function}; [[ \" ${{words[*]}} \" == *\" $function \"* ]] || exit 1\n\
         COMP_WORDS=({name} web-config re); COMP_CWORD=2; $function {name} re web-config; echo \"${{COMPREPLY[@]}}\"",
        function = name.replace('-', "__")
    );
    let output = Command::new("bash").args(["-c", &asked]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "regenerate\n", "{:?}", output.stderr);
}

#[test]
fn the_help_teaches() {
    let short = run(&["-h"]).out;
    let long = run(&["--help"]).out;
    for heading in ["Commands:", "Tokens:", "Ports:", "Admin API and console:", "Store:", "Upstream:"] {
        assert!(short.contains(heading) && long.contains(heading), "{heading}: {short}");
    }
    assert!(long.contains("Examples:\n") && long.contains("web-config create"), "{long}");
    for job in [
        &["check"] as &[_],
        &["explain"],
        &["web-config"],
        &["web-config", "create"],
        &["audit", "verify"],
        &["completion"],
    ] {
        let help = run(&[job, &["--help"]].concat());
        assert!(help.code == 0 && help.out.contains("Usage: "), "{job:?}");
    }
}
