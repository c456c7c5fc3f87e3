//! Synchronous replication: what the promise rests on where a standby may be promoted.

use std::collections::BTreeMap;
use std::sync::Arc;

use test_servers::Postgres;
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _};
use voicegain_auth_core::{Day, Generation};
use voicegain_auth_store::postgres::PostgresStore;
use voicegain_auth_store::sealing::Sealing;

use crate::place::{
    blocking, entries, head, impatient, new_config, outcome_unknown, secret, soon, unavailable,
    until_it_works, url_of,
};

struct Pair {
    primary: Arc<Postgres>,
    standby: Arc<Postgres>,
    store: PostgresStore,
}

impl Pair {
    /// The database's own settings would do away with everything the promise rests on.
    async fn new() -> Self {
        let (primary, standby) = blocking(|| {
            let primary = Postgres::builder().fsync(false).start().unwrap();
            primary
                .execute(
                    "ALTER DATABASE postgres SET synchronous_commit = local; \
                     ALTER DATABASE postgres SET client_min_messages = error; \
                     ALTER DATABASE postgres SET statement_timeout = '100ms'",
                )
                .unwrap();
            let standby = primary.standby("s1").unwrap();
            primary.set("synchronous_standby_names", "s1").unwrap();
            (Arc::new(primary), Arc::new(standby))
        })
        .await;
        let store = impatient().open(&url_of(&primary), Sealing::Plain).await.unwrap();
        Self { primary, standby, store }
    }

    async fn lose_standby(&self) {
        let standby = Arc::clone(&self.standby);
        blocking(move || standby.pause().unwrap()).await;
    }

    async fn standby_returns(&self) {
        let standby = Arc::clone(&self.standby);
        blocking(move || standby.resume().unwrap()).await;
    }

    async fn execute(&self, sql: &'static str) -> String {
        let primary = Arc::clone(&self.primary);
        blocking(move || primary.execute(sql).unwrap()).await
    }
}

/// Rules C4 and M1: a primary that has lost its standby still delivers notifications, but proves nothing, and no
/// change returns from it.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_primary_without_its_standby_proves_nothing() {
    let pair = Pair::new().await;
    let store = &pair.store;
    let id = store.create(new_config()).await.unwrap().id;
    let at = head(store).await;
    assert!(entries(store.prove(at, 10).await.unwrap()).is_empty(), "the control");

    pair.lose_standby().await;
    // The control: what writes nothing is committed and delivered.
    pair.execute("NOTIFY voicegain_auth, '1000000'").await;
    soon(store.changed(at.revision)).await;
    for _ in 0..4 {
        unavailable(soon(store.prove(at, 10)).await, "");
    }
    outcome_unknown(soon(store.regenerate(id, secret())).await, "not acknowledged within");
    // That one still waits with the head in its hands: others change nothing.
    unavailable(soon(store.create(new_config())).await, "keeps the head of the change log locked");
    unavailable(soon(store.prove(at, 10)).await, "");
    // What waits is not visible, and there are no more who wait than is due.
    assert_eq!(soon(store.load(id)).await.unwrap().head, at.revision);
    let waiting: u32 = pair
        .execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        .await
        .parse()
        .unwrap();
    assert!(waiting <= 3, "{waiting} sessions wait for the standby");

    pair.standby_returns().await;
    // The change of unknown outcome was made, and shows once its own wait has ended.
    let shows = async || match store.prove(at, 10).await {
        Ok(read) if entries(read.clone()).is_empty() => Err("not yet".to_owned()),
        Ok(read) => Ok(entries(read)),
        Err(error) => Err(error.chain()),
    };
    assert_eq!(until_it_works(shows).await.len(), 1);
    assert_eq!(store.load(id).await.unwrap().value.unwrap().config.generation, Generation::new(2));
    until_it_works(async || store.create(new_config()).await).await;
}

/// When a token was last used is not worth a session that waits for the standby.
#[tokio::test(flavor = "multi_thread")]
async fn a_use_is_noted_without_the_standby() {
    let pair = Pair::new().await;
    let id = pair.store.create(new_config()).await.unwrap().id;
    pair.lose_standby().await;
    let uses = BTreeMap::from([(id, Day::new(20_000).unwrap())]);
    soon(pair.store.note_uses(uses.clone())).await.unwrap();
    assert_eq!(soon(pair.store.last_uses(vec![id])).await.unwrap(), uses);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    assert_eq!(pair.execute(waiting).await, "0");
    // And only that: a change waits as before.
    outcome_unknown(soon(pair.store.regenerate(id, secret())).await, "not acknowledged within");
}

