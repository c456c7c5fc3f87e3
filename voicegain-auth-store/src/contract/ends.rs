use voicegain_auth_core::store::{Change, ChangeFeed as _, ListQuery, Scope, SecretStore, StoreError};
use voicegain_auth_core::{Generation, NewWebConfig, WebConfigId, WebConfigPatch};

use super::fixture::{
    Fixture, head, load, log_after, new_config_of, new_id, not_found, secret, snapshot, soon, store,
};

fn account(account: &str) -> Scope {
    Scope::Account(account.parse().unwrap())
}

fn context(account: &str, context: &str) -> Scope {
    Scope::Context(account.parse().unwrap(), context.parse().unwrap())
}

/// Web configs in these accounts and contexts, each at generation 2.
async fn created(store: &impl SecretStore, places: &[(&str, &str)]) -> Vec<WebConfigId> {
    let mut ids = Vec::new();
    for (account, context) in places {
        let id = store.create(new_config_of(account, context, new_id())).await.unwrap().id;
        store.regenerate(id, secret()).await.unwrap();
        ids.push(id);
    }
    ids
}

/// Everything that reads says that exactly these live.
async fn live<S: SecretStore + voicegain_auth_core::store::ChangeFeed>(
    store: &S,
    all: &[WebConfigId],
    living: &[WebConfigId],
) {
    let mut living = living.to_vec();
    living.sort();
    for id in all {
        assert_eq!(load(store, *id).await.is_some(), living.contains(id), "load");
    }
    let listed = store.list(ListQuery { limit: 100, ..ListQuery::default() }).await.unwrap();
    assert_eq!(listed.iter().map(|config| config.id).collect::<Vec<_>>(), living, "list");
    let page = store.living(None, 100).await.unwrap();
    assert_eq!(page.living.iter().map(|living| living.id).collect::<Vec<_>>(), living, "living");
    assert!(page.next.is_none());
    let page = store.load_page(None, 100).await.unwrap();
    assert_eq!(
        page.value.stored.iter().map(|stored| stored.config.id).collect::<Vec<_>>(),
        living,
        "load_page"
    );
    for id in &living {
        let others = store.regenerate(*id, secret()).await.unwrap().others;
        assert!(others.iter().all(|other| living.contains(&other.id)), "others");
    }
}

/// Rule C1: what lives in the context ends, nothing else, neither another context of the account nor one of the
/// same name in another account; and every handle knows.
pub async fn c1_the_end_of_a_context_ends_what_lives_there<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let other = place.open().await;
    let all = created(
        &store,
        &[("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"), ("A", "x"), ("a", "X"), ("a", "xy")],
    )
    .await;
    live(&store, &all, &all).await;
    let ended = store.end(context("a", "x")).await.unwrap();
    for handle in [&store, &other] {
        let gone = snapshot(handle, all[0]).await;
        assert!(gone.value.is_none());
        assert_eq!(gone.head, ended.revision);
        let query = ListQuery {
            account_id: Some("a".parse().unwrap()),
            context_id: Some("x".parse().unwrap()),
            limit: 100,
            ..ListQuery::default()
        };
        assert!(handle.list(query).await.unwrap().is_empty());
    }
    live(&store, &all, &all[2..]).await;
    live(&other, &all, &all[2..]).await;
}

/// Rule C1: every context of the account, and no other account.
pub async fn c1_the_end_of_an_account_ends_all_of_its_contexts<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let other = place.open().await;
    let all = created(&store, &[("a", "x"), ("a", "y"), ("b", "x"), ("aa", "x")]).await;
    other.end(account("a")).await.unwrap();
    live(&store, &all, &all[2..]).await;
    live(&other, &all, &all[2..]).await;
    // A context named like an account is none.
    let more = created(&store, &[("c", "b")]).await[0];
    store.end(account("b")).await.unwrap();
    live(&store, &all, &[all[3], more]).await;
}

/// Rule C1: an end is over once it has happened; the next one ends again what lives by then.
pub async fn c1_what_is_created_after_an_end_lives<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let old = created(&store, &[("a", "x"), ("a", "y")]).await;
    store.end(account("a")).await.unwrap();
    store.end(context("a", "x")).await.unwrap();
    let new = created(&store, &[("a", "x"), ("a", "y"), ("a", "z")]).await;
    let all = [old, new.clone()].concat();
    live(&store, &all, &new).await;
    store.update(new[0], WebConfigPatch::default()).await.unwrap();
    live(&store, &all, &new).await;
    store.end(context("a", "x")).await.unwrap();
    live(&store, &all, &new[1..]).await;
    store.end(account("a")).await.unwrap();
    live(&store, &all, &[]).await;
    let again = created(&store, &[("a", "x")]).await;
    live(&store, &all, &again).await;
}

