use super::*;
use crate::audit::file::tests::{Place as Folder, line_of};

/// A log of seven entries, line by line.
fn lines() -> Vec<String> {
    let mut last: Option<Last> = None;
    let mut lines = Vec::new();
    for seq in 1..=7 {
        let mut line = Line::read(line_of(seq, &format!("change {}", seq / 2)).as_bytes()).unwrap();
        if seq % 2 == 1 && seq > 1 {
            line.stage = "done".to_owned();
        }
        line.prev = last.map_or(NOTHING.to_owned(), |last| last.hash);
        let text = serde_json::to_string(&line).unwrap();
        last = Last::of(text.as_bytes());
        lines.push(text);
    }
    lines
}

fn verify(lines: &[String], anchor: Option<&str>) -> Verified {
    let mut verification = Verification::new(anchor);
    verification.file("a");
    lines.iter().for_each(|line| verification.line(format!("{line}\n").as_bytes()));
    verification.finish()
}

/// The faults of a log that was changed like this.
fn faults(change: impl FnOnce(&mut Vec<String>)) -> Vec<String> {
    let mut lines = lines();
    change(&mut lines);
    verify(&lines, None).faults
}

#[test]
fn a_whole_log_is_whole() {
    let lines = lines();
    let found = verify(&lines, None);
    assert!(found.faults.is_empty() && found.more_faults == 0 && !found.is_cut_off, "{found:?}");
    assert_eq!((found.entries, found.first), (7, Some((1, NOTHING.to_owned()))));
    assert_eq!(found.last, Last::of(lines[6].as_bytes()));
    assert_eq!(found.unfinished.iter().map(|line| line.seq).collect::<Vec<_>>(), [1]);
    // The later part of one.
    let found = verify(&lines[3..], None);
    assert!(found.faults.is_empty() && found.first == Some((4, hash(lines[2].as_bytes()))), "{found:?}");
}

#[test]
fn the_line_that_was_changed_is_named() {
    for changed in 1..=6 {
        for (what, with) in [("192.0.2.1", "192.0.2.2"), ("\"begun\"", "\"begun\" "), ("acc", "acd")] {
            let found = faults(|lines| lines[changed - 1] = lines[changed - 1].replace(what, with));
            if lines()[changed - 1].contains(what) {
                let expected = if changed == 6 {
                    "a:6: this entry or the next one, a:7, was changed".to_owned()
                } else {
                    format!("a:{changed}: {CHANGED}")
                };
                assert_eq!(found, [expected]);
            }
        }
    }
    // Also if it was its hash.
    let found = faults(|lines| lines[3] = lines[3].replace("\"prev\":\"", "\"prev\":\"0"));
    assert_eq!(found, [format!("a:4: {CHANGED}")]);
    let found = faults(|lines| lines[0] = lines[0].replace("\"prev\":\"0", "\"prev\":\"1"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("a:1: it says that it is the first"), "{found:?}");
    // And if it is none any more.
    let found = faults(|lines| lines[2] = lines[2].replace("\"seq\"", "\"sek\""));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("a:3: this is no entry") && found[1] == "a:4: entry 3 is missing before it");
}

#[test]
fn what_is_missing_or_out_of_order_is_named() {
    assert_eq!(faults(|lines| drop(lines.remove(3))), ["a:4: entry 4 is missing before it"]);
    assert_eq!(faults(|lines| drop(lines.drain(1..5))), ["a:2: entries 2 to 5 are missing before it"]);
    let found = faults(|lines| lines.swap(3, 4));
    let expected =
        ["a:4: entry 4 is missing before it", "a:5: entry 4 stands behind entry 5: it was moved or put in"];
    assert_eq!(found, expected);
    let found = faults(|lines| lines.insert(3, lines[2].clone()));
    assert_eq!(found, ["a:4: entry 3 stands behind entry 3: it was moved or put in"]);
    let found = faults(|lines| lines.insert(3, String::new()));
    assert_eq!(found, Vec::<String>::new(), "an empty line says nothing");
    let found = faults(|lines| lines.insert(3, "rubbish".to_owned()));
    assert!(found.len() == 1 && found[0].starts_with("a:4: this is no entry"), "{found:?}");
    let found = faults(|lines| lines.push("rubbish".to_owned()));
    assert!(found.len() == 1 && found[0].starts_with("a:8: this is no entry"), "{found:?}");
}

#[test]
fn what_was_cut_off_and_noted_cannot_be_changed_either() {
    let folder = Folder::new();
    folder.log();
    std::fs::write(folder.path("audit.log"), "{\"seq\":1,\"prev").unwrap();
    voicegain_auth_core::audit::AuditLog::write(&folder.log(), &crate::audit::file::tests::entry("n"))
        .unwrap();
    let text = folder.text("audit.log");
    assert!(folder.verify(&["audit.log"]).faults.is_empty());
    for (what, with, told) in [
        ("prev\n", "perv\n", "audit.log:1: this is no entry"),
        ("{\"seq\":1,\"prev\n", "", "audit.log:1: what it says was cut off before it is not there"),
    ] {
        std::fs::write(folder.path("audit.log"), text.replacen(what, with, 1)).unwrap();
        let found = folder.verify(&["audit.log"]).faults;
        assert!(found.len() == 1 && found[0].starts_with(told), "{found:?}");
    }
}

#[test]
fn an_anchor_shows_what_the_chain_cannot() {
    let lines = lines();
    let anchor = hash(lines[6].as_bytes());
    assert!(verify(&lines, Some(&anchor)).faults.is_empty());
    assert!(verify(&lines, Some(&hash(lines[2].as_bytes()))).faults.is_empty());
    // The last entries were taken off, or the very last was changed: by itself it looks whole.
    assert!(verify(&lines[..5], None).faults.is_empty());
    let found = verify(&lines[..5], Some(&anchor)).faults;
    assert!(
        found.len() == 1 && found[0].starts_with(&format!("no entry has the hash {anchor}")),
        "{found:?}"
    );
}

#[test]
fn not_every_fault_is_told_of() {
    let many: Vec<_> = (0..30).map(|seq| line_of(100 - seq, "x")).collect();
    let found = verify(&many, None);
    assert_eq!((found.faults.len(), found.more_faults), (TOLD, 9));
}
