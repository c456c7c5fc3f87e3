//! Members that die, pause, or are cut off from the others.

use std::time::Duration;

use etcd_client::Client;
use test_servers::EtcdCluster;
use tokio::time::sleep;
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::{
    ChangeFeed as _, LogPosition, LogRead, Revision, SecretStore as _, StoreError,
};
use voicegain_auth_store::etcd::EtcdStore;

use crate::cluster::{
    assert_unavailable, beginning_with, cluster, head, is_proof_of_nothing, new_config, open, secret, soon,
    until_ok,
};

/// Regenerates until it has succeeded so often; what was acknowledged must have happened once each, in order.
async fn regenerate_through(store: EtcdStore, id: WebConfigId, successes: usize) {
    let (mut last, mut unknown, mut acknowledged) = (1, 0, 0);
    while acknowledged < successes {
        match store.regenerate(id, secret()).await {
            Ok(regenerated) => {
                let generation = regenerated.config.generation.get();
                assert!(
                    generation > last && generation <= last + 1 + unknown,
                    "{last} {unknown} {generation}"
                );
                (last, unknown) = (generation, 0);
                acknowledged += 1;
            }
            Err(StoreError::OutcomeUnknown(_)) => unknown += 1,
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{}", error.chain()),
        }
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_a_leader_that_is_killed_costs_no_change_and_doubles_none() {
    let cluster = cluster(3);
    let leader = cluster.leader().unwrap();
    let store = open(&beginning_with(&cluster, leader)).await;
    let id = store.create(new_config()).await.unwrap().id;
    let writing = tokio::spawn(regenerate_through(store.clone(), id, 300));
    sleep(Duration::from_millis(300)).await;
    cluster.kill(leader).unwrap();
    soon(writing).await.unwrap();
    assert_ne!(cluster.leader().unwrap(), leader);
    let at = until_ok(async || Ok(head(&store).await)).await;
    assert!(is_proof_of_nothing(&until_ok(|| store.prove(at, 10)).await));
}

/// Rule C4: etcd before 3.4.42 may answer a linearizable read from the past by such a member (issue 20418).
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_leader_that_was_paused_does_not_vouch_for_the_past() {
    let cluster = cluster(3);
    let mut id = None;
    for _ in 0..4 {
        let leader = cluster.leader().unwrap();
        let all = open(&beginning_with(&cluster, leader)).await;
        let alone = open(&cluster.addresses()[leader..=leader]).await;
        let id = match id {
            Some(id) => id,
            None => *id.insert(all.create(new_config()).await.unwrap().id),
        };
        let before = head(&alone).await;
        assert!(is_proof_of_nothing(&alone.prove(before, 10).await.unwrap()));

        cluster.pause(leader).unwrap();
        // Asked of the paused one: answered, if at all, once it goes on.
        let asked = tokio::spawn({
            let alone = alone.clone();
            async move { alone.prove(before, 10).await }
        });
        let regenerated = until_ok(|| all.regenerate(id, secret())).await;
        let later = tokio::spawn({
            let alone = alone.clone();
            async move { until_ok(|| alone.prove(before, 10)).await }
        });
        sleep(Duration::from_millis(50)).await;
        cluster.resume(leader).unwrap();
        let later = soon(later).await.unwrap();
        let LogRead::Entries { entries, more: false } = later else { panic!("{later:?}") };
        assert_eq!(entries.last().unwrap().position.revision, regenerated.config.revision);
        // This one was asked before the change returned, so that either answer is true.
        if let Ok(read) = soon(asked).await.unwrap() {
            assert!(matches!(read, LogRead::Entries { more: false, .. }), "{read:?}");
        }
    }
}

/// Rule C4, and what it costs: an entry in the members' log, and no revision that would have to be kept.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_proof_goes_through_the_members_log_and_leaves_no_revision() {
    let cluster = cluster(1);
    let store = open(&cluster.addresses()).await;
    // Rule C7: at most ten of them a second.
    assert_eq!(store.proof_interval(), Duration::from_millis(100));
    let at = head(&store).await;
    let mut client = Client::connect(cluster.endpoints(), None).await.unwrap();
    let mut status = async || {
        let status = client.status().await.unwrap();
        (status.raft_index(), status.header().unwrap().revision())
    };
    let (begin, revision) = status().await;
    for _ in 0..100 {
        store.prove(at, 10).await.unwrap();
    }
    let (proved, after) = status().await;
    // The members have a few entries of their own.
    assert!(proved - begin >= 100, "{begin} {proved}");
    assert_eq!(after, revision);
    for _ in 0..100 {
        store.read_log(at, 10).await.unwrap();
    }
    let (read, after) = status().await;
    assert!(read - proved < 10, "the quick road costs nothing: {proved} {read}");
    assert_eq!(after, revision);
}

async fn nothing_is_answered(store: &EtcdStore, at: LogPosition, id: WebConfigId) {
    let all = async {
        tokio::join!(
            store.prove(at, 10),
            store.read_log(at, 10),
            store.load(id),
            store.regenerate(id, secret())
        )
    };
    let (prove, read_log, load, regenerate) = soon(all).await;
    assert_unavailable(prove);
    assert_unavailable(read_log);
    assert_unavailable(load);
    assert_unavailable(regenerate);
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_member_that_is_cut_off_can_prove_nothing() {
    let cluster = cluster(3);
    for cut_off_the_leader in [false, true] {
        let leader = cluster.leader().unwrap();
        let cut_off = if cut_off_the_leader { leader } else { (leader + 1) % 3 };
        let alone = open(&cluster.addresses()[cut_off..=cut_off]).await;
        let all = open(&beginning_with(&cluster, cut_off)).await;
        let id = all.create(new_config()).await.unwrap().id;
        let before = head(&alone).await;
        cluster.isolate(cut_off).unwrap();

        // The others go on, and who knows them too is served by them.
        let regenerated = until_ok(|| all.regenerate(id, secret())).await;
        nothing_is_answered(&alone, before, id).await;

        cluster.rejoin(cut_off).unwrap();
        let LogRead::Entries { entries, more: false } = until_ok(|| alone.prove(before, 10)).await else {
            panic!("the log does not go on");
        };
        let revisions: Vec<_> = entries.iter().map(|entry| entry.position.revision).collect();
        assert_eq!(revisions, [regenerated.config.revision]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v6_without_a_majority_nothing_is_answered_and_with_it_all_goes_on() {
    let cluster = cluster(3);
    let store = open(&cluster.addresses()).await;
    let id = store.create(new_config()).await.unwrap().id;
    let before = head(&store).await;
    cluster.kill(1).unwrap();
    cluster.kill(2).unwrap();
    nothing_is_answered(&store, before, id).await;
    cluster.start_again(1).unwrap();
    cluster.start_again(2).unwrap();
    assert!(is_proof_of_nothing(&until_ok(|| store.prove(before, 10)).await), "nothing had happened");
    let regenerated = until_ok(|| store.regenerate(id, secret())).await;
    assert_eq!(regenerated.config.revision, Revision::new(before.revision.get() + 1));
}

/// Waiting is woken by the new watch, and by what it then hears.
async fn is_woken(store: &EtcdStore, writer: &EtcdStore, id: WebConfigId) {
    let seen = until_ok(|| store.living(None, 0)).await.head.revision;
    let revision = until_ok(|| writer.regenerate(id, secret())).await.config.revision;
    while until_ok(|| store.living(None, 0)).await.head.revision < revision {
        soon(store.changed(seen)).await;
    }
    soon(store.changed(seen)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_the_watch_moves_over_when_its_member_dies_or_pauses() {
    let cluster: EtcdCluster = cluster(3);
    let store = open(&beginning_with(&cluster, 0)).await;
    let writer = open(&beginning_with(&cluster, 1)).await;
    let id = store.create(new_config()).await.unwrap().id;
    is_woken(&store, &writer, id).await;
    cluster.pause(0).unwrap();
    is_woken(&store, &writer, id).await;
    cluster.resume(0).unwrap();
    cluster.kill(1).unwrap();
    is_woken(&store, &writer, id).await;
}
