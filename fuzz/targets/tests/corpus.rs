//! The corpus and the seeds, once more without a fuzzer.

use std::fs;
use std::path::Path;

use fuzz_run::{TARGETS, packed};
use voicegain_auth_fuzz::{check, seeds};

fn replay(name: &str) {
    let check = check(name);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let corpus: Vec<_> = packed::inputs(&fs::read_to_string(file).expect("a corpus")).collect();
    assert!(corpus.len() >= 10, "{name} has hardly a corpus");
    // Twice, since the second time more is remembered.
    for input in corpus.iter().chain(&corpus).chain(&seeds::of(name)) {
        check(input);
    }
}

macro_rules! replayed {
    ($($name:ident)*) => {
        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { replay(stringify!($name)) })*
    };
}

replayed! { token claims origin pattern path credentials admin mint sealing sqlite_row sqlite_file decision }

#[test]
fn every_target_is_replayed() {
    assert_eq!(REPLAYED, TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
}

#[test]
fn what_is_packed_is_unpacked() {
    let all: Vec<u8> = (0..=255).chain(*b"\\n\\x00").collect();
    assert_eq!(packed::unpack(&packed::pack(&all)), all);
    assert!(packed::pack(&all).is_ascii() && !packed::pack(&all).contains('\n'));
}
