use std::time::Duration;

use test_servers::{EtcdCluster, Fault, Proxy};
use tokio::time::sleep;
use voicegain_auth_core::WebConfigPatch;
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _};

use crate::cluster::{head, new_config, open, secret, soon, until_ok};

#[tokio::test(flavor = "multi_thread")]
async fn c4_compaction_at_the_present_changes_nothing() {
    let cluster = EtcdCluster::builder().members(1).fsync(false).start().unwrap();
    let store = open(&cluster.addresses()).await;
    let id = store.create(new_config()).await.unwrap().id;
    for _ in 0..3 {
        let begin = head(&store).await;
        cluster.compact().unwrap();
        let seen = begin.revision;
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.changed(seen).await }
        });
        let revision = store.regenerate(id, secret()).await.unwrap().config.revision;
        soon(waiting).await.unwrap();
        assert_eq!(head(&store).await.revision, revision);
        // The store's own log is not etcd's history.
        store.prove(begin, 10).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_one_moment_go_on_while_etcd_compacts_all_the_time() {
    let cluster = EtcdCluster::builder().members(1).fsync(false).start().unwrap();
    let store = open(&cluster.addresses()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(store.create(new_config()).await.unwrap().id);
    }
    let writing = tokio::spawn({
        let (store, id) = (store.clone(), ids[0]);
        async move {
            loop {
                store.update(id, WebConfigPatch::default()).await.unwrap();
            }
        }
    });
    for _ in 0..10 {
        cluster.compact().unwrap();
        // Three questions, the last two of the moment of the first.
        let regenerated = store.regenerate(ids[1], secret()).await.unwrap();
        assert_eq!(regenerated.others.len(), 2);
    }
    writing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_watch_that_fell_behind_a_compaction_begins_again() {
    let cluster = EtcdCluster::builder().members(1).fsync(false).start().unwrap();
    let proxy = Proxy::start(cluster.addresses()[0]).unwrap();
    let store = open(&[proxy.address()]).await;
    let writer = open(&cluster.addresses()).await;
    let id = writer.create(new_config()).await.unwrap().id;
    let begin = head(&store).await;
    proxy.set(Fault::BlackholeToClient);
    for _ in 0..5 {
        writer.regenerate(id, secret()).await.unwrap();
    }
    cluster.compact().unwrap();
    let last = writer.regenerate(id, secret()).await.unwrap().config.revision;
    proxy.set(Fault::None);
    // The feed would ask once in a while; that alone brings the watch to a new connection.
    until_ok(|| store.prove(begin, 100)).await;
    soon(store.changed(begin.revision)).await;
    assert_eq!(head(&store).await.revision, last);
    sleep(Duration::from_millis(100)).await;
    let revision = writer.regenerate(id, secret()).await.unwrap().config.revision;
    soon(store.changed(last)).await;
    assert_eq!(head(&store).await.revision, revision);
}
