//! Adds the seeds to the packed corpus. With `--database` it makes the database anew that damage is done to; the corpus of
//! `sqlite_file` then has to be found anew too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fuzz_run::{TARGETS, packed};
use voicegain_auth_fuzz::seeds;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if std::env::args().any(|argument| argument == "--database") {
        fs::write(folder.join("seeds/store.sqlite"), seeds::database()).expect("written");
        println!("made seeds/store.sqlite; build again before anything else");
        return;
    }
    for target in TARGETS {
        let file = folder.join("corpus").join(target.name);
        let mut corpus: BTreeSet<String> =
            fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect();
        corpus.extend(seeds::of(target.name).iter().map(|input| packed::pack(input)));
        fs::write(&file, corpus.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("written");
        println!("{}: {}", target.name, corpus.len());
    }
}
