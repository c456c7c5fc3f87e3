//! More than fits into one answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::{Txn, TxnOp};
use serde_json::json;
use test_servers::EtcdCluster;
use voicegain_auth_core::store::{
    ChangeFeed as _, ListQuery, Regenerated, Revision, Scope, SecretStore as _,
};
use voicegain_auth_core::{AccountId, Generation, NewWebConfig, WebConfig, WebConfigId, WebConfigPatch};
use voicegain_auth_store::etcd::{EtcdOptions, EtcdStore};

use crate::place::{Place, new_config, secret};

const COUNT: usize = 2_500;

/// Copies of a web config under new ids, written past the store. Those of account `b` are the odd ones.
async fn fill(place: &Place, pattern: WebConfigId) -> Vec<WebConfigId> {
    let record = place.read(&format!("configs/{pattern}")).await;
    let born = record["born"].clone();
    let mut ids: Vec<_> = (0..COUNT).map(|_| WebConfigId::generate().unwrap()).collect();
    ids.sort();
    let mut client = place.client().await;
    for (number, ids) in ids.chunks(50).enumerate() {
        let account = ["a", "b"][number % 2];
        let mut record = record.clone();
        record["account"] = json!(account);
        let puts: Vec<_> = ids
            .iter()
            .flat_map(|id| {
                let index = format!("{}/contexts/{account}/context/{id}", place.prefix);
                let value = json!({ "v": 1, "born": born });
                [
                    TxnOp::put(format!("{}/configs/{id}", place.prefix), record.to_string(), None),
                    TxnOp::put(index, value.to_string(), None),
                ]
            })
            .collect();
        client.txn(Txn::new().and_then(puts)).await.unwrap();
    }
    ids
}