/// Rule M1: a commit that was cancelled while it waited is there, and says so by a warning alone.
#[tokio::test(flavor = "multi_thread")]
async fn m1_a_cancelled_commit_has_not_returned() {
    let pair = Pair::new().await;
    let store = impatient()
        .commit_timeout(std::time::Duration::from_secs(30))
        .open(&url_of(&pair.primary), Sealing::Plain)
        .await
        .unwrap();
    let id = store.create(new_config()).await.unwrap().id;
    pair.lose_standby().await;
    for (how, why) in [
        (
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
            "came with a warning",
        ),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'", ""),
    ] {
        let change = tokio::spawn({
            let store = store.clone();
            async move { store.regenerate(id, secret()).await }
        });
        soon(async { while pair.execute(how).await.is_empty() {} }).await;
        outcome_unknown(soon(change).await.unwrap(), why);
    }
    // Both are there, though neither was acknowledged.
    assert_eq!(store.load(id).await.unwrap().value.unwrap().config.generation, Generation::new(3));
}

/// Rule C4: the old primary is cut off and still answers its clients, the standby has been promoted and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn c4_an_isolated_primary_cannot_prove_and_its_clients_move() {
    let (primary, standby, link) = blocking(|| {
        let primary = Postgres::builder().fsync(false).start().unwrap();
        let link = test_servers::Proxy::start(primary.address()).unwrap();
        let standby = primary.standby_through("s1", link.address()).unwrap();
        primary.set("synchronous_standby_names", "s1").unwrap();
        (Arc::new(primary), Arc::new(standby), link)
    })
    .await;
    let both =
        format!("postgres://postgres@{},{}/postgres?sslmode=disable", primary.address(), standby.address());
    let moves = impatient().open(&both, Sealing::Plain).await.unwrap();
    let stays = impatient().open(&url_of(&primary), Sealing::Plain).await.unwrap();
    let id = moves.create(new_config()).await.unwrap().id;
    let at = head(&moves).await;

    link.set(test_servers::Fault::Refuse);
    link.drop_connections();
    {
        let standby = Arc::clone(&standby);
        blocking(move || standby.promote().unwrap()).await;
    }
    let elsewhere = impatient().open(&url_of(&standby), Sealing::Plain).await.unwrap();
    let config = elsewhere.regenerate(id, secret()).await.unwrap().config;
    for _ in 0..3 {
        unavailable(soon(stays.prove(at, 10)).await, "");
    }
    // It still answers reads, which is why they prove nothing.
    assert_eq!(soon(stays.load(id)).await.unwrap().head, at.revision);
    let log = entries(until_it_works(async || moves.prove(at, 10).await).await);
    assert_eq!(log.last().unwrap().position.revision, config.revision);
    // Reads and changes move with the feed.
    assert_eq!(moves.load(id).await.unwrap().value.unwrap().config, config);
    let next = moves.regenerate(id, secret()).await.unwrap().config;
    assert_eq!(elsewhere.load(id).await.unwrap().value.unwrap().config, next);
}

/// Rule C4: with two standbys, one of which has been promoted, whether the old primary can vouch for itself is up to whether a
/// commit waits for both.
#[tokio::test(flavor = "multi_thread")]
async fn c4_with_two_standbys_a_commit_must_wait_for_both() {
    for (names, vouches) in
        [("FIRST 1 (s1, s2)", true), ("ANY 1 (s1, s2)", true), ("FIRST 2 (s1, s2)", false)]
    {
        let (primary, first, second) = blocking(move || {
            let primary = Postgres::builder().fsync(false).start().unwrap();
            let (first, second) = (primary.standby("s1").unwrap(), primary.standby("s2").unwrap());
            primary.set("synchronous_standby_names", names).unwrap();
            (primary, Arc::new(first), second)
        })
        .await;
        let stays = impatient().open(&url_of(&primary), Sealing::Plain).await.unwrap();
        let id = stays.create(new_config()).await.unwrap().id;
        let at = head(&stays).await;
        {
            let first = Arc::clone(&first);
            blocking(move || {
                first.promote().unwrap();
                first.set("synchronous_standby_names", "").unwrap();
            })
            .await;
        }
        let elsewhere = impatient().open(&url_of(&first), Sealing::Plain).await.unwrap();
        elsewhere.regenerate(id, secret()).await.unwrap();
        if vouches {
            // Which is why the documents ask for the last one.
            until_it_works(async || stays.prove(at, 10).await).await;
        } else {
            for _ in 0..3 {
                unavailable(soon(stays.prove(at, 10)).await, "");
            }
        }
        drop(second);
    }
}

/// Where a server is set to more than `on`, it stays so.
#[tokio::test(flavor = "multi_thread")]
async fn a_higher_level_of_the_servers_is_kept() {
    let pair = Pair::new().await;
    pair.execute("ALTER DATABASE postgres SET synchronous_commit = remote_apply").await;
    let store = impatient().open(&url_of(&pair.primary), Sealing::Plain).await.unwrap();
    let at = head(&store).await;
    {
        let standby = Arc::clone(&pair.standby);
        // It takes the log, and applies none of it.
        blocking(move || standby.execute("SELECT pg_wal_replay_pause()").unwrap()).await;
    }
    unavailable(soon(store.prove(at, 10)).await, "");
    {
        let standby = Arc::clone(&pair.standby);
        blocking(move || standby.execute("SELECT pg_wal_replay_resume()").unwrap()).await;
    }
    until_it_works(async || store.prove(at, 10).await).await;
}
