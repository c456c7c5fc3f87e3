use etcd_client::{AlarmAction, AlarmType, Client};
use test_servers::EtcdCluster;
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _, StoreError};
use voicegain_auth_core::{NewWebConfig, WebConfigPatch};
use voicegain_auth_store::etcd::EtcdStore;
use voicegain_auth_store::sealing::Sealing;

use crate::cluster::{cluster, head, is_proof_of_nothing, new_config, open, secret};

#[tokio::test(flavor = "multi_thread")]
async fn v6_without_space_changes_say_what_to_do_and_reading_goes_on() {
    let cluster = cluster(1);
    let store = open(&cluster.addresses()).await;
    let created = store.create(new_config()).await.unwrap();
    let at = head(&store).await;
    let mut client = Client::connect(cluster.endpoints(), None).await.unwrap();
    client.alarm(AlarmAction::Activate, AlarmType::Nospace, None).await.unwrap();

    let error = store.regenerate(created.id, secret()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.chain().contains("etcdctl alarm disarm"), "{}", error.chain());
    assert_eq!(store.load(created.id).await.unwrap().value.unwrap().config, created);
    assert!(is_proof_of_nothing(&store.prove(at, 10).await.unwrap()), "proofs need no space");
    assert!(matches!(store.delete(new_config().id).await, Err(StoreError::NotFound)));

    cluster.etcdctl(&["alarm", "disarm"]).unwrap();
    store.regenerate(created.id, secret()).await.unwrap();
}

/// A change that is under way when the quota is used up is made, and answered as if it had been refused. Where that happens is
/// up to etcd, so many do it at once.
#[tokio::test(flavor = "multi_thread")]
async fn m1_a_change_that_used_up_the_space_is_not_called_undone() {
    const STORES: usize = 24;
    let cluster = EtcdCluster::builder().members(1).fsync(false).setting("quota-backend-bytes", "3145728");
    let cluster = cluster.start().unwrap();
    let addresses = cluster.addresses();
    let changing = (0..STORES).map(|number| {
        let url = format!("etcd://{}/store-{number}", addresses[0]);
        tokio::spawn(async move {
            let store = EtcdStore::open(&url, Sealing::Plain).await.unwrap();
            let mut last =
                store.create(NewWebConfig { name: "x".repeat(5_000), ..new_config() }).await.unwrap();
            loop {
                match store.regenerate(last.id, secret()).await {
                    Ok(regenerated) => last = regenerated.config,
                    Err(StoreError::Unavailable(_)) => {
                        assert_eq!(store.load(last.id).await.unwrap().value.unwrap().config, last);
                        return;
                    }
                    Err(error) => panic!("the outcome can be known: {error:?}"),
                }
            }
        })
    });
    for task in changing.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_and_leaves_no_trace() {
    let cluster = cluster(1);
    let store = open(&cluster.addresses()).await;
    let id = store.create(new_config()).await.unwrap().id;
    let at = head(&store).await;
    // One that etcd looks at, and one that does not even get there.
    for length in [1_700_000, 5_000_000] {
        let patch = WebConfigPatch { name: Some("x".repeat(length)), ..Default::default() };
        let error = store.update(id, patch).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(error.chain().contains("--max-request-bytes"), "{}", error.chain());
    }
    assert_eq!(head(&store).await, at);
    let patch = WebConfigPatch { name: Some("x".repeat(1_000_000)), ..Default::default() };
    store.update(id, patch).await.unwrap();
    assert_eq!(store.load(id).await.unwrap().value.unwrap().config.name.len(), 1_000_000);
}
