use std::io::Read as _;
use std::sync::Arc;

use tempfile::TempDir;
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::audit::{Act, Actor, ActorKind, AuditId, Deed, Effect, Given, Stage};

use super::*;
use crate::audit::{Verification, Verified};

/// An entry about a web config of that name.
pub(in crate::audit) fn entry(name: &str) -> AuditEntry {
    let id = WebConfigId::from_bytes([1; 16]);
    let deed = Deed::on(Act::Update, id).within(&"acc".parse().unwrap(), &"ctx".parse().unwrap());
    let actor = Actor::new(ActorKind::Console, "al\"ice\n").at(Some([192, 0, 2, 1].into()));
    let deed = deed.given([Given::Name(name.to_owned())]);
    AuditEntry::begun(AuditId::generate().unwrap(), Duration::from_millis(951_782_399_007), actor, deed)
}

/// A line by itself, about the change that is called so.
pub(in crate::audit) fn line_of(seq: u64, id: &str) -> String {
    let mut line = Line::new(&entry("n"), None, None);
    (line.seq, line.id) = (seq, id.to_owned());
    serde_json::to_string(&line).unwrap()
}

pub(in crate::audit) fn end_of(seq: u64, id: &str) -> String {
    line_of(seq, id).replace("\"begun\"", "\"done\"")
}

pub(in crate::audit) struct Place {
    folder: TempDir,
}

impl Place {
    pub(in crate::audit) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub(in crate::audit) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(in crate::audit) fn log(&self) -> FileLog {
        FileLog::open(&self.path("audit.log")).unwrap()
    }

    pub(in crate::audit) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn append(&self, text: &str) {
        OpenOptions::new()
            .append(true)
            .open(self.path("audit.log"))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    pub(in crate::audit) fn verify(&self, names: &[&str]) -> Verified {
        let mut verification = Verification::new(None);
        for name in names {
            verification.file(name);
            self.text(name).split_inclusive('\n').for_each(|line| verification.line(line.as_bytes()));
        }
        verification.finish()
    }

    #[track_caller]
    fn whole(&self, names: &[&str], entries: u64) -> Verified {
        let found = self.verify(names);
        assert!(found.faults.is_empty() && !found.is_cut_off, "{found:?}");
        assert_eq!((found.entries, found.last.as_ref().unwrap().seq), (entries, entries), "{found:?}");
        found
    }
}

#[test]
fn an_entry_is_one_line_that_names_the_one_before() {
    let place = Place::new();
    let log = place.log();
    let begun = entry("B\u{fc}ro\n\u{202e}");
    let mut end = begun.clone();
    end.stage = Stage::Done(Effect::on(Effect::default(), 3));
    log.write(&begun).unwrap();
    log.write(&end).unwrap();
    let text = place.text("audit.log");
    let [one, two] = text.lines().collect::<Vec<_>>().try_into().unwrap();
    let (zeros, id) = ("0".repeat(64), begun.id);
    let who = r#""who":{"kind":"console","name":"al\"ice\n","client":"192.0.2.1"}"#;
    let what = r#""webConfig":"01010101-0101-0101-0101-010101010101","account":"acc","context":"ctx""#;
    let when = r#""time":"2000-02-28T23:59:59.007Z""#;
    assert_eq!(
        one,
        format!(
            "{{\"seq\":1,\"prev\":\"{zeros}\",{when},\"id\":\"{id}\",\"stage\":\"begun\",\"act\":\"update\",{who},{what},\
             \"given\":{{\"name\":\"B\u{fc}ro\\n\u{202e}\"}}}}"
        )
    );
    let prev = crate::audit::line::hash(one.as_bytes());
    assert_eq!(
        two,
        format!(
            "{{\"seq\":2,\"prev\":\"{prev}\",{when},\"id\":\"{id}\",\"stage\":\"done\",\"act\":\"update\",{who},{what},\
             \"webConfigs\":3}}"
        )
    );
    // As `sha256sum` has it.
    assert_eq!(
        crate::audit::line::hash(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    place.whole(&["audit.log"], 2);
}

#[test]
fn many_append_at_once() {
    let place = Place::new();
    let shared = Arc::new(place.log());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // As another process has it, and as another task of the same one.
            let (own, shared) = (place.log(), Arc::clone(&shared));
            scope.spawn(move || (0..25).for_each(|_| own.append(&entry("own")).unwrap()));
            scope.spawn(move || (0..25).for_each(|_| shared.append(&entry("shared")).unwrap()));
        }
    });
    place.whole(&["audit.log"], 200);
}