/// All that live, by the listing and by loading.
async fn living(store: &EtcdStore) -> usize {
    let (mut listed, mut after) = (0, None);
    loop {
        let page = store.living(after, usize::MAX).await.unwrap();
        listed += page.living.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut loaded = 0;
    loop {
        let page = store.load_page(after, usize::MAX).await.unwrap().value;
        loaded += page.stored.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, loaded);
    listed
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_an_end_counts_and_hides_whatever_there_is() {
    let place = Place::new(1_000).await;
    let store = place.open_plain().await;
    let new = NewWebConfig { account_id: "a".parse().unwrap(), ..new_config() };
    let pattern = store.create(new).await.unwrap().id;
    fill(&place, pattern).await;
    assert_eq!(living(&store).await, COUNT + 1);
    let page = store.living(None, 900).await.unwrap();
    assert!(page.living.len() == 900 && page.next == page.living.last().map(|living| living.id));
    let of_a = ListQuery { account_id: Some("a".parse().unwrap()), limit: usize::MAX, ..Default::default() };
    assert_eq!(store.list(of_a.clone()).await.unwrap().len(), COUNT / 2 + 1);

    let ended = store.end(Scope::Account("a".parse().unwrap())).await.unwrap();
    assert_eq!(ended.web_configs, u64::try_from(COUNT / 2 + 1).unwrap());
    assert!(store.list(of_a).await.unwrap().is_empty());
    // Whole pages of what has ended hold nothing, and lead on.
    let of_50 = store.living(None, 50).await.unwrap();
    assert!(of_50.living.is_empty() && of_50.next.is_some());
    assert_eq!(living(&store).await, COUNT / 2);
    let again = store.end(Scope::Account("a".parse().unwrap())).await.unwrap();
    assert_eq!(again.web_configs, 0);
}

/// Whatever others do meanwhile, and however many web configs there are beside it, one that has to go goes.
#[tokio::test(flavor = "multi_thread")]
async fn m1_regenerate_gets_its_turn_among_many_and_beside_others() {
    let place = Place::new(100_000).await;
    let store = place.open_plain().await;
    let pattern =
        store.create(NewWebConfig { account_id: "a".parse().unwrap(), ..new_config() }).await.unwrap();
    fill(&place, pattern.id).await;
    let (other, elsewhere) =
        (place.open_plain().await, NewWebConfig { context_id: "elsewhere".parse().unwrap(), ..new_config() });
    let elsewhere = other.create(elsewhere).await.unwrap().id;
    let busy = tokio::spawn(async move {
        loop {
            other.update(elsewhere, WebConfigPatch::default()).await.unwrap();
        }
    });
    for generation in 2..5 {
        let regenerated = store.regenerate(pattern.id, secret()).await.unwrap();
        assert_eq!(regenerated.config.generation, Generation::new(generation));
        assert_eq!(regenerated.others.len(), COUNT / 2);
    }
    busy.abort();
}

/// Rule M1: it names the others as they are at its revision, also where they change while it is made.
#[tokio::test(flavor = "multi_thread")]
async fn m1_regenerate_names_the_others_as_they_are_then() {
    let place = Place::new(100_000).await;
    let store = place.open_plain().await;
    let new = || NewWebConfig { account_id: "a".parse().unwrap(), ..new_config() };
    let pattern = store.create(new()).await.unwrap();
    fill(&place, pattern.id).await;
    let other = place.open_plain().await;
    let over = Arc::new(AtomicBool::new(false));
    // One comes and one goes, so that there is always one or two of them.
    let busy = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let mut made = Vec::new();
            let mut last: Option<WebConfig> = None;
            while !over.load(Ordering::SeqCst) {
                let config = other.create(new()).await.unwrap();
                made.push((config.id, config.revision, None));
                if let Some(before) = last.replace(config) {
                    let deleted = other.delete(before.id).await.unwrap();
                    made.iter_mut().find(|(id, ..)| *id == before.id).unwrap().2 = Some(deleted);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            made
        }
    });
    let mut regenerated = Vec::new();
    for _ in 0..4 {
        regenerated.push(store.regenerate(pattern.id, secret()).await.unwrap());
    }
    over.store(true, Ordering::SeqCst);
    let made = busy.await.unwrap();
    for Regenerated { config, others } in regenerated {
        let there = |id| others.iter().any(|other| other.id == id);
        let lived = |(_, from, to): &&(WebConfigId, Revision, Option<Revision>)| {
            *from < config.revision && to.is_none_or(|to| to > config.revision)
        };
        let living: Vec<_> = made.iter().filter(lived).map(|(id, ..)| *id).collect();
        assert!(living.iter().all(|id| there(*id)), "one that lives is missing");
        assert_eq!(others.len(), COUNT / 2 + living.len(), "one too many");
    }
}

/// How many transactions the server has answered so far.
fn transactions(place: &Place) -> u64 {
    let mut server = TcpStream::connect(place.endpoint).unwrap();
    server.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut metrics = String::new();
    server.read_to_string(&mut metrics).unwrap();
    let of =
        |line: &&str| line.starts_with("grpc_server_handled_total{") && line.contains(r#"grpc_method="Txn""#);
    metrics.lines().filter(of).map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// However many bulk ends there have been, and wherever, a page of the listing takes a few questions.
#[tokio::test(flavor = "multi_thread")]
async fn c7_a_page_takes_few_questions_however_many_ends_there_have_been() {
    let cluster = EtcdCluster::start(1).unwrap();
    let place =
        Place { endpoint: cluster.addresses()[0], prefix: "/alone".to_owned(), options: EtcdOptions::new() };
    let store = place.open_plain().await;
    for number in 0..300 {
        let account_id: AccountId = format!("account-{number}").parse().unwrap();
        store.create(NewWebConfig { account_id: account_id.clone(), ..new_config() }).await.unwrap();
        if number % 4 == 0 {
            store.end(Scope::Account(account_id)).await.unwrap();
        }
    }
    let before = transactions(&place);
    assert_eq!(store.living(None, 1_000).await.unwrap().living.len(), 225);
    assert!((1..=4).contains(&(transactions(&place) - before)), "{}", transactions(&place) - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_more_markers_than_one_answer_takes_all_count() {
    let place = Place::new(1_000).await;
    let store = place.open_plain().await;
    let name = |number: usize| format!("account-{number}");
    let mut ids = Vec::new();
    for number in 0..160 {
        let new = NewWebConfig { account_id: name(number).parse().unwrap(), ..new_config() };
        ids.push(store.create(new).await.unwrap().id);
        let account = name(number).parse().unwrap();
        let scope = match number % 4 {
            // Those that stay; the others' markers come before and after theirs.
            0 => continue,
            1 => Scope::Context(account, "context".parse().unwrap()),
            _ => Scope::Account(account),
        };
        assert_eq!(store.end(scope).await.unwrap().web_configs, 1, "{number}");
    }
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(store.load(*id).await.unwrap().value.is_some(), number % 4 == 0, "{number}");
    }
    let living: Vec<_> = store.living(None, 1_000).await.unwrap().living;
    assert_eq!(living.len(), 40);
    // Each of these begins with fewer markers known than there are.
    for number in [3, 4] {
        let query =
            ListQuery { account_id: Some(name(number).parse().unwrap()), limit: 10, ..Default::default() };
        assert_eq!(store.list(query).await.unwrap().len(), usize::from(number == 4));
    }
    let revived = NewWebConfig { id: ids[159], revive: true, ..new_config() };
    assert_eq!(store.create(revived).await.unwrap().generation.get(), 2);
    assert!(store.load(ids[159]).await.unwrap().value.is_some());
}
