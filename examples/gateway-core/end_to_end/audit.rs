//! Who has changed what, as it stands in the file, whichever program they used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::command_line::{Said, run};
use super::{BINARY, Gateway, call, failure};

struct Place {
    folder: TempDir,
    store: String,
    file: String,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = format!("sqlite://{}", folder.path().join("store.db").display());
        let file = folder.path().join("audit.log").to_str().unwrap().to_owned();
        Self { folder, store, file }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn gateway(&self) -> Gateway {
        Gateway::with_store(&self.store, &["--audit-log", &self.file])
    }

    fn web_config(&self, words: &[&str]) -> Said {
        let own = ["--store", &self.store, "--audit-log", &self.file];
        let said = run(&[&["web-config"], words, &own].concat());
        assert_eq!(said.code, 0, "{words:?}: {}", said.err);
        said
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    fn entries(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// All is as it was written, and this is what is told of it.
    fn verified(&self) -> String {
        let said = run(&["audit", "verify", &self.file]);
        assert_eq!(said.code, 0, "{} {}", said.out, said.err);
        assert!(said.out.ends_with("\nall is as it was written\n"), "{}", said.out);
        said.out
    }

    fn last_hash(&self) -> String {
        self.verified().split_once("has the hash ").unwrap().1[..64].to_owned()
    }
}

/// A token that a web config's page in the console makes.
fn mint_in_console(gateway: &Gateway, id: &str) -> String {
    let form = format!("token={}&next=", gateway.admin_token);
    let urlencoded = ("content-type", "application/x-www-form-urlencoded");
    let signed_in = call(gateway.admin, "POST", "/console/sign-in", &[urlencoded], form.as_bytes());
    let cookie = signed_in.head_as_sent.split_once("set-cookie: ").unwrap().1.split(';').next().unwrap();
    let path = format!("/console/web-configs/{id}/mint");
    let page = call(gateway.admin, "GET", &path, &[("cookie", cookie)], b"");
    let page = String::from_utf8(page.body).unwrap();
    let session = page.split_once("name=\"session\" value=\"").unwrap().1.split('"').next().unwrap();
    let form = format!("session={session}&aud=https://a.example&seconds=60&api=");
    let minted = call(gateway.admin, "POST", &path, &[urlencoded, ("cookie", cookie)], form.as_bytes());
    let page = String::from_utf8(minted.body).unwrap();
    let token = page.split_once("data-once>").unwrap().1.split('<').next().unwrap();
    assert_eq!(token.split('.').count(), 3, "{page}");
    token.to_owned()
}

#[test]
fn every_change_is_written_down_whoever_makes_it() {
    let place = Place::new();
    let gateway = place.gateway();
    // 32 bytes.
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let import = json!({"accountId": "acc", "contextId": "ctx", "name": "imported", "secret": secret});
    let (_, imported) = gateway.admin("POST", "/api/web-configs", Some(import));
    let (id, first) = gateway.create();
    let path = format!("/api/web-configs/{id}");
    let second = gateway.regenerate(&id);
    gateway.admin("PATCH", &path, Some(json!({"name": "m", "allowedOrigins": ["https://a.example"]})));
    let minted = mint_in_console(&gateway, &id);
    gateway.admin("DELETE", &path, None);
    assert_eq!(gateway.admin("DELETE", &path, None).0, 404);
    gateway.admin("POST", "/api/master-keys/reseal", None);
    let create = ["create", "--account", "acc", "--context", "ctx", "--name", "by hand"];
    let third = place.web_config(&create).out;
    let (_, list) = gateway.admin("GET", "/api/web-configs", None);
    let by_hand = list["webConfigs"].as_array().unwrap().iter().find(|config| config["name"] == "by hand");
    let by_hand = by_hand.unwrap()["id"].as_str().unwrap().to_owned();
    let fourth = place.web_config(&["regenerate", &by_hand, "--yes"]).out;
    place.web_config(&["list"]);
    place.web_config(&["delete", &by_hand, "--yes"]);
    gateway.admin("POST", "/api/accounts/acc/end", None);
    // That is no change, and no operator.
    gateway.get("/v1/security/jwt?aud=https://a.example", imported["jwt"].as_str().unwrap(), &[]);

    let entries = place.entries();
    let mut changes = BTreeMap::<String, Vec<&Value>>::new();
    for entry in &entries {
        changes.entry(entry["id"].as_str().unwrap().to_owned()).or_default().push(entry);
    }
    assert_eq!(changes.len() * 2, entries.len());
    let mut told: Vec<_> = changes
        .into_values()
        .map(|change| {
            let [begun, end] = change.try_into().unwrap();
            assert_eq!((&begun["stage"], &begun["who"]), (&json!("begun"), &end["who"]));
            let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
            let seq = begun["seq"].as_u64().unwrap();
            (seq, text(&begun["who"], "kind"), text(begun, "act"), text(end, "stage"))
        })
        .collect();
    told.sort();
    let told: Vec<_> =
        told.iter().map(|(_, kind, act, stage)| (kind.as_str(), act.as_str(), stage.as_str())).collect();
    let expected = [
        ("admin-token", "create", "done"),
        ("admin-token", "create", "done"),
        ("admin-token", "regenerate", "done"),
        ("admin-token", "update", "done"),
        ("console", "mint", "done"),
        ("admin-token", "delete", "done"),
        ("admin-token", "delete", "refused"),
        ("admin-token", "reseal", "done"),
        ("command-line", "create", "done"),
        ("command-line", "regenerate", "done"),
        ("command-line", "delete", "done"),
        ("admin-token", "end", "done"),
    ];
    assert_eq!(told, expected);
    for entry in &entries {
        let by_program = entry["who"]["kind"] == "command-line";
        let name = entry["who"]["name"].as_str().unwrap();
        assert_eq!(name.starts_with("uid "), by_program, "{entry}");
        assert_eq!(entry["who"]["client"] == "127.0.0.1", !by_program, "{entry}");
    }

    let text = place.text();
    let tokens = [&first, &second, &minted, third.trim(), fourth.trim(), imported["jwt"].as_str().unwrap()];
    for part in tokens.iter().flat_map(|token| token.split('.')).chain([secret, &*gateway.admin_token]) {
        assert!(part.len() > 16 && !text.contains(part), "{part}");
    }
    place.verified();
    let shown = run(&["audit", "show", &place.file]);
    assert!(shown.code == 0 && shown.out.lines().count() == 13, "{}", shown.out);
    for told in [
        "admin-token \u{201c}admin token\u{201d} at 127.0.0.1",
        &format!(
            "update {id} (account acc, context ctx): name \u{201c}m\u{201d}; allowed origins https://a.example"
        ),
        "done: generation 2, revision ",
        "refused: there is no such web config",
        "imported secret",
        "mint ",
    ] {
        assert!(shown.out.contains(told), "{told}: {}", shown.out);
    }
    let shown = run(&["audit", "show", "--audit-log", &place.file, "--last", "1"]);
    assert!(shown.out.lines().count() == 2 && shown.out.contains("end (account acc)"), "{}", shown.out);
}

#[test]
fn what_cannot_be_written_down_is_not_done() {
    let place = Place::new();
    let gateway = place.gateway();
    let (id, token) = gateway.create();
    let aside = place.path("aside");
    std::fs::rename(&place.file, &aside).unwrap();
    std::fs::create_dir(&place.file).unwrap();
    let path = format!("/api/web-configs/{id}/regenerate");
    let (status, answer) = gateway.admin("POST", &path, None);
    assert_eq!((status, &answer["error"]["reason"]), (503, &json!("temporarily_unavailable")), "{answer}");
    assert!(answer.to_string().contains("The audit log cannot be written, so nothing was changed"));
    let own = ["--yes", "--store", &place.store, "--audit-log", &place.file];
    let said = run(&[&["web-config", "delete", &*id], own.as_slice()].concat());
    assert!(said.code == 1 && said.err.contains("--audit-log "), "{}", said.err);
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200, "nothing was done");
    for said in [
        failure(&["--store", "memory:", "--audit-log", &place.file]),
        run(&["check", "--store", "memory:", "--audit-log", &place.file]).err,
    ] {
        assert!(said.contains(&format!("--audit-log {}: ", place.file)), "{said}");
    }
    std::fs::remove_dir(&place.file).unwrap();
    std::fs::rename(&aside, &place.file).unwrap();
    gateway.regenerate(&id);
    assert_eq!(place.entries().len(), 4);
    place.verified();
}

/// No file of the process may grow past a limit: the same as a full disk, an entry that is half written included.
#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new();
    let mut shell = Command::new("sh");
    // In units of 512 bytes, or of 1,024 where it is bash.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 3; exec \"$0\" \"$@\"", BINARY]);
    let gateway = Gateway::launch(shell, "memory:", &["--audit-log", &place.file], Stdio::null());
    let (id, mut token) = gateway.create();
    let refused = (0..20).find(|_| {
        let (status, answer) = gateway.admin("POST", &format!("/api/web-configs/{id}/regenerate"), None);
        if status == 200 {
            token = answer["jwt"].as_str().unwrap().to_owned();
        }
        status == 503
    });
    assert!(refused.is_some(), "the limit was never reached");
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200, "what could not be written down was not done");
    let before = place.text();
    assert!(!before.ends_with('\n'), "the last entry is cut off: {before}");
    // There is room again.
    let other = Gateway::start(&["--audit-log", &place.file]);
    other.create();
    assert!(place.text().starts_with(&format!("{before}\n{{\"seq\":")), "nothing is lost");
    let told = place.verified();
    assert!(place.text().contains("\"torn\":{\"bytes\":") && !told.contains("middle of an entry"), "{told}");
}