#[test]
fn what_was_cut_off_stays_and_is_noted() {
    let place = Place::new();
    place.log().append(&entry("one")).unwrap();
    let whole = place.text("audit.log");
    place.append(&whole[..70]);
    assert!(place.verify(&["audit.log"]).is_cut_off);
    place.log().append(&entry("two")).unwrap();
    // Twice in a row, and of the second one no more than the end of the line before.
    place.append(&whole[..9]);
    place.append("\n");
    place.log().append(&entry("three")).unwrap();
    let text = place.text("audit.log");
    assert!(text.starts_with(&format!("{whole}{}\n{{\"seq\":2,", &whole[..70])), "nothing is lost: {text}");
    assert!(text.contains("\"torn\":{\"bytes\":70,") && text.contains("\"torn\":{\"bytes\":9,"), "{text}");
    place.whole(&["audit.log"], 3);

    // Only the line's end is missing: nothing is lost, so there is nothing to note.
    fs::write(place.path("audit.log"), whole.trim_end()).unwrap();
    place.log().append(&entry("two")).unwrap();
    assert!(!place.text("audit.log").contains("torn"));
    place.whole(&["audit.log"], 2);

    // The first entry of all.
    fs::write(place.path("audit.log"), "{\"seq\":1,\"pr").unwrap();
    place.log().append(&entry("one")).unwrap();
    place.whole(&["audit.log"], 1);
}

#[test]
fn a_new_file_goes_on_from_the_one_before() {
    let place = Place::new();
    let log = place.log();
    let rotate = |from: &str, to: &str| fs::rename(place.path(from), place.path(to)).unwrap();
    log.append(&entry("one")).unwrap();
    log.append(&entry("two")).unwrap();
    rotate("audit.log", "audit.log.1");
    // The process that wrote it knows; one that does not looks at what is there.
    log.append(&entry("three")).unwrap();
    rotate("audit.log.1", "audit.log.2");
    rotate("audit.log", "audit.log.1");
    fs::write(place.path("audit.log.3.gz"), [0x1f, 0x8b, 0x08]).unwrap();
    fs::write(place.path("audit.logs"), line_of(99, "another log's")).unwrap();
    let other = place.log();
    other.append(&entry("four")).unwrap();
    log.append(&entry("five")).unwrap();
    place.whole(&["audit.log.2", "audit.log.1", "audit.log"], 5);
    let found = place.verify(&["audit.log"]);
    let last_before = Last::of(place.text("audit.log.1").trim_end().as_bytes()).unwrap();
    assert_eq!((found.faults.len(), found.first), (0, Some((4, last_before.hash))));

    // Where nothing of what was before is left, the process still knows.
    for name in ["audit.log", "audit.log.1", "audit.log.2"] {
        fs::remove_file(place.path(name)).unwrap();
    }
    log.append(&entry("six")).unwrap();
    assert!(place.text("audit.log").starts_with("{\"seq\":6,"));
}

#[test]
fn who_has_begun_to_append_before_it_is_moved_away_is_waited_for() {
    let place = Place::new();
    let log = place.log();
    log.append(&entry("one")).unwrap();
    let slow = log.locked(Instant::now()).unwrap();
    fs::rename(place.path("audit.log"), place.path("audit.log.1")).unwrap();
    let other = place.log();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| other.append(&entry("three")).unwrap());
        sleep(Duration::from_millis(20));
        assert!(!waits.is_finished());
        let after = Last::of(place.text("audit.log.1").trim_end().as_bytes());
        let line = serde_json::to_string(&Line::new(&entry("two"), after.as_ref(), None)).unwrap();
        (&slow).write_all(format!("{line}\n").as_bytes()).unwrap();
        drop(slow);
    });
    place.whole(&["audit.log.1", "audit.log"], 3);
}

