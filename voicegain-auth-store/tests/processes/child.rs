//! The other process. It says what it does line by line, and panics if something is not as it must be.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _, StoreError};
use voicegain_auth_core::{NewWebConfig, Secret, WebConfigId};
use voicegain_auth_store::sealing::Sealing;
use voicegain_auth_store::sqlite::{OpenError, SqliteStore};

use super::{block_on, database, digest, load, new_config, open, secret, shared_id};

pub(super) fn run(name: &str, place: &Path) {
    match name {
        "regenerate" => regenerate(place),
        "create" => create(place),
        "regenerate-20" => regenerate_20(place),
        "wait" => wait(place),
        "until-unknown" => until_unknown(place),
        "full-disk" => full_disk(place),
        "read-only-file-system" => read_only_file_system(place),
        "open" => say(&match SqliteStore::open(database(place), Sealing::Plain) {
            Ok(_) => "opened".to_owned(),
            Err(OpenError::NotWritable { .. }) => "not writable".to_owned(),
            Err(OpenError::OpenToOthers { .. }) => "open to others".to_owned(),
            Err(error) => format!("{error:?}"),
        }),
        _ => panic!("there is no child {name}"),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Regenerates until it is killed, saying each secret's digest before, and the generation once it is
/// acknowledged.
fn regenerate(place: &Path) {
    let store = open(place);
    loop {
        let secret = secret();
        say(&format!("try {}", digest(&secret)));
        let config = block_on(store.regenerate(shared_id(), secret)).unwrap().config;
        say(&format!("done {}", config.generation));
    }
}

fn create(place: &Path) {
    let store = open(place);
    let id = WebConfigId::generate().unwrap();
    let config = block_on(store.create(new_config(id))).unwrap();
    say(&format!("{id} {}", config.revision));
}

fn regenerate_20(place: &Path) {
    let store = open(place);
    for _ in 0..20 {
        let secret = secret();
        let digest = digest(&secret);
        let config = block_on(store.regenerate(shared_id(), secret)).unwrap().config;
        say(&format!("{} {} {digest}", config.generation, config.revision));
    }
}

/// Says what it sees, and then waits for the next change.
fn wait(place: &Path) {
    let store = open(place);
    loop {
        let config = load(&store).config;
        say(&config.generation.to_string());
        // Guards against hanging. It decides no test.
        let patience = std::time::Duration::from_secs(60);
        block_on(async { tokio::time::timeout(patience, store.changed(config.revision)).await.unwrap() });
    }
}

/// Regenerates in a process whose files may not grow beyond a limit.
fn until_unknown(place: &Path) {
    let store = open(place);
    let (mut generation, mut current) = (load(&store).config.generation, load(&store).secret);
    loop {
        let next = secret();
        match block_on(store.regenerate(shared_id(), next.clone())) {
            Ok(regenerated) => (generation, current) = (regenerated.config.generation, next),
            Err(StoreError::OutcomeUnknown(_)) => {
                say(&format!("{generation} {} {}", digest(&current), digest(&next)));
                return;
            }
            Err(error) => panic!("{}", error.chain()),
        }
    }
}

fn big_config() -> NewWebConfig {
    NewWebConfig { name: "n".repeat(20_000), ..new_config(WebConfigId::generate().unwrap()) }
}

/// In a file system of a few hundred kilobytes.
fn full_disk(place: &Path) {
    let ballast = place.join("ballast");
    fs::write(&ballast, vec![1; 200_000]).unwrap();
    let store = open(place);
    let mut acknowledged: Vec<(WebConfigId, Secret)> = Vec::new();
    let error = loop {
        let new = big_config();
        match block_on(store.create(new.clone())) {
            Ok(config) => acknowledged.push((config.id, new.secret)),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1_000, "the disk is never full");
    };
    assert!(!acknowledged.is_empty());
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.chain().contains("the disk is full: free some space"), "{}", error.chain());

    // It stays that way, nothing is lost, and reading goes on.
    let all_there = |store: &SqliteStore, acknowledged: &[(WebConfigId, Secret)]| {
        let page = block_on(store.living(None, 10_000)).unwrap();
        assert_eq!(page.living.len(), acknowledged.len());
        assert_eq!(page.head.revision.get(), u64::try_from(acknowledged.len()).unwrap());
        for (id, secret) in acknowledged {
            assert_eq!(block_on(store.load(*id)).unwrap().value.unwrap().secret, *secret);
        }
    };
    let again = block_on(store.create(big_config())).unwrap_err();
    assert!(matches!(again, StoreError::Unavailable(_)), "{again:?}");
    all_there(&store, &acknowledged);

    // A new store cannot be made in what is left.
    let filler = fs::OpenOptions::new().create(true).append(true).open(place.join("filler"));
    let mut filler = filler.unwrap();
    while filler.write(&[1; 512]).is_ok_and(|written| written > 0) {}
    let refused = SqliteStore::open(place.join("second.db"), Sealing::Plain).unwrap_err();
    assert!(matches!(refused, OpenError::DiskFull { .. }), "{refused:?}");
    assert!(refused.to_string().contains("free some space"), "{refused}");

    // With space, the same handle goes on.
    fs::remove_file(&ballast).unwrap();
    let new = big_config();
    let config = block_on(store.create(new.clone())).unwrap();
    acknowledged.push((config.id, new.secret));
    all_there(&store, &acknowledged);
    let second = SqliteStore::open(place.join("second.db"), Sealing::Plain).unwrap();
    drop((store, second));
    all_there(&open(place), &acknowledged);
    say("recovered");
}

/// Makes a store, makes its file system read-only, and opens it again.
fn read_only_file_system(place: &Path) {
    let store = open(place);
    block_on(store.create(new_config(shared_id()))).unwrap();
    let digest = digest(&load(&store).secret);
    store.close();
    let remount = |how: &str| {
        let status = std::process::Command::new("mount").args(["-o", how]).arg(place).status().unwrap();
        assert!(status.success());
    };
    remount("remount,bind,ro");
    for name in ["store.db", "new.db"] {
        let refused = SqliteStore::open(place.join(name), Sealing::Plain).unwrap_err();
        assert!(matches!(refused, OpenError::NotWritable { .. }), "{name}: {refused:?}");
        assert!(refused.to_string().contains("needs write access"), "{refused}");
    }
    remount("remount,bind,rw");
    let store = open(place);
    assert_eq!(super::digest(&load(&store).secret), digest);
    say("refused");
}
