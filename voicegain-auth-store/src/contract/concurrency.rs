use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use voicegain_auth_core::store::{
    Change, ChangeFeed as _, LogEntry, LogRead, Revision, Scope, SecretStore as _, StoreError,
};
use voicegain_auth_core::{
    AccountId, ContextId, Generation, NewWebConfig, WebConfig, WebConfigId, WebConfigPatch,
};

use super::fixture::{
    Fixture, head, id_of, load, log_after, new_config, new_config_of, new_id, put, secret, snapshot, soon,
    store,
};

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

/// What a writer was told about one of its changes, and how many web configs it ended if it was a bulk end.
struct Acknowledged {
    revision: Revision,
    change: Change,
    ended: Option<u64>,
}

/// The contexts of the web configs that are changed at once.
const CONTEXTS: [&str; 2] = ["context", "other"];

fn scope(number: usize) -> Scope {
    match CONTEXTS.get(number % 3) {
        Some(context) => Scope::Context("account".parse().unwrap(), context.parse().unwrap()),
        None => Scope::Account("account".parse().unwrap()),
    }
}

/// Changes of all kinds, to a few web configs that other writers change as well.
async fn change_a_lot<F: Fixture>(
    store: F::Store,
    ids: Arc<[WebConfigId]>,
    writer: usize,
) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    for round in 0..50 {
        let number = (writer + round * 3) % ids.len();
        let id = ids[number];
        let put =
            |config: WebConfig| Acknowledged { revision: config.revision, change: put(&config), ended: None };
        let result = match (writer + round) % 9 {
            0..=2 => {
                let new = new_config_of("account", CONTEXTS[(number + round) % 2], id);
                store.create(NewWebConfig { revive: true, ..new }).await.map(put)
            }
            3 | 4 => store.regenerate(id, secret()).await.map(|regenerated| put(regenerated.config)),
            5 => store.update(id, WebConfigPatch::default()).await.map(put),
            6 => {
                // The generation is known to the log alone.
                let change = Change::Deleted { id, generation: Generation::new(0) };
                store.delete(id).await.map(|revision| Acknowledged { revision, change, ended: None })
            }
            _ => {
                let scope = scope(writer + round);
                store.end(scope.clone()).await.map(|ended| Acknowledged {
                    revision: ended.revision,
                    change: Change::Ended(scope),
                    ended: Some(ended.web_configs),
                })
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

async fn spawn_writers<F: Fixture>(place: &F, ids: &Arc<[WebConfigId]>) -> JoinSet<Vec<Acknowledged>> {
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

    acknowledged.sort_by_key(|acknowledged| acknowledged.revision);
    assert_eq!(acknowledged.len(), log.len());
    let mut living = BTreeMap::<WebConfigId, (Generation, AccountId, ContextId)>::new();
    let mut all_ended = 0;
    for (told, entry) in acknowledged.into_iter().zip(&log) {
        assert_eq!(told.revision, entry.position.revision);
        match &entry.change {
            Change::Deleted { id, generation } => {
                assert_eq!(id_of(&told.change), Some(*id));
                let (before, ..) = living.remove(id).unwrap();
                assert_eq!(*generation, before);
                continue;
            }
            Change::Put { id, generation, account_id, context_id } => {
                living.insert(*id, (*generation, account_id.clone(), context_id.clone()));
            }
            Change::Ended(scope) => {
                let before = living.len();
                living.retain(|_, (_, account, context)| !scope.covers(account, context));
                let ended = u64::try_from(before - living.len()).unwrap();
                assert_eq!(told.ended, Some(ended), "{scope:?} at {}", told.revision);
                all_ended += ended;
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(told.change, entry.change);
    }
    assert!(all_ended > 0, "no bulk end met anything that lived");
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
                let page = reader.load_page(None, 100).await.unwrap();
                for id in ids.iter() {
                    let config =
                        page.value.stored.iter().map(|stored| &stored.config).find(|config| config.id == *id);
                    let config = config.map(|config| (config.revision, config.generation));
                    seen.push((page.head, *id, config));
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
        let mut expected = None;
        for entry in log.iter().take_while(|entry| entry.position.revision <= head) {
            match &entry.change {
                Change::Put { id: changed, generation, account_id, context_id } if *changed == id => {
                    let lives_in = (account_id, context_id);
                    expected = Some((entry.position.revision, *generation, lives_in));
                }
                Change::Deleted { id: changed, .. } if *changed == id => expected = None,
                Change::Ended(scope) => {
                    expected = expected.filter(|(.., (account, context))| !scope.covers(account, context));
                }
                _ => {}
            }
        }
        let expected = expected.map(|(revision, generation, _)| (revision, generation));
        assert_eq!(found, expected, "{id} at {head}");
    }
}