#[test]
fn who_waits_for_a_file_that_is_moved_away_takes_the_new_one() {
    let place = Place::new();
    let log = place.log();
    log.append(&entry("one")).unwrap();
    let held = log.locked(Instant::now()).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| log.append(&entry("two")).unwrap());
        sleep(Duration::from_millis(50));
        assert!(!waits.is_finished());
        fs::rename(place.path("audit.log"), place.path("audit.log.1")).unwrap();
        open(&place.path("audit.log")).unwrap();
        drop(held);
    });
    assert!(place.text("audit.log").starts_with("{\"seq\":2,"));
    place.whole(&["audit.log.1", "audit.log"], 2);
}

#[test]
fn what_was_taken_out_while_it_runs_is_not_written_over() {
    let place = Place::new();
    let log = place.log();
    let texts = ["one", "two", "three"].map(|name| {
        log.append(&entry(name)).unwrap();
        place.text("audit.log")
    });
    fs::write(place.path("audit.log"), &texts[0]).unwrap();
    log.append(&entry("four")).unwrap();
    let found = place.verify(&["audit.log"]);
    assert_eq!(found.faults, ["audit.log:2: entries 2 to 3 are missing before it"]);

    // The last line was changed, and the one who wrote it goes on as if it was not.
    let text = place.text("audit.log");
    fs::write(place.path("audit.log"), text.replace("four", "vier")).unwrap();
    log.append(&entry("five")).unwrap();
    log.append(&entry("six")).unwrap();
    assert!(place.verify(&["audit.log"]).faults[1].starts_with("audit.log:2: this entry is not as it was"));
}

#[cfg(unix)]
#[test]
fn only_a_private_file_of_its_own_will_do() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let path = place.path("audit.log");
    let log = place.log();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    log.append(&entry("one")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = log.write(&entry("two")).unwrap_err().to_string();
    assert!(refused.contains("audit.log: the file is open to other users (mode 0640)"), "{refused}");
    assert!(matches!(FileLog::look(&path), Err(AuditFileError::Exposed(_))));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    log.append(&entry("two")).unwrap();
    FileLog::look(&path).unwrap();

    let other = place.path("other");
    fs::write(&other, "root:x:0:0\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    for refused in [FileLog::open(&other).map(drop), FileLog::look(&other)] {
        assert!(matches!(refused, Err(AuditFileError::NotALog)), "{refused:?}");
    }
    assert_eq!(place.text("other"), "root:x:0:0\n");
    assert!(matches!(FileLog::open(Path::new("/dev/full")), Err(AuditFileError::NotAFile)));
    for nowhere in [place.path("none").join("audit.log"), place.path(".")] {
        assert!(matches!(FileLog::open(&nowhere), Err(AuditFileError::Io(_))), "{nowhere:?}");
        assert!(FileLog::look(&nowhere).is_err(), "{nowhere:?}");
    }
    FileLog::look(&place.path("new")).unwrap();
    assert!(!place.path("new").exists(), "nothing is made to be looked at");
}

#[test]
fn a_file_in_whose_place_there_is_a_folder_is_not_written() {
    let place = Place::new();
    let log = place.log();
    log.append(&entry("one")).unwrap();
    fs::rename(place.path("audit.log"), place.path("aside")).unwrap();
    fs::create_dir(place.path("audit.log")).unwrap();
    assert!(log.write(&entry("two")).is_err());
    fs::remove_dir(place.path("audit.log")).unwrap();
    fs::rename(place.path("aside"), place.path("audit.log")).unwrap();
    log.append(&entry("two")).unwrap();
    place.whole(&["audit.log"], 2);
    let mut bytes = Vec::new();
    File::open(place.path("audit.log")).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes.ends_with(b"\n"));
}
