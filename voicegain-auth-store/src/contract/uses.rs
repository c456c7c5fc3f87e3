use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use voicegain_auth_core::store::{ChangeFeed as _, LogRead, Scope, SecretStore};
use voicegain_auth_core::{Day, NewWebConfig, WebConfigId, WebConfigPatch};

use super::fixture::{
    Fixture, head, ids_in_order, load, new_config, new_config_of, new_id, secret, soon, store,
};

fn day(number: u32) -> Day {
    Day::new(number).unwrap()
}

async fn note(store: &impl SecretStore, uses: &[(WebConfigId, u32)]) {
    store.note_uses(uses.iter().map(|(id, number)| (*id, day(*number))).collect()).await.unwrap();
}

async fn last(store: &impl SecretStore, ids: &[WebConfigId]) -> Vec<Option<u32>> {
    let last = store.last_uses(ids.to_vec()).await.unwrap();
    assert!(last.keys().all(|id| ids.contains(id)), "others were answered");
    ids.iter().map(|id| last.get(id).map(|day| day.get())).collect()
}

/// The later day stays, whichever comes first, and whichever handle it came by.
pub async fn the_last_use_is_the_latest<F: Fixture>() {
    let (place, one) = store::<F>().await;
    let other = place.open().await;
    let [a, b, c] = [new_id(), new_id(), new_id()];
    for id in [a, b, c] {
        one.create(new_config(id)).await.unwrap();
    }
    assert_eq!(last(&one, &[a, b, c]).await, [None; 3]);
    assert_eq!(last(&one, &[]).await, []);
    note(&one, &[]).await;
    note(&one, &[(a, 20_000), (b, 0)]).await;
    assert_eq!(last(&other, &[a, b, c]).await, [Some(20_000), Some(0), None]);
    note(&other, &[(a, 19_999), (b, 2_932_896), (c, 5)]).await;
    note(&one, &[(a, 20_001), (b, 20_000), (c, 5)]).await;
    for store in [&one, &other] {
        assert_eq!(last(store, &[c, a, b]).await, [Some(5), Some(20_001), Some(2_932_896)]);
    }
    // A web config stays the same one whatever else is done to it.
    one.regenerate(a, secret()).await.unwrap();
    one.update(a, WebConfigPatch { name: Some("new".to_owned()), allowed_origins: None }).await.unwrap();
    assert_eq!(last(&one, &[a]).await, [Some(20_001)]);
}

/// Uses are no changes: nothing of what a feed or a cache looks at moves, and nobody is woken.
pub async fn c4_a_use_is_no_change<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let (id, begin) = (new_id(), head(&store).await);
    let created = store.create(new_config(id)).await.unwrap();
    soon(store.changed(begin.revision)).await;
    // From here on the store listens, and has told that it does.
    let config = store.regenerate(id, secret()).await.unwrap().config;
    soon(store.changed(created.revision)).await;
    let before = head(&store).await;
    let mut changed = pin!(store.changed(before.revision));
    note(&store, &[(id, 20_000)]).await;
    note(&store, &[(id, 20_001)]).await;
    let woken = timeout(Duration::from_millis(100), &mut changed).await;
    assert!(woken.is_err(), "a use was heard of as a change");
    assert_eq!(head(&store).await, before);
    let nothing = LogRead::Entries { entries: Vec::new(), more: false };
    assert_eq!(store.read_log(before, 10).await.unwrap(), nothing);
    assert_eq!(store.prove(before, 10).await.unwrap(), nothing, "a proof holds as before");
    assert_eq!(load(&store, id).await.unwrap().config, config);
    let next = store.regenerate(id, secret()).await.unwrap().config.revision;
    assert_eq!(next.get(), before.revision.get() + 1);
    soon(changed).await;
}

/// What does not live has no last use, and what comes back begins without one.
pub async fn what_ends_is_not_used_any_more<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let [deleted, ended, kept, never] = [new_id(), new_id(), new_id(), new_id()];
    let all = [deleted, ended, kept, never];
    store.create(new_config(deleted)).await.unwrap();
    store.create(new_config_of("account", "elsewhere", ended)).await.unwrap();
    store.create(new_config(kept)).await.unwrap();
    note(&store, &all.map(|id| (id, 20_000))).await;
    assert_eq!(last(&store, &all).await, [Some(20_000), Some(20_000), Some(20_000), None]);

    let scope = Scope::Context("account".parse().unwrap(), "elsewhere".parse().unwrap());
    store.delete(deleted).await.unwrap();
    store.end(scope).await.unwrap();
    assert_eq!(last(&store, &all).await, [None, None, Some(20_000), None]);
    note(&store, &all.map(|id| (id, 20_001))).await;
    assert_eq!(last(&store, &all).await, [None, None, Some(20_001), None]);
    assert!(load(&store, deleted).await.is_none() && load(&store, never).await.is_none());

    for id in [deleted, ended] {
        store.create(NewWebConfig { revive: true, ..new_config(id) }).await.unwrap();
    }
    store.create(new_config(never)).await.unwrap();
    assert_eq!(last(&store, &all).await, [None, None, Some(20_001), None]);
    note(&store, &[(deleted, 20_002), (ended, 20_002)]).await;
    assert_eq!(last(&store, &all).await, [Some(20_002), Some(20_002), Some(20_001), None]);
}

/// Batches of several processes at once, over the same web configs, while some of these are changed and end.
pub async fn uses_come_from_many_at_once<F: Fixture>() {
    const COUNT: usize = 300;
    let (place, first) = store::<F>().await;
    let ids = ids_in_order(COUNT);
    for id in &ids {
        first.create(new_config(*id)).await.unwrap();
    }
    let mut writers = Vec::new();
    for number in 0..4_u32 {
        let (store, ids) = (place.open().await, ids.clone());
        writers.push(tokio::spawn(async move {
            for round in 0..3 {
                let uses: BTreeMap<_, _> =
                    ids.iter().map(|id| (*id, day(20_000 + (number + round) % 4))).collect();
                store.note_uses(uses).await.unwrap();
            }
        }));
    }
    for id in ids.iter().take(5) {
        first.regenerate(*id, secret()).await.unwrap();
        first.delete(*id).await.unwrap();
    }
    for writer in writers {
        soon(writer).await.unwrap();
    }
    let expected: Vec<_> = (0..COUNT).map(|number| (number >= 5).then_some(20_003)).collect();
    assert_eq!(last(&first, &ids).await, expected);
}
