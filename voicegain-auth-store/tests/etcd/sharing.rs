//! Several handles, tasks and runtimes at one store.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;
use voicegain_auth_core::store::{ChangeFeed as _, Revision, SecretStore as _, StoreError};
use voicegain_auth_core::{Generation, WebConfigPatch};
use voicegain_auth_store::sealing::{MasterKeys, Sealing};

use crate::place::{Place, new_config, secret};

#[tokio::test(flavor = "multi_thread")]
async fn m1_sixteen_regenerates_at_once_on_two_handles_all_count() {
    let place = Place::new(1_000).await;
    let handles = [place.open_plain().await, place.open_plain().await];
    let id = handles[0].create(new_config()).await.unwrap().id;
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let store = handles[number % 2].clone();
        tasks.spawn(async move {
            let secret = secret();
            let config = store.regenerate(id, secret.clone()).await.unwrap().config;
            (config.generation, secret)
        });
    }
    let mut done = tasks.join_all().await;
    done.sort_by_key(|(generation, _)| *generation);
    let generations: Vec<_> = done.iter().map(|(generation, _)| generation.get()).collect();
    assert_eq!(generations, (2..=17).collect::<Vec<_>>());
    let stored = handles[1].load(id).await.unwrap().value.unwrap();
    assert_eq!(stored.config.generation, Generation::new(17));
    assert_eq!(stored.secret, done.pop().unwrap().1, "the last one's secret is the one that counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_a_change_whose_caller_has_gone_is_made_whole_or_not_at_all() {
    let place = Place::new(1_000).await;
    let store = place.open_plain().await;
    let id = store.create(new_config()).await.unwrap().id;
    for _ in 0..20 {
        let mut change = pin!(store.regenerate(id, secret()));
        poll_fn(|context| {
            let _ = change.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    let generation = async || store.load(id).await.unwrap().value.unwrap().config.generation;
    let all = async {
        while generation().await < Generation::new(21) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), all).await.unwrap();
    let last = store.regenerate(id, secret()).await.unwrap().config;
    assert_eq!(last.generation, Generation::new(22));
    assert_eq!(last.revision.get(), 22, "one log entry each");
}

/// A change that was prepared before a secret was sealed anew must not put the old one back: its key may be
/// dropped soon.
#[tokio::test(flavor = "multi_thread")]
async fn sealed_an_update_does_not_undo_sealing_anew() {
    const OLD: &str = "old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "new:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let place = Place::new(1_000).await;
    let open = async |keys: String| {
        let sealing = Sealing::Keys(MasterKeys::parse(&keys).unwrap());
        place.options.open(&place.url(), sealing).await.unwrap()
    };
    let before = open(format!("{OLD}\n{NEW}")).await;
    let after = open(format!("{NEW}\n{OLD}")).await;
    for round in 0..40 {
        let id = before.create(new_config()).await.unwrap().id;
        let stop = Arc::new(AtomicBool::new(false));
        let updating = tokio::spawn({
            let (store, stop) = (before.clone(), Arc::clone(&stop));
            async move {
                while !stop.load(Ordering::SeqCst) {
                    store.update(id, WebConfigPatch::default()).await.unwrap();
                }
            }
        });
        while after.reseal(None, 1_000).await.unwrap().resealed == 0 {}
        stop.store(true, Ordering::SeqCst);
        updating.await.unwrap();
        assert_eq!(place.read(&format!("configs/{id}")).await["key_id"], "new", "round {round}");
        before.delete(id).await.unwrap();
    }
}

#[test]
fn the_store_works_on_its_own_runtime_whoever_asks() {
    let own = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_place, store) = own.block_on(async {
        let place = Place::new(1_000).await;
        let store = place.open_plain().await;
        (place, store)
    });
    // One without I/O and time, as an executor that is not tokio's would be.
    let other = Builder::new_current_thread().build().unwrap();
    other.block_on(async {
        let created = store.create(new_config()).await.unwrap();
        store.changed(Revision::new(created.revision.get() - 1)).await;
        assert!(store.load(created.id).await.unwrap().value.is_some());
    });
    own.shutdown_background();
    other.block_on(async {
        let error = store.load(new_config().id).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        let error = store.update(new_config().id, WebConfigPatch::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_nobody_holds_any_more_does_not_watch() {
    let place = Place::new(1_000).await;
    let store = place.open_plain().await;
    let clone = store.clone();
    drop(store);
    let seen = clone.living(None, 0).await.unwrap().head.revision;
    let (watching, changed) = (clone.clone(), tokio::spawn(async move { clone.changed(seen).await }));
    watching.create(new_config()).await.unwrap();
    timeout(Duration::from_secs(60), changed).await.unwrap().unwrap();
}