#[test]
fn two_gateways_and_the_command_line_share_a_file() {
    let place = Place::new();
    let [one, other] = [place.gateway(), place.gateway()];
    std::thread::scope(|scope| {
        for gateway in [&one, &other] {
            scope.spawn(|| (0..10).for_each(|_| drop(gateway.create())));
        }
        let create = ["create", "--account", "acc", "--context", "ctx", "--name", "n"];
        (0..3).for_each(|_| drop(place.web_config(&create)));
    });
    assert_eq!(place.entries().len(), 2 * 23);
    place.verified();
    // Rotated while both run: neither needs to be told.
    std::fs::rename(&place.file, place.path("audit.log.1")).unwrap();
    one.create();
    other.create();
    let rotated = place.path("audit.log.1");
    let said = run(&["audit", "verify", rotated.to_str().unwrap(), &place.file]);
    assert!(said.code == 0 && said.out.contains("50 entries; the last one, entry 50"), "{}", said.out);
    assert!(place.verified().contains("it begins with entry 47, behind one with the hash "));
}

#[test]
fn what_was_changed_is_found() {
    let place = Place::new();
    let gateway = place.gateway();
    (0..3).for_each(|_| drop(gateway.create()));
    let (text, anchor) = (place.text(), place.last_hash());
    let verify = |words: &[&str]| {
        let said = run(&[&["audit", "verify", &*place.file], words].concat());
        (said.code, said.out)
    };
    assert_eq!(verify(&["--anchor", &anchor]).0, 0);
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let without_last = lines[..5].concat();
    for (changed, told) in [
        (text.replacen("\"name\":\"test\"", "\"name\":\"tess\"", 1), ":1: this entry is not as it was"),
        (lines[..2].concat() + &lines[3..].concat(), ":3: entry 3 is missing before it"),
        ([lines[0], lines[2], lines[1], &lines[3..].concat()].concat(), ":3: entry 2 stands behind entry 3"),
    ] {
        std::fs::write(&place.file, &changed).unwrap();
        let (code, out) = verify(&[]);
        assert!(code == 1 && out.contains(&format!("{}{told}", place.file)), "{told}: {out}");
        assert!(out.ends_with("\nit is not as it was written\n"), "{out}");
    }
    std::fs::write(&place.file, without_last).unwrap();
    assert_eq!(verify(&[]).0, 0, "that the last one is gone only its hash tells");
    let (code, out) = verify(&["--anchor", &anchor]);
    assert!(code == 1 && out.contains(&anchor), "{out}");
    assert!(
        out.contains("without an end: 2") && out.contains("Z create ") && out.contains("(account acc,"),
        "{out}"
    );

    // A foreign name does not reach the terminal as it is.
    let new = json!({"accountId": "acc", "contextId": "ctx", "name": "a\u{202e}b"});
    gateway.admin("POST", "/api/web-configs", Some(new));
    let shown = run(&["audit", "show", &place.file]).out;
    assert!(shown.contains("a\\u{202e}b") && !shown.contains('\u{202e}'), "{shown}");

    let said = run(&["audit", "verify", "/nowhere/audit.log"]);
    assert!(said.code == 2 && said.err.contains("/nowhere/audit.log: "), "{}", said.err);
    let said = run(&["audit", "show"]);
    assert!(said.code == 2 && said.err.contains("name the file"), "{}", said.err);
    assert_eq!(run(&["audit", "verify", &place.file, "--anchor", "x"]).code, 2);
}
