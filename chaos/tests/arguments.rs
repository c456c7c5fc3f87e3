//! The command's own answers, before anything is started.

use std::process::Command;

fn answer(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_voicegain-auth-chaos")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_store_that_there_is_not_is_named_with_those_there_are() {
    let (success, text) = answer(&["run", "--store", "mongodb"]);
    assert!(!success);
    for expected in ["mongodb", "postgres", "etcd"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
