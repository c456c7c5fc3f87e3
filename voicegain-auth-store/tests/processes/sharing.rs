use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use tempfile::TempDir;
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _};

use super::{Killed, Ran, block_on, child, digest, load, new_config, open, secret, shared_id, text};

/// Starts as many of the child at once, and answers what each said.
fn at_once(count: usize, name: &str, place: &TempDir) -> Vec<String> {
    let children: Vec<_> = (0..count)
        .map(|_| child(name, place.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    children.into_iter().map(|child| text(&child.wait_with_output().unwrap())).collect()
}

/// None of them fails, and all of them mean one store.
pub(super) fn processes_create_one_file_at_once() -> Ran {
    for _ in 0..5 {
        let place = TempDir::new().unwrap();
        let said = at_once(6, "create", &place);
        let revisions: BTreeSet<_> =
            said.iter().map(|line| line.trim().split_once(' ').unwrap().1.to_owned()).collect();
        assert_eq!(revisions.len(), 6, "revisions differ");
        let page = block_on(open(place.path()).living(None, 100)).unwrap();
        assert_eq!((page.living.len(), page.head.revision.get()), (6, 6));
        for living in page.living {
            let id = living.id.to_string();
            assert!(said.iter().any(|line| line.starts_with(&id)), "{id}");
        }
    }
    Ok(())
}

/// Rule M1: all succeed in some order, generations and revisions alike, and the last secret stays.
pub(super) fn processes_regenerate_one_web_config_at_once() -> Ran {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    block_on(store.create(new_config(shared_id()))).unwrap();
    let said = at_once(4, "regenerate-20", &place).concat();
    let mut changes: Vec<(u64, u64, &str)> = said
        .lines()
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            (words[0].parse().unwrap(), words[1].parse().unwrap(), words[2])
        })
        .collect();
    changes.sort_unstable();
    let expected: Vec<u64> = (2..=81).collect();
    assert_eq!(changes.iter().map(|change| change.0).collect::<Vec<_>>(), expected);
    assert_eq!(changes.iter().map(|change| change.1).collect::<Vec<_>>(), expected);
    assert_eq!(digest(&load(&store).secret), changes.last().unwrap().2);
    Ok(())
}

/// Rule C2: `changed` hears of what another process did.
pub(super) fn a_change_wakes_another_process() -> Ran {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    block_on(store.create(new_config(shared_id()))).unwrap();
    let mut waits = Killed(child("wait", place.path()).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(waits.0.stdout.take().unwrap()).lines();
    // It may wake for nothing, but it must wake for each of these.
    let mut next = || lines.next().unwrap().unwrap().parse::<u64>().unwrap();
    assert_eq!(next(), 1);
    for generation in 2..=6 {
        let config = block_on(store.regenerate(shared_id(), secret())).unwrap().config;
        assert_eq!(config.generation.get(), generation);
        while next() < generation {}
    }
    Ok(())
}
