//! What transactions do to each other.

use std::time::Duration;

use test_servers::{Fault, Postgres, Proxy};
use tokio::task::JoinSet;
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _};
use voicegain_auth_core::{Generation, WebConfigPatch};
use voicegain_auth_store::sealing::Sealing;

use crate::place::{
    Place, blocking, entries, head, impatient, new_config, outcome_unknown, secret, soon, stranger,
    unavailable, url_of,
};

const HOLD_HEAD: &str = "BEGIN; SELECT FROM voicegain_auth.log_head FOR UPDATE";

/// Rule C3: no number is left out and none is visible before a lower one, though the transactions overlap.
#[tokio::test(flavor = "multi_thread")]
async fn c3_revisions_follow_one_another_in_the_order_of_commits() {
    let place = Place::new(10_000).await;
    let store = place.open_plain().await;
    let begin = head(&store).await;
    let stranger = stranger(&place.url).await;
    stranger.batch_execute(HOLD_HEAD).await.unwrap();
    let mut changes = JoinSet::new();
    for _ in 0..3 {
        let store = place.open_plain().await;
        changes.spawn(async move { store.create(new_config()).await.unwrap().revision.get() });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(head(&store).await, begin, "all of them wait for the head");
    stranger.batch_execute("COMMIT").await.unwrap();
    let mut revisions = soon(changes.join_all()).await;
    // A change that fails in its transaction uses none up.
    store.update(new_config().id, WebConfigPatch::default()).await.unwrap_err();
    revisions.push(store.create(new_config()).await.unwrap().revision.get());
    revisions.sort_unstable();
    let expected: Vec<_> = (begin.revision.get() + 1..).take(4).collect();
    assert_eq!(revisions, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn v6_a_head_that_stays_locked_is_not_available_and_nothing_changes() {
    let place = Place::new(100).await;
    let store = impatient().open(&place.url, Sealing::Plain).await.unwrap();
    // Rule C7: at most ten proofs a second.
    assert_eq!(store.proof_interval(), Duration::from_millis(100));
    let at = head(&store).await;
    let stranger = stranger(&place.url).await;
    stranger.batch_execute(HOLD_HEAD).await.unwrap();
    unavailable(soon(store.create(new_config())).await, "keeps the head of the change log locked");
    // Neither reads nor proofs wait for changes.
    assert_eq!(entries(soon(store.prove(at, 10)).await.unwrap()), []);
    assert_eq!(soon(store.load(new_config().id)).await.unwrap().head, at.revision);
    stranger.batch_execute("ROLLBACK").await.unwrap();
    let created = store.create(new_config()).await.unwrap();
    assert_eq!(created.revision.get(), at.revision.get() + 1);
}

/// A process that is stopped while it holds the head is thrown out by the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_process_does_not_keep_the_head() {
    let place = Place::new(100).await;
    let shared = Postgres::shared().unwrap();
    let proxy = Proxy::start(shared.address()).unwrap();
    let by_proxy = format!("{}?sslmode=disable", shared.url_through(&place.database(), proxy.address()));
    let stops =
        place.options.clone().lock_timeout(Duration::from_secs(30)).open(&by_proxy, Sealing::Plain).await;
    let (stops, goes_on) = (stops.unwrap(), place.options.clone().lock_timeout(Duration::from_secs(30)));
    let goes_on = goes_on.open(&place.url, Sealing::Plain).await.unwrap();
    let id = stops.create(new_config()).await.unwrap().id;
    // It gets as far as the row, with the head in its hands.
    let stranger = stranger(&place.url).await;
    let hold_row = format!("BEGIN; SELECT FROM voicegain_auth.web_configs WHERE id = '{id}' FOR UPDATE");
    stranger.batch_execute(&hold_row).await.unwrap();
    let regenerate = tokio::spawn({
        let stops = stops.clone();
        async move { stops.regenerate(id, secret()).await }
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while place.execute(waits).await == "0" {}
    proxy.set(Fault::Stall);
    stranger.batch_execute("ROLLBACK").await.unwrap();

    let regenerated = soon(goes_on.regenerate(id, secret())).await.unwrap();
    assert_eq!(regenerated.config.generation, Generation::new(2));
    proxy.set(Fault::Reset);
    proxy.drop_connections();
    unavailable(soon(regenerate).await.unwrap(), "");
    assert_eq!(goes_on.load(id).await.unwrap().value.unwrap().config, regenerated.config);
}

/// What is begun is carried through.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_no_half_of_a_change() {
    let place = Place::new(100).await;
    let store = place.open_plain().await;
    let id = store.create(new_config()).await.unwrap().id;
    for delay in [0, 1, 2, 5, 10] {
        let limit = Duration::from_millis(delay);
        let _ = tokio::time::timeout(limit, store.regenerate(id, secret())).await;
    }
    store.regenerate(id, secret()).await.unwrap();
    // Each of them comes to its end, in some order.
    let all = Generation::new(7);
    soon(async { while store.load(id).await.unwrap().value.unwrap().config.generation != all {} }).await;
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND state LIKE 'idle in transaction%'";
    soon(async { while place.execute(idle).await != "0" {} }).await;
}

/// Worker threads with a runtime each: the store stays on its own.
#[test]
fn another_runtime_may_ask() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let own = runtime();
    let (place, store) = own.block_on(async {
        let place = Place::new(100).await;
        let store = place.open_plain().await;
        (place, store)
    });
    for _ in 0..3 {
        // Gone after each round, and with it all that it had spawned.
        runtime().block_on(async {
            let at = head(&store).await;
            let created = store.create(new_config()).await.unwrap();
            soon(store.changed(at.revision)).await;
            assert_eq!(entries(store.prove(at, 10).await.unwrap()).len(), 1);
            assert_eq!(store.load(created.id).await.unwrap().value.unwrap().config, created);
        });
    }
    let at = own.block_on(head(&store));
    drop(own);
    runtime().block_on(async {
        unavailable(store.load(new_config().id).await, "runtime");
        unavailable(store.prove(at, 1).await, "runtime");
        outcome_unknown(store.create(new_config()).await, "runtime");
    });
    drop(place);
}

/// A notification that never comes, on a connection that is alive.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_deaf_connection_is_made_anew() {
    let place = Place::new(100).await;
    let store = place.open_plain().await;
    let mut at = head(&store).await;
    let listens = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query <> '' \
         AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = 'voicegain-auth') \
         ORDER BY backend_start";
    store.prove(at, 10).await.unwrap();
    let before = place.execute(listens).await;
    // As the store does it, but for the notification.
    place
        .execute(
            "WITH moved AS (UPDATE voicegain_auth.log_head SET revision = revision + 1, entry = gen_random_uuid() \
                 RETURNING revision, entry) \
             INSERT INTO voicegain_auth.change_log (revision, entry, kind, account_id) \
             SELECT revision, entry, 'ended', 'nobody' FROM moved",
        )
        .await;
    let seen = at.revision;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(seen).await }
    });
    // Found all the same, as without a notification.
    let log = entries(store.prove(at, 10).await.unwrap());
    assert_eq!(log.len(), 1);
    at = log.last().unwrap().position;
    assert!(!waiting.is_finished());
    assert_eq!(entries(store.prove(at, 10).await.unwrap()), []);
    soon(waiting).await.unwrap();
    assert_eq!(entries(soon(store.prove(at, 10)).await.unwrap()), []);
    assert_ne!(place.execute(listens).await, before);
}

/// What is written with every proof and every change stays where it is.
#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_and_the_head_do_not_grow() {
    // Of its own: what goes on in other databases keeps old versions from being cleared away.
    let server = blocking(|| Postgres::builder().fsync(false).start().unwrap()).await;
    let store = impatient().log_capacity(10).open(&url_of(&server), Sealing::Plain).await.unwrap();
    let id = store.create(new_config()).await.unwrap().id;
    for _ in 0..1_000 {
        store.update(id, WebConfigPatch::default()).await.unwrap();
        store.prove(head(&store).await, 1).await.unwrap();
    }
    // Their versions would fill eight pages each.
    for table in ["heartbeats", "log_head"] {
        let size = server.execute(&format!("SELECT pg_relation_size('voicegain_auth.{table}')")).unwrap();
        assert!(size.parse::<u64>().unwrap() <= 4 * 8_192, "{table} takes {size} bytes");
    }
    assert_eq!(server.execute("SELECT count(*) FROM voicegain_auth.change_log").unwrap(), "11");
}
