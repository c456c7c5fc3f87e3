use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use voicegain_auth_core::store::{
    Change, ChangeFeed as _, LogEntry, LogRead, Revision, SecretStore as _, StoreError,
};
use voicegain_auth_core::{Generation, NewWebConfig, WebConfigId, WebConfigPatch};

use super::fixture::{Fixture, head, load, log_after, new_config, new_id, secret, snapshot, soon, store};

const WRITERS: usize = 4;

/// Rule M1: all succeed in some order, the generations differ, and the last one's secret is what stays.
pub async fn m1_concurrent_regenerates_all_count<F: Fixture>() {
    const EACH: usize = 10;
    let (place, store) = store::<F>().await;
    let id = new_id();
    store.create(new_config(id)).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        let handle = place.open().await;
        tasks.spawn(async move {
            let mut done = Vec::new();
            for _ in 0..EACH {
                let secret = secret();
                let config = handle.regenerate(id, secret.clone()).await.unwrap().config;
                done.push((config.generation, config.revision, secret));
            }
            done
        });
    }
    let mut done: Vec<_> = soon(tasks.join_all()).await.into_iter().flatten().collect();
    done.sort_by_key(|(generation, ..)| *generation);
    let generations: Vec<_> = done.iter().map(|(generation, ..)| generation.get()).collect();
    let expected: Vec<_> = (2..).take(WRITERS * EACH).collect();
    assert_eq!(generations, expected);
    assert!(done.windows(2).all(|pair| pair[0].1 < pair[1].1), "revisions follow the generations");
    let (generation, _, last) = done.pop().unwrap();
    let stored = load(&store, id).await.unwrap();
    assert_eq!(stored.config.generation, generation);
    assert_eq!(stored.secret, last);
}

/// Rule W7: an id lives once, also when many create it at once.
pub async fn w7_of_concurrent_creates_one_succeeds<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let begin = head(&store).await;
    let id = new_id();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let handle = place.open().await;
        let new = new_config(id);
        tasks.spawn(async move { (new.secret.clone(), handle.create(new).await) });
    }
    let mut created = Vec::new();
    for (secret, result) in soon(tasks.join_all()).await {
        match result {
            Ok(config) => created.push((secret, config)),
            Err(StoreError::AlreadyExists) => {}
            Err(error) => panic!("{}", error.chain()),
        }
    }
    assert_eq!(created.len(), 1);
    let stored = load(&store, id).await.unwrap();
    assert_eq!((stored.secret, stored.config), created.remove(0));
    assert_eq!(log_after(&store, begin).await.len(), 1);
}

/// What one writer was told about its changes.
type Acknowledged = Vec<(Revision, WebConfigId, Change)>;

/// Changes of all kinds, to a few web configs that other writers change as well.
async fn change_a_lot<F: Fixture>(store: F::Store, ids: Arc<[WebConfigId]>, writer: usize) -> Acknowledged {
    let mut acknowledged = Vec::new();
    for round in 0..40 {
        let id = ids[(writer + round * 3) % ids.len()];
        let put =
            |config: voicegain_auth_core::WebConfig| (config.revision, id, Change::Put(config.generation));
        let result = match (writer + round) % 4 {
            0 => store.create(NewWebConfig { revive: true, ..new_config(id) }).await.map(put),
            1 => store.regenerate(id, secret()).await.map(|regenerated| put(regenerated.config)),
            2 => store.update(id, WebConfigPatch::default()).await.map(put),
            _ => {
                // The generation is known to the log alone.
                let deleted = store.delete(id).await;
                deleted.map(|revision| (revision, id, Change::Deleted(Generation::new(0))))
            }
        };
        match result {
            Ok(change) => acknowledged.push(change),
            Err(StoreError::NotFound | StoreError::AlreadyExists) => {}
            Err(error) => panic!("{}", error.chain()),
        }
        // A store that never waits must let others have their turn too.
        tokio::task::yield_now().await;
    }
    acknowledged
}

async fn spawn_writers<F: Fixture>(place: &F, ids: &Arc<[WebConfigId]>) -> JoinSet<Acknowledged> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(change_a_lot::<F>(place.open().await, Arc::clone(ids), writer));
    }
    writers
}

