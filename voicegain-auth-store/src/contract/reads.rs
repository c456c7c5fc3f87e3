use voicegain_auth_core::store::{ChangeFeed as _, ListQuery, Living, Scope, SecretStore as _, StoreError};
use voicegain_auth_core::{NewWebConfig, Secret, StoredWebConfig, WebConfig, WebConfigId};

use super::fixture::{
    Fixture, head, ids_in_order, load, new_config, new_config_of, new_id, not_found, secret, snapshot, store,
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
    assert!(empty.living.is_empty() && empty.next.is_none());
    let ids = ids_in_order(7);
    for (number, id) in ids.iter().enumerate().rev() {
        let (account, context) = (["a", "b"][number % 2], ["x", "y", "z"][number % 3]);
        store.create(new_config_of(account, context, *id)).await.unwrap();
    }
    store.delete(ids[2]).await.unwrap();
    store.regenerate(ids[4], secret()).await.unwrap();
    let mut expected = Vec::new();
    for id in &ids {
        if let Some(stored) = load(&store, *id).await {
            expected.push(Living {
                id: *id,
                position: stored.position(),
                generation: stored.config.generation,
                account_id: stored.config.account_id,
                context_id: stored.config.context_id,
            });
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
            found.extend(page.living);
            let Some(next) = page.next else { break };
            assert_eq!(
                found.last().map(|living| living.id),
                Some(next),
                "nothing there has ended, limit {limit}"
            );
            after = Some(next);
        }
        assert_eq!(found, expected, "limit {limit}");
    }
    let least = store.living(None, 0).await.unwrap();
    assert_eq!((least.living.len(), least.next), (1, Some(ids[0])), "limit 0");
}

/// However many have ended, a page of them leads on: it need not be full, but no two pages are the same.
pub async fn c7_pages_lead_past_what_has_ended<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let ids = ids_in_order(12);
    for (number, id) in ids.iter().enumerate() {
        let context = if (2..9).contains(&number) { "ended" } else { "kept" };
        store.create(new_config_of("account", context, *id)).await.unwrap();
    }
    store.end(Scope::Context("account".parse().unwrap(), "ended".parse().unwrap())).await.unwrap();
    let kept: Vec<_> = [0, 1, 9, 10, 11].map(|number| ids[number]).to_vec();
    for limit in [1, 2, 3, 5, 12, 13] {
        for from in [None, Some(ids[1]), Some(ids[4]), Some(ids[11])] {
            let expected: Vec<_> = kept.iter().copied().filter(|id| Some(*id) > from).collect();
            let (mut found, mut after) = (Vec::new(), from);
            loop {
                let page = store.living(after, limit).await.unwrap();
                assert!(page.living.len() <= limit);
                found.extend(page.living.iter().map(|living| living.id));
                let Some(next) = page.next else { break };
                assert!(Some(next) > after && found.last().is_none_or(|last| *last <= next), "limit {limit}");
                after = Some(next);
            }
            assert_eq!(found, expected, "living, limit {limit}, after {from:?}");
            let (mut found, mut after) = (Vec::new(), from);
            loop {
                let page = store.load_page(after, limit).await.unwrap().value;
                assert!(page.stored.len() <= limit);
                found.extend(page.stored.iter().map(|stored| stored.config.id));
                let Some(next) = page.next else { break };
                assert!(Some(next) > after && found.last().is_none_or(|last| *last <= next), "limit {limit}");
                after = Some(next);
            }
            assert_eq!(found, expected, "load_page, limit {limit}, after {from:?}");
        }
    }
}

/// All that live, with their secrets, page by page.
pub async fn c3_load_page_answers_secrets_with_the_head<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let empty = store.load_page(None, 10).await.unwrap();
    assert!(empty.value.stored.is_empty() && empty.value.next.is_none());
    assert_eq!(empty.head, head(&store).await.revision);
    let ids = ids_in_order(9);
    for (number, id) in ids.iter().enumerate().rev() {
        let context = ["kept", "ended"][number % 2];
        store.create(new_config_of("account", context, *id)).await.unwrap();
    }
    store.delete(ids[2]).await.unwrap();
    store.end(Scope::Context("account".parse().unwrap(), "ended".parse().unwrap())).await.unwrap();
    store.regenerate(ids[4], secret()).await.unwrap();
    let revived = NewWebConfig { revive: true, ..new_config_of("account", "ended", ids[7]) };
    store.create(revived).await.unwrap();
    let mut expected = Vec::new();
    for number in [0, 4, 6, 7, 8] {
        expected.push(load(&store, ids[number]).await.unwrap());
    }
    let head = head(&store).await.revision;
    let shown = |stored: &StoredWebConfig| (stored.config.clone(), stored.secret.clone(), stored.entry);
    let expected: Vec<_> = expected.iter().map(shown).collect();
    for limit in [1, 2, 4, 5, 6, usize::MAX] {
        let (mut found, mut after): (Vec<_>, Option<WebConfigId>) = (Vec::new(), None);
        loop {
            let page = store.load_page(after, limit).await.unwrap();
            assert_eq!(page.head, head);
            assert!(page.value.stored.len() <= limit);
            found.extend(page.value.stored.iter().map(shown));
            after = page.value.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "limit {limit}");
    }
    assert_eq!(store.load_page(None, 0).await.unwrap().value.stored.len(), 1, "limit 0");
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
    shown += &format!("{:?}", store.load_page(None, 10).await);
    store.delete(new.id).await.unwrap();
    let late = store.regenerate(new.id, marked()).await;
    shown += &format!("{late:?}");
    not_found(late);
    for part in [MARK.to_owned(), format!("{:?}", MARK.as_bytes()).trim_matches(['[', ']']).to_owned()] {
        assert!(!shown.contains(&part), "{shown}");
    }
}
