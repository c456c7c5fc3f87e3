use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _, StoreError};
use voicegain_auth_core::{Generation, NewWebConfig, Secret, WebConfigPatch};

use super::fixture::{
    Fixture, head, ids_in_order, load, log_after, new_config, new_id, not_found, put, secret, store,
};

/// Rule W7: what was created is there, whole.
pub async fn w7_create_begins_at_generation_1<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let new = new_config(new_id());
    let config = store.create(new.clone()).await.unwrap();
    assert_eq!(config.id, new.id);
    assert_eq!(config.account_id, new.account_id);
    assert_eq!(config.context_id, new.context_id);
    assert_eq!(config.name, new.name);
    assert_eq!(config.allowed_origins, new.allowed_origins);
    assert_eq!(config.generation, Generation::FIRST);
    assert_eq!(config.revision, head(&store).await.revision);
    assert!(config.created_at > 1_700_000_000);
    assert_eq!(config.created_at, config.secret_created_at);
    let stored = load(&store, new.id).await.unwrap();
    assert_eq!(stored.config, config);
    assert_eq!(stored.secret, new.secret);
    assert!(load(&store, new_id()).await.is_none());
}

/// Rule W7: an id lives once, and the refusal keeps what is there.
pub async fn w7_create_refuses_an_id_that_lives<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let first = new_config(new_id());
    let config = store.create(first.clone()).await.unwrap();
    for revive in [false, true] {
        let again = NewWebConfig { revive, name: "another".to_owned(), ..new_config(first.id) };
        let refused = store.create(again).await;
        assert!(matches!(refused, Err(StoreError::AlreadyExists)), "{refused:?}");
    }
    let stored = load(&store, first.id).await.unwrap();
    assert_eq!(stored.config, config);
    assert_eq!(stored.secret, first.secret);
}

/// Rule W7: a deleted id stays deleted unless reviving it is asked for.
pub async fn w7_a_deleted_id_comes_back_only_by_revive<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let id = new_id();
    store.create(new_config(id)).await.unwrap();
    store.delete(id).await.unwrap();
    let refused = store.create(new_config(id)).await;
    assert!(matches!(refused, Err(StoreError::Deleted)), "{refused:?}");
    assert!(load(&store, id).await.is_none());
    let revived = NewWebConfig { revive: true, name: "revived".to_owned(), ..new_config(id) };
    let config = store.create(revived.clone()).await.unwrap();
    assert_eq!(config.name, "revived");
    assert_eq!(load(&store, id).await.unwrap().secret, revived.secret);
    // Reviving what never was is creating it.
    let config = store.create(NewWebConfig { revive: true, ..new_config(new_id()) }).await.unwrap();
    assert_eq!(config.generation, Generation::FIRST);
}

/// Rule W7: the generation goes on from where it ended, each time.
pub async fn w7_a_revived_generation_goes_on<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let id = new_id();
    store.create(new_config(id)).await.unwrap();
    store.regenerate(id, secret()).await.unwrap();
    store.delete(id).await.unwrap();
    let revived = store.create(NewWebConfig { revive: true, ..new_config(id) }).await.unwrap();
    assert_eq!(revived.generation, Generation::new(3));
    assert_eq!(store.regenerate(id, secret()).await.unwrap().config.generation, Generation::new(4));
    store.delete(id).await.unwrap();
    let revived = store.create(NewWebConfig { revive: true, ..new_config(id) }).await.unwrap();
    assert_eq!(revived.generation, Generation::new(5));
    assert_eq!(load(&store, id).await.unwrap().config, revived);
}

/// Rule W7: 32 to 256 bytes of any kind.
pub async fn w7_secrets_of_any_allowed_length_come_back<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    for (length, byte) in [(32, 0_u8), (33, 0xff), (255, b'\''), (256, 0)] {
        let new =
            NewWebConfig { secret: Secret::from_bytes(&vec![byte; length]).unwrap(), ..new_config(new_id()) };
        store.create(new.clone()).await.unwrap();
        assert_eq!(load(&store, new.id).await.unwrap().secret, new.secret, "{length}");
        store.regenerate(new.id, new.secret.clone()).await.unwrap();
        assert_eq!(load(&store, new.id).await.unwrap().secret, new.secret, "{length}");
    }
}

/// Rule M1: the secret is replaced, the generation counts one up, and nothing else changes.
pub async fn m1_regenerate_replaces_the_secret_and_counts<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let created = store.create(new_config(new_id())).await.unwrap();
    let mut before = created.clone();
    for number in 2..=4 {
        let new = secret();
        let config = store.regenerate(created.id, new.clone()).await.unwrap().config;
        assert_eq!(config.generation, Generation::new(number));
        assert!(config.revision > before.revision);
        assert!(config.secret_created_at >= before.secret_created_at);
        let stored = load(&store, created.id).await.unwrap();
        assert_eq!(stored.config, config);
        assert_eq!(stored.secret, new);
        let mut expected = created.clone();
        expected.generation = config.generation;
        expected.revision = config.revision;
        expected.secret_created_at = config.secret_created_at;
        assert_eq!(config, expected);
        before = config;
    }
    not_found(store.regenerate(new_id(), secret()).await);
}

