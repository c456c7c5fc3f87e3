//! Connections that break, hang, or are only half there.

use std::time::Duration;

use test_servers::{Fault, Postgres, Proxy};
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _};
use voicegain_auth_store::postgres::PostgresStore;
use voicegain_auth_store::sealing::Sealing;

use crate::place::{
    Place, blocking, entries, head, impatient, new_config, secret, soon, stranger, unavailable,
    until_it_works, url_of,
};

/// A store that reaches its database by way of a proxy.
async fn by_proxy(place: &Place) -> (Proxy, PostgresStore) {
    let shared = Postgres::shared().unwrap();
    let proxy = Proxy::start(shared.address()).unwrap();
    let url = format!("{}?sslmode=disable", shared.url_through(&place.database(), proxy.address()));
    (proxy, impatient().open(&url, Sealing::Plain).await.unwrap())
}

/// Rule V6: whatever is wrong between, calls end, and once it is over they work again.
#[tokio::test(flavor = "multi_thread")]
async fn v6_every_fault_is_noticed_and_got_over() {
    let place = Place::new(100).await;
    let (proxy, store) = by_proxy(&place).await;
    let direct = place.open_plain().await;
    let id = store.create(new_config()).await.unwrap().id;
    for fault in
        [Fault::Stall, Fault::BlackholeToClient, Fault::BlackholeToServer, Fault::Refuse, Fault::Reset]
    {
        let at = head(&store).await;
        proxy.set(fault);
        if matches!(fault, Fault::Refuse) {
            proxy.drop_connections();
        }
        unavailable(soon(store.prove(at, 10)).await, "");
        unavailable(soon(store.load(id)).await, "");
        unavailable(soon(store.read_log(at, 10)).await, "");
        soon(store.regenerate(id, secret())).await.unwrap_err();
        proxy.set(Fault::None);
        // What was missed is caught up with from where the feed was.
        let config = direct.regenerate(id, secret()).await.unwrap().config;
        let log = entries(until_it_works(async || store.prove(at, 10).await).await);
        assert_eq!(log.last().unwrap().position.revision, config.revision, "{fault:?}");
        assert_eq!(until_it_works(async || store.load(id).await).await.value.unwrap().config, config);
        until_it_works(async || store.regenerate(id, secret()).await).await;
    }
}

/// The other end is gone and says nothing: every connection of the pool, and the one that listens.
#[tokio::test(flavor = "multi_thread")]
async fn c1_half_open_connections_are_noticed_and_replaced() {
    let place = Place::new(100).await;
    let (proxy, store) = by_proxy(&place).await;
    let at = head(&store).await;
    let id = store.create(new_config()).await.unwrap().id;
    let seen = store.load(id).await.unwrap().head;
    proxy.forget_connections();
    let direct = place.open_plain().await;
    let config = direct.regenerate(id, secret()).await.unwrap().config;
    // Nothing is heard of that, until a proof is asked for.
    unavailable(soon(store.prove(at, 10)).await, "did not answer within");
    soon(store.changed(seen)).await;
    assert_eq!(entries(until_it_works(async || store.prove(at, 10).await).await).len(), 2);
    // The pool's are not tried in vain one by one.
    assert_eq!(soon(store.load(id)).await.unwrap().value.unwrap().config, config);
    soon(store.create(new_config())).await.unwrap();
}

/// Its other half, left behind at the server in the middle of a proof, does not stand in the way of the next proof.
#[tokio::test(flavor = "multi_thread")]
async fn c1_half_a_proof_is_swept_out_of_the_way() {
    let server = blocking(|| Postgres::builder().fsync(false).start().unwrap()).await;
    let proxy = Proxy::start(server.address()).unwrap();
    let url = format!("{}?sslmode=disable", server.url_through("postgres", proxy.address()));
    let store = impatient().lock_timeout(Duration::from_secs(30)).open(&url, Sealing::Plain).await.unwrap();
    let at = head(&store).await;
    store.prove(at, 10).await.unwrap();
    let stranger = stranger(&url_of(&server)).await;
    stranger.batch_execute("BEGIN; SELECT FROM voicegain_auth.heartbeats FOR UPDATE").await.unwrap();
    let proof = tokio::spawn({
        let store = store.clone();
        async move { store.prove(at, 10).await }
    });
    let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    soon(async { while stranger.query(waits, &[]).await.unwrap().is_empty() {} }).await;
    proxy.forget_connections();
    stranger.batch_execute("ROLLBACK").await.unwrap();
    unavailable(soon(proof).await.unwrap(), "did not answer within");
    until_it_works(async || store.prove(at, 10).await).await;
    let log = server.log();
    assert!(log.contains("terminating connection due to administrator command"), "{log}");
    assert!(!log.contains("idle-in-transaction timeout"), "the next proof waited for that: {log}");
}

/// Rule C1: a notification that was sent while nobody listened is made up for.
#[tokio::test(flavor = "multi_thread")]
async fn c1_whoever_waits_is_woken_after_a_break() {
    let place = Place::new(100).await;
    let (proxy, store) = by_proxy(&place).await;
    let direct = place.open_plain().await;
    let seen = head(&store).await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(seen.revision).await }
    });
    proxy.set(Fault::Refuse);
    proxy.drop_connections();
    direct.create(new_config()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    proxy.set(Fault::None);
    soon(waiting).await.unwrap();
    // And whoever begins to wait only now.
    soon(store.changed(seen.revision)).await;
    assert_eq!(entries(until_it_works(async || store.prove(seen, 10).await).await).len(), 1);
}

/// A future that was dropped has taken no notification with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_wait_loses_nothing() {
    let place = Place::new(100).await;
    let (store, direct) = (place.open_plain().await, place.open_plain().await);
    for _ in 0..20 {
        let seen = head(&store).await.revision;
        let dropped = tokio::spawn({
            let store = store.clone();
            async move { store.changed(seen).await }
        });
        direct.create(new_config()).await.unwrap();
        dropped.abort();
        soon(store.changed(seen)).await;
    }
}