/// Rule C3: a revision becomes visible only after all lower ones have, so that whoever follows the log misses
/// nothing; and the log holds what was acknowledged, no more and no less.
pub async fn c3_revisions_become_visible_in_order<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let begin = head(&store).await;
    let ids: Arc<[_]> = (0..5).map(|_| new_id()).collect();
    let follower = place.open().await;
    let done = Arc::new(AtomicBool::new(false));
    let following = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let (mut after, mut seen) = (begin, Vec::<LogEntry>::new());
            loop {
                let last_round = done.load(Ordering::SeqCst);
                let LogRead::Entries { entries, more } = follower.read_log(after, 7).await.unwrap() else {
                    panic!("gone at {after:?}");
                };
                after = entries.last().map_or(after, |entry| entry.position);
                seen.extend(entries);
                if !more && last_round {
                    return seen;
                }
            }
        }
    });
    let mut acknowledged: Vec<_> =
        soon(spawn_writers(&place, &ids).await.join_all()).await.into_iter().flatten().collect();
    done.store(true, Ordering::SeqCst);
    let seen = soon(following).await.unwrap();
    let log = log_after(&store, begin).await;
    assert_eq!(seen, log, "a follower missed something");
    assert!(log.windows(2).all(|pair| pair[0].position.revision < pair[1].position.revision));

    acknowledged.sort_by_key(|(revision, ..)| *revision);
    assert_eq!(acknowledged.len(), log.len());
    let mut last = BTreeMap::new();
    for ((revision, id, change), entry) in acknowledged.into_iter().zip(&log) {
        assert_eq!((revision, id), (entry.position.revision, entry.id));
        let before = last.insert(id, entry.change);
        match (change, entry.change, before) {
            (Change::Deleted(_), Change::Deleted(generation), Some(Change::Put(before))) => {
                assert_eq!(generation, before);
            }
            (change, logged, _) => assert_eq!(change, logged),
        }
    }
}

/// Rule C3: what a read answers is what the log says up to the head in the same answer, whatever happens
/// meanwhile.
pub async fn c3_snapshots_are_whole<F: Fixture>() {
    /// How many heads must be seen while they move.
    const HEADS: usize = 20;
    let (place, store) = store::<F>().await;
    let begin = head(&store).await;
    let ids: Arc<[_]> = (0..3).map(|_| new_id()).collect();
    let done = Arc::new(AtomicBool::new(false));
    let reader = place.open().await;
    let reading = tokio::spawn({
        let (ids, done) = (Arc::clone(&ids), Arc::clone(&done));
        async move {
            let (mut seen, mut heads) = (Vec::new(), BTreeSet::new());
            while heads.len() < HEADS {
                for id in ids.iter() {
                    let loaded = snapshot(&reader, *id).await;
                    let config = loaded.value.map(|stored| stored.config);
                    seen.push((loaded.head, *id, config.map(|config| (config.revision, config.generation))));
                    tokio::task::yield_now().await;
                }
                let page = reader.living(None, 100).await.unwrap();
                for id in ids.iter() {
                    let living = page.living.iter().find(|living| living.id == *id);
                    let living = living.map(|living| (living.position.revision, living.generation));
                    seen.push((page.head.revision, *id, living));
                }
                heads.insert(page.head.revision);
            }
            done.store(true, Ordering::SeqCst);
            seen
        }
    });
    soon(async {
        while !done.load(Ordering::SeqCst) && !reading.is_finished() {
            spawn_writers(&place, &ids).await.join_all().await;
        }
    })
    .await;
    let seen = soon(reading).await.unwrap();
    let log = log_after(&store, begin).await;
    assert!(seen.is_sorted_by_key(|(head, ..)| *head), "one handle's head went back");
    for (head, id, found) in seen {
        let last = log.iter().rev().find(|entry| entry.id == id && entry.position.revision <= head);
        let expected = last.and_then(|entry| match entry.change {
            Change::Put(generation) => Some((entry.position.revision, generation)),
            _ => None,
        });
        assert_eq!(found, expected, "{id} at {head}");
    }
}