/// Rule M1: the context's other web configs, whose tokens stay valid; not those of other contexts and
/// accounts.
pub async fn m1_regenerate_names_the_others_of_the_context<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let ids = ids_in_order(4);
    for id in ids.iter().rev() {
        store.create(new_config(*id)).await.unwrap();
    }
    let other_account = NewWebConfig { account_id: "other".parse().unwrap(), ..new_config(new_id()) };
    store.create(other_account.clone()).await.unwrap();
    let other_context = NewWebConfig { context_id: "other".parse().unwrap(), ..new_config(new_id()) };
    store.create(other_context).await.unwrap();
    store.delete(ids[3]).await.unwrap();

    let regenerated = store.regenerate(ids[1], secret()).await.unwrap();
    let others: Vec<_> = regenerated.others.iter().map(|other| other.id).collect();
    assert_eq!(others, [ids[0], ids[2]]);
    for other in regenerated.others {
        assert_eq!(load(&store, other.id).await.unwrap().config, other);
    }
    assert!(store.regenerate(other_account.id, secret()).await.unwrap().others.is_empty());
}

/// Rule M1: after Delete a late Regenerate brings nothing back.
pub async fn m1_a_late_regenerate_brings_nothing_back<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let id = new_id();
    store.create(new_config(id)).await.unwrap();
    store.delete(id).await.unwrap();
    not_found(store.regenerate(id, secret()).await);
    assert!(load(&store, id).await.is_none());
    // Nor does it count.
    let revived = store.create(NewWebConfig { revive: true, ..new_config(id) }).await.unwrap();
    assert_eq!(revived.generation, Generation::new(2));
}

/// What the patch does not name stays, the secret and its generation above all.
pub async fn update_changes_what_the_patch_names<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let new = new_config(new_id());
    let mut expected = store.create(new.clone()).await.unwrap();
    let patches = [
        WebConfigPatch { name: Some("renamed".to_owned()), allowed_origins: None },
        WebConfigPatch {
            name: None,
            allowed_origins: Some(vec!["b.example".to_owned(), "a.example".to_owned()]),
        },
        WebConfigPatch { name: Some(String::new()), allowed_origins: Some(Vec::new()) },
        WebConfigPatch::default(),
    ];
    for patch in patches {
        let config = store.update(new.id, patch.clone()).await.unwrap();
        assert!(config.revision > expected.revision, "a patch that changes nothing is a change too");
        expected.name = patch.name.unwrap_or(expected.name);
        expected.allowed_origins = patch.allowed_origins.unwrap_or(expected.allowed_origins);
        expected.revision = config.revision;
        assert_eq!(config, expected);
        let stored = load(&store, new.id).await.unwrap();
        assert_eq!(stored.config, config);
        assert_eq!(stored.secret, new.secret);
    }
}

/// Neither an unknown nor a deleted web config can be changed.
pub async fn update_needs_a_web_config_that_lives<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let patch = WebConfigPatch { name: Some("renamed".to_owned()), allowed_origins: None };
    not_found(store.update(new_id(), patch.clone()).await);
    let id = new_id();
    store.create(new_config(id)).await.unwrap();
    store.delete(id).await.unwrap();
    not_found(store.update(id, patch).await);
    assert!(load(&store, id).await.is_none());
}

/// The second Delete finds nothing.
pub async fn delete_answers_its_revision_and_happens_once<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let kept = store.create(new_config(new_id())).await.unwrap();
    let gone = store.create(new_config(new_id())).await.unwrap();
    let revision = store.delete(gone.id).await.unwrap();
    assert!(revision > gone.revision);
    assert_eq!(revision, head(&store).await.revision);
    assert!(load(&store, gone.id).await.is_none());
    assert_eq!(load(&store, kept.id).await.unwrap().config, kept);
    not_found(store.delete(gone.id).await);
    not_found(store.delete(new_id()).await);
    assert_eq!(revision, head(&store).await.revision);
}

/// No revision is used up and nothing is logged.
pub async fn a_change_that_is_refused_leaves_no_trace<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let (living, ended) = (new_id(), new_id());
    store.create(new_config(living)).await.unwrap();
    store.create(new_config(ended)).await.unwrap();
    store.delete(ended).await.unwrap();
    let before = head(&store).await;
    store.create(new_config(living)).await.unwrap_err();
    store.create(new_config(ended)).await.unwrap_err();
    store.regenerate(ended, secret()).await.unwrap_err();
    store.update(ended, WebConfigPatch::default()).await.unwrap_err();
    store.delete(ended).await.unwrap_err();
    assert_eq!(head(&store).await, before);
    let next = store.regenerate(living, secret()).await.unwrap().config;
    let log = log_after(&store, before).await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].change, put(&next));
    assert_eq!(log[0].position.revision, next.revision);
    assert_eq!(store.living(None, 10).await.unwrap().living.len(), 1);
}

/// Names and origins are kept character by character, whatever they look like.
pub async fn text_is_kept_as_it_is<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let texts =
        ["", " ", "'; DROP TABLE web_configs; --", "\"\\\n\t", "Zoë 日本語 🦀", "%_*?", "\u{202e}x", "null"];
    for text in texts {
        let new = NewWebConfig {
            account_id: "'a\"%_".parse().unwrap(),
            context_id: "{c}\\$1".parse().unwrap(),
            name: text.to_owned(),
            allowed_origins: vec![text.to_owned(), "https://*.example.com".to_owned(), text.to_owned()],
            ..new_config(new_id())
        };
        let config = store.create(new.clone()).await.unwrap();
        assert_eq!((&config.name, &config.allowed_origins), (&new.name, &new.allowed_origins));
        assert_eq!(load(&store, new.id).await.unwrap().config, config);
        let patch =
            WebConfigPatch { name: Some(text.repeat(2)), allowed_origins: Some(vec![text.repeat(2)]) };
        let config = store.update(new.id, patch).await.unwrap();
        assert_eq!(
            (config.name.clone(), config.allowed_origins.clone()),
            (text.repeat(2), vec![text.repeat(2)])
        );
        assert_eq!(load(&store, new.id).await.unwrap().config, config);
    }
}
