use voicegain_auth_core::store::{ChangeFeed as _, ListQuery, SecretStore as _, StoreError};
use voicegain_auth_core::{NewWebConfig, Secret, WebConfig, WebConfigId};

use super::fixture::{
    Fixture, head, ids_in_order, load, new_config, new_id, not_found, secret, snapshot, store,
};

/// Rule C3: the head in the answer is the log's, whether or not the web config is there.
pub async fn load_answers_the_heads_revision<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let (id, unknown) = (new_id(), new_id());
    assert_eq!(snapshot(&store, unknown).await.head, head(&store).await.revision);
    let created = store.create(new_config(id)).await.unwrap();
    assert_eq!(snapshot(&store, id).await.head, created.revision);
    let other = store.create(new_config(new_id())).await.unwrap();
    assert_eq!(snapshot(&store, id).await.head, other.revision);
    assert_eq!(snapshot(&store, id).await.value.unwrap().config.revision, created.revision);
    let deleted = store.delete(id).await.unwrap();
    let gone = snapshot(&store, id).await;
    assert_eq!(gone.head, deleted);
    assert!(gone.value.is_none());
    assert_eq!(snapshot(&store, unknown).await.head, deleted);
}

/// By account, by context, by both; in the order of ids; page by page.
pub async fn list_filters_and_pages<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let ids = ids_in_order(12);
    let mut all = Vec::new();
    for (number, id) in ids.iter().enumerate().rev() {
        let new = NewWebConfig {
            account_id: ["a", "A"][number % 2].parse().unwrap(),
            context_id: ["x", "y", "xy"][number % 3].parse().unwrap(),
            ..new_config(*id)
        };
        all.insert(0, store.create(new).await.unwrap());
    }
    store.delete(all.remove(6).id).await.unwrap();

    for account in [None, Some("a"), Some("A"), Some("b")] {
        for context in [None, Some("x"), Some("y"), Some("X")] {
            for limit in [1, 2, 100, usize::MAX] {
                let expected: Vec<WebConfig> = all
                    .iter()
                    .filter(|config| account.is_none_or(|account| config.account_id.as_str() == account))
                    .filter(|config| context.is_none_or(|context| config.context_id.as_str() == context))
                    .cloned()
                    .collect();
                let mut query = ListQuery {
                    account_id: account.map(|account| account.parse().unwrap()),
                    context_id: context.map(|context| context.parse().unwrap()),
                    after: None,
                    limit,
                };
                let mut found = Vec::new();
                loop {
                    let page = store.list(query.clone()).await.unwrap();
                    assert!(page.len() <= limit);
                    let Some(last) = page.last() else { break };
                    query.after = Some(last.id);
                    found.extend(page);
                }
                assert_eq!(found, expected, "account {account:?}, context {context:?}, limit {limit}");
            }
        }
    }
    assert!(store.list(ListQuery::default()).await.unwrap().is_empty(), "limit 0");
}

/// All that live, in the order of ids, each page with the head it was read at.
pub async fn living_pages_with_the_head<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let empty = store.living(None, 10).await.unwrap();
    assert!(empty.living.is_empty() && !empty.more);
    let ids = ids_in_order(7);
    for id in ids.iter().rev() {
        store.create(new_config(*id)).await.unwrap();
    }
    store.delete(ids[2]).await.unwrap();
    store.regenerate(ids[4], secret()).await.unwrap();
    let mut expected = Vec::new();
    for id in &ids {
        if let Some(stored) = load(&store, *id).await {
            expected.push((*id, stored.config.revision, stored.config.generation));
        }
    }
    assert_eq!(expected.len(), 6);
    let head = head(&store).await;
    for limit in [1, 2, 5, 6, 7, usize::MAX] {
        let (mut found, mut after): (Vec<_>, Option<WebConfigId>) = (Vec::new(), None);
        loop {
            let page = store.living(after, limit).await.unwrap();
            assert_eq!(page.head, head);
            assert!(page.living.len() <= limit);
            after = page.living.last().map(|living| living.id).or(after);
            found.extend(
                page.living.iter().map(|living| (living.id, living.position.revision, living.generation)),
            );
            assert_eq!(page.more, found.len() < expected.len(), "limit {limit}");
            if !page.more {
                break;
            }
        }
        assert_eq!(found, expected, "limit {limit}");
    }
    let nothing = store.living(None, 0).await.unwrap();
    assert!(nothing.living.is_empty() && nothing.more);
}

/// Neither what the store answers nor its errors show a secret.
pub async fn nothing_shows_a_secret<F: Fixture>() {
    const MARK: &str = "0123456789-this-must-not-be-shown";
    let (_place, store) = store::<F>().await;
    let marked = || Secret::from_bytes(MARK.as_bytes()).unwrap();
    let new = NewWebConfig { secret: marked(), ..new_config(new_id()) };
    let mut shown = format!("{:?}", store.create(new.clone()).await);
    let refused: StoreError = store.create(new.clone()).await.unwrap_err();
    shown += &format!("{refused:?} {}", refused.chain());
    shown += &format!("{:?}", store.regenerate(new.id, marked()).await);
    shown += &format!("{:?}", snapshot(&store, new.id).await);
    store.delete(new.id).await.unwrap();
    let late = store.regenerate(new.id, marked()).await;
    shown += &format!("{late:?}");
    not_found(late);
    for part in [MARK.to_owned(), format!("{:?}", MARK.as_bytes()).trim_matches(['[', ']']).to_owned()] {
        assert!(!shown.contains(&part), "{shown}");
    }
}
