//! The way to the members.

use std::time::Duration;

use test_servers::{Fault, Proxy};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use voicegain_auth_core::store::{ChangeFeed as _, Regenerated, SecretStore as _, StoreError};
use voicegain_auth_core::{WebConfigId, WebConfigPatch};
use voicegain_auth_store::etcd::EtcdStore;

use crate::cluster::{
    assert_unavailable, cluster, head, is_proof_of_nothing, new_config, open, secret, soon, until_ok,
};

const FAULTS: [Fault; 5] =
    [Fault::BlackholeToClient, Fault::BlackholeToServer, Fault::Stall, Fault::Refuse, Fault::Reset];

/// Rule M1: what is said of each change is true, whatever is lost on the way.
#[tokio::test(flavor = "multi_thread")]
async fn m1_each_change_has_happened_once_not_at_all_or_is_called_unknown() {
    let cluster = cluster(1);
    let proxy = Proxy::start(cluster.addresses()[0]).unwrap();
    let store = open(&[proxy.address()]).await;
    let direct = open(&cluster.addresses()).await;
    let id = store.create(new_config()).await.unwrap().id;
    for round in 0..25_u64 {
        let before = generation(&direct, id).await;
        proxy.set(Fault::Delay(Duration::from_millis(20)));
        let change = regenerating(&store, id);
        // At another moment of the change each time.
        sleep(Duration::from_millis(round * 8)).await;
        proxy.set(FAULTS[usize::try_from(round).unwrap() % FAULTS.len()]);
        sleep(Duration::from_millis(600)).await;
        proxy.set(Fault::None);
        let outcome = soon(change).await.unwrap();
        // Copies that are still under way come to nothing once something else has changed.
        until_ok(|| direct.update(id, WebConfigPatch::default())).await;
        let after = generation(&direct, id).await;
        match outcome {
            Ok(regenerated) => {
                assert_eq!(
                    (after, regenerated.config.generation.get()),
                    (before + 1, after),
                    "round {round}"
                );
            }
            Err(StoreError::OutcomeUnknown(_)) => {
                assert!(after == before || after == before + 1, "round {round}");
            }
            Err(StoreError::Unavailable(_)) => assert_eq!(after, before, "round {round}"),
            Err(error) => panic!("round {round}: {}", error.chain()),
        }
        until_ok(|| store.load(id)).await;
    }
}

async fn generation(store: &EtcdStore, id: WebConfigId) -> u64 {
    store.load(id).await.unwrap().value.unwrap().config.generation.get()
}

type Regenerating = JoinHandle<Result<Regenerated, StoreError>>;

fn regenerating(store: &EtcdStore, id: WebConfigId) -> Regenerating {
    let store = store.clone();
    tokio::spawn(async move { store.regenerate(id, secret()).await })
}

/// A change that has happened, and whose answer is lost for certain.
async fn unanswered(store: &EtcdStore, direct: &EtcdStore, id: WebConfigId, proxy: &Proxy) -> Regenerating {
    loop {
        let before = generation(direct, id).await;
        proxy.set(Fault::Delay(Duration::from_millis(100)));
        let change = regenerating(store, id);
        while generation(direct, id).await == before {}
        // The answer is still being held, and lost as soon as it no longer is.
        proxy.set(Fault::BlackholeToClient);
        sleep(Duration::from_millis(250)).await;
        if !change.is_finished() {
            return change;
        }
        // This machine was too slow.
        proxy.set(Fault::None);
        change.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_a_change_whose_answer_was_lost_is_found_out_and_not_made_again() {
    let cluster = cluster(1);
    let proxy = Proxy::start(cluster.addresses()[0]).unwrap();
    let store = open(&[proxy.address()]).await;
    let direct = open(&cluster.addresses()).await;
    let id = store.create(new_config()).await.unwrap().id;
    for others_went_on in [false, true] {
        let change = unanswered(&store, &direct, id, &proxy).await;
        let happened = head(&direct).await;
        let generation = generation(&direct, id).await;
        if others_went_on {
            direct.update(id, WebConfigPatch::default()).await.unwrap();
        }
        proxy.set(Fault::None);
        let config = soon(change).await.unwrap().unwrap().config;
        assert_eq!((config.revision, config.generation.get()), (happened.revision, generation));
        let since = head(&direct).await.revision.get() - happened.revision.get();
        assert_eq!(since, u64::from(others_went_on), "it was made once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m1_a_change_whose_outcome_cannot_be_found_out_is_called_unknown() {
    let cluster = cluster(1);
    let proxy = Proxy::start(cluster.addresses()[0]).unwrap();
    let store = open(&[proxy.address()]).await;
    let direct = open(&cluster.addresses()).await;
    let id = store.create(new_config()).await.unwrap().id;
    let change = unanswered(&store, &direct, id, &proxy).await;
    let error = soon(change).await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error:?}");
    assert!(error.chain().contains("did not answer"), "{}", error.chain());
    // What has not even begun is not unknown.
    assert_unavailable(soon(store.regenerate(id, secret())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_half_open_connection_is_noticed_and_replaced() {
    let cluster = cluster(1);
    let proxy = Proxy::start(cluster.addresses()[0]).unwrap();
    let store = open(&[proxy.address()]).await;
    let writer = open(&cluster.addresses()).await;
    let id = writer.create(new_config()).await.unwrap().id;
    for _ in 0..3 {
        let at = head(&store).await;
        proxy.forget_connections();
        // The first question may be lost; it is asked again over a new connection by itself.
        assert!(is_proof_of_nothing(&soon(store.prove(at, 10)).await.unwrap()));
        // And so is the watch.
        let revision = writer.regenerate(id, secret()).await.unwrap().config.revision;
        while head(&store).await.revision < revision {
            soon(store.changed(at.revision)).await;
        }
        soon(store.changed(at.revision)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_member_behind_a_black_hole_is_left_for_another() {
    let cluster = cluster(3);
    for fault in FAULTS {
        let proxy = Proxy::start(cluster.addresses()[0]).unwrap();
        let store = open(&[proxy.address(), cluster.addresses()[1], cluster.addresses()[2]]).await;
        let id = store.create(new_config()).await.unwrap().id;
        let at = head(&store).await;
        proxy.set(fault);
        assert!(is_proof_of_nothing(&soon(store.prove(at, 10)).await.unwrap()));
        soon(store.regenerate(id, secret())).await.unwrap();
        // All members are known to be there, so that one failure costs no more than one patience.
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.changed(at.revision).await }
        });
        soon(waiting).await.unwrap();
    }
}