/// Rule M1: it is as if deleted, and leaves no trace of what was tried.
pub async fn m1_nothing_changes_what_has_ended<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let all = created(&store, &[("a", "x"), ("a", "y")]).await;
    store.end(account("a")).await.unwrap();
    let before = head(&store).await;
    for id in all {
        not_found(store.regenerate(id, secret()).await);
        not_found(store.update(id, WebConfigPatch::default()).await);
        not_found(store.delete(id).await);
        assert!(load(&store, id).await.is_none());
    }
    assert_eq!(head(&store).await, before);
}

/// Rule W7: an id that has ended is one that was deleted. It may come back elsewhere, and then it is ended there.
pub async fn w7_an_ended_id_comes_back_only_by_revive<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let id = created(&store, &[("a", "x")]).await[0];
    store.end(context("a", "x")).await.unwrap();
    for place in ["x", "y"] {
        let refused = store.create(new_config_of("a", place, id)).await;
        assert!(matches!(refused, Err(StoreError::Deleted)), "{refused:?}");
        assert!(load(&store, id).await.is_none());
    }
    let revived = NewWebConfig { revive: true, ..new_config_of("a", "x", id) };
    let config = store.create(revived.clone()).await.unwrap();
    assert_eq!(config.generation, Generation::new(3));
    let stored = load(&store, id).await.unwrap();
    assert_eq!((stored.config, stored.secret), (config, revived.secret.clone()));
    let refused = store.create(revived.clone()).await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists)), "{refused:?}");
    assert_eq!(store.regenerate(id, secret()).await.unwrap().config.generation, Generation::new(4));

    store.end(account("a")).await.unwrap();
    assert!(load(&store, id).await.is_none());
    let elsewhere = NewWebConfig { revive: true, ..new_config_of("b", "x", id) };
    assert_eq!(store.create(elsewhere).await.unwrap().generation, Generation::new(5));
    store.end(account("a")).await.unwrap();
    store.end(context("a", "x")).await.unwrap();
    assert!(load(&store, id).await.is_some(), "it has gone elsewhere");
    // Deleting it now and reviving it goes on as ever.
    store.delete(id).await.unwrap();
    assert_eq!(store.create(revived).await.unwrap().generation, Generation::new(6));
    store.end(context("a", "x")).await.unwrap();
    assert!(load(&store, id).await.is_none());
}

/// Rule W7: a generation that ended by Delete is not forgotten over a bulk end.
pub async fn w7_an_end_keeps_what_is_remembered_of_the_deleted<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let id = created(&store, &[("a", "x")]).await[0];
    store.delete(id).await.unwrap();
    assert_eq!(store.end(account("a")).await.unwrap().web_configs, 0);
    let refused = store.create(new_config_of("a", "x", id)).await;
    assert!(matches!(refused, Err(StoreError::Deleted)), "{refused:?}");
    let revived = NewWebConfig { revive: true, ..new_config_of("a", "x", id) };
    assert_eq!(store.create(revived).await.unwrap().generation, Generation::new(3));
}

/// How many lived, and none of them twice.
pub async fn an_end_counts_what_it_ends<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    assert_eq!(store.end(account("a")).await.unwrap().web_configs, 0);
    let all = created(&store, &[("a", "x"), ("a", "x"), ("a", "x"), ("a", "y"), ("b", "x")]).await;
    store.delete(all[0]).await.unwrap();
    assert_eq!(store.end(context("a", "z")).await.unwrap().web_configs, 0);
    assert_eq!(store.end(context("a", "x")).await.unwrap().web_configs, 2);
    assert_eq!(store.end(context("a", "x")).await.unwrap().web_configs, 0);
    assert_eq!(store.end(account("a")).await.unwrap().web_configs, 1);
    assert_eq!(store.end(account("a")).await.unwrap().web_configs, 0);
    assert_eq!(store.end(account("b")).await.unwrap().web_configs, 1);
}

/// One entry, however many web configs there were, also if there was none; and it wakes those who wait.
pub async fn c4_an_end_is_one_log_entry<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let other = place.open().await;
    created(&store, &[("a", "x"), ("a", "x"), ("a", "y")]).await;
    let begin = head(&store).await;
    let mut expected = Vec::new();
    for scope in [context("a", "x"), account("a"), account("nobody"), context("a", "x")] {
        let ended = store.end(scope.clone()).await.unwrap();
        expected.push((Change::Ended(scope), ended.revision));
    }
    for handle in [&store, &other] {
        soon(handle.changed(begin.revision)).await;
        let log = log_after(handle, begin).await;
        let found: Vec<_> = log.iter().map(|entry| (entry.change.clone(), entry.position.revision)).collect();
        assert_eq!(found, expected);
        assert_eq!(log.last().unwrap().position, head(handle).await);
    }
}
