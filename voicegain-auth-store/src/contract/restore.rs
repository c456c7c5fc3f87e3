use voicegain_auth_core::store::{ChangeFeed as _, Scope, SecretStore, StoreError};
use voicegain_auth_core::{Generation, RestoredWebConfig, Secret, WebConfig};

use super::fixture::{
    Fixture, head, load, log_after, new_config, new_config_of, new_id, put, secret, soon, store,
};

/// As another store had it: at a generation and with times that no creation here would give it.
pub(super) fn restored(generation: u64) -> RestoredWebConfig {
    let new = new_config(new_id());
    RestoredWebConfig {
        id: new.id,
        account_id: new.account_id,
        context_id: new.context_id,
        name: new.name,
        allowed_origins: new.allowed_origins,
        secret: new.secret,
        generation: Generation::new(generation),
        created_at: 1_234_567_890,
        secret_created_at: 1_345_678_901,
        revive: false,
    }
}

/// What it was restored from, at the revision that this store has given it.
fn expected(from: &RestoredWebConfig, config: &WebConfig) -> WebConfig {
    WebConfig {
        id: from.id,
        account_id: from.account_id.clone(),
        context_id: from.context_id.clone(),
        name: from.name.clone(),
        allowed_origins: from.allowed_origins.clone(),
        generation: from.generation,
        revision: config.revision,
        created_at: from.created_at,
        secret_created_at: from.secret_created_at,
    }
}

/// Whole, as one entry of this store's log; and then it is a web config like any other.
pub async fn w7_what_is_restored_is_as_it_was<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    store.create(new_config(new_id())).await.unwrap();
    for (generation, secret) in [
        (7, secret()),
        (1, Secret::from_bytes(&[0; 256]).unwrap()),
        ((1 << 53) - 1, Secret::from_bytes(&[0xff; 32]).unwrap()),
    ] {
        let before = head(&store).await;
        let from = RestoredWebConfig {
            name: "Zoë '\"\\ 🦀".to_owned(),
            allowed_origins: Vec::new(),
            secret,
            ..restored(generation)
        };
        let config = store.restore(from.clone()).await.unwrap();
        assert_eq!(config, expected(&from, &config));
        let stored = load(&store, from.id).await.unwrap();
        assert_eq!((&stored.config, &stored.secret), (&config, &from.secret));
        let log = log_after(&store, before).await;
        assert_eq!(log.len(), 1);
        assert_eq!((&log[0].change, log[0].position), (&put(&config), stored.position()));
        assert_eq!(config.revision, head(&store).await.revision);

        let other = RestoredWebConfig { id: new_id(), ..from };
        store.restore(other).await.expect("the same, but for its id");
        let regenerated = store.regenerate(config.id, new_config(new_id()).secret).await.unwrap().config;
        assert_eq!(regenerated.generation.get(), generation + 1);
        assert_eq!(regenerated.created_at, config.created_at);
        assert!(regenerated.secret_created_at > config.secret_created_at);
    }
    assert_eq!(store.living(None, 100).await.unwrap().living.len(), 7);
}

/// Rule W7: an id lives once, and the refusal keeps what is there.
pub async fn w7_restore_refuses_an_id_that_lives<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let from = restored(3);
    let config = store.restore(from.clone()).await.unwrap();
    let created = store.create(new_config(new_id())).await.unwrap();
    let before = head(&store).await;
    for (id, generation) in [(from.id, 3), (from.id, 9), (created.id, 1), (created.id, 9)] {
        for revive in [false, true] {
            let again = RestoredWebConfig { id, revive, ..restored(generation) };
            let refused = store.restore(again).await;
            assert!(matches!(refused, Err(StoreError::AlreadyExists)), "{refused:?}");
        }
    }
    let refused = store.create(new_config(from.id)).await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists)), "{refused:?}");
    assert_eq!(head(&store).await, before, "no trace is left");
    let stored = load(&store, from.id).await.unwrap();
    assert_eq!((stored.config, stored.secret), (config, from.secret));
}

/// Rules C3 and W7: what was deleted comes back only when that is asked for, and never at a generation that it has had.
pub async fn c3_a_restored_generation_never_goes_back<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let from = restored(5);
    store.restore(from.clone()).await.unwrap();
    store.delete(from.id).await.unwrap();
    refused_below(&store, &from, 5).await;
    // And the end of that is remembered as well.
    store.delete(from.id).await.unwrap();
    refused_below(&store, &RestoredWebConfig { generation: Generation::new(6), ..from }, 6).await;
}

/// The same for what a bulk end has ended, wherever it is restored to.
pub async fn c3_a_restored_generation_never_goes_back_behind_an_end<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let new = new_config_of("ending", "one", new_id());
    store.create(new.clone()).await.unwrap();
    store.regenerate(new.id, secret()).await.unwrap();
    store.end(Scope::Account(new.account_id.clone())).await.unwrap();
    let there = RestoredWebConfig { id: new.id, account_id: new.account_id, ..restored(2) };
    refused_below(&store, &there, 2).await;
    store.end(Scope::Account(there.account_id)).await.unwrap();
    let elsewhere = RestoredWebConfig { id: new.id, ..restored(3) };
    refused_below(&store, &elsewhere, 3).await;
}

/// `last` is the generation at which it ended. It lives in the end, at the one after that.
async fn refused_below<S: SecretStore + voicegain_auth_core::ChangeFeed>(
    store: &S,
    from: &RestoredWebConfig,
    last: u64,
) {
    let before = head(store).await;
    let at = |generation, revive| {
        let generation = Generation::new(generation);
        RestoredWebConfig { generation, revive, secret: secret(), ..from.clone() }
    };
    for revive in [false, true] {
        for generation in [1, last] {
            let refused = store.restore(at(generation, revive)).await;
            assert!(matches!(refused, Err(StoreError::GenerationPassed)), "{generation}: {refused:?}");
        }
    }
    let refused = store.restore(at(last + 1, false)).await;
    assert!(matches!(refused, Err(StoreError::Deleted)), "{refused:?}");
    assert_eq!(head(store).await, before, "no trace is left");
    assert!(load(store, from.id).await.is_none());
    let back = at(last + 1, true);
    let config = store.restore(back.clone()).await.unwrap();
    assert_eq!(config, expected(&back, &config));
    assert_eq!(load(store, from.id).await.unwrap().secret, back.secret);
}

/// Rule C3: another handle reads what was restored, and hears of it.
pub async fn c3_another_handle_sees_what_was_restored<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let other = place.open().await;
    let seen = head(&other).await;
    let config = store.restore(restored(4)).await.unwrap();
    soon(other.changed(seen.revision)).await;
    assert_eq!(load(&other, config.id).await.unwrap().config, config);
    assert_eq!(log_after(&other, seen).await[0].change, put(&config));
}

/// Rule W7: of those who restore one id at once one succeeds.
pub async fn w7_of_concurrent_restores_one_succeeds<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let other = place.open().await;
    for _ in 0..10 {
        let from = restored(2);
        let mine = RestoredWebConfig { secret: secret(), ..from.clone() };
        let (one, two) = tokio::join!(store.restore(from.clone()), other.restore(mine.clone()));
        let secret = match (&one, &two) {
            (Ok(_), Err(StoreError::AlreadyExists)) => &from.secret,
            (Err(StoreError::AlreadyExists), Ok(_)) => &mine.secret,
            both => panic!("{both:?}"),
        };
        assert_eq!(load(&store, from.id).await.unwrap().secret, *secret);
    }
}
