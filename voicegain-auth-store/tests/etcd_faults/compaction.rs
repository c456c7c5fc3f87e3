use std::time::Duration;

use etcd_client::Client;
use test_servers::{EtcdCluster, Fault, Proxy};
use tokio::task::JoinSet;
use tokio::time::sleep;
use voicegain_auth_core::WebConfigPatch;
use voicegain_auth_core::store::{ChangeFeed as _, ListQuery, SecretStore as _};

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

/// Compacts to the present, again and again.
async fn compact_all_the_time(mut client: Client) {
    loop {
        let revision = client.get("any", None).await.unwrap().header().unwrap().revision();
        // It refuses if nothing has changed since the last time.
        let _ = client.compact(revision, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_one_moment_go_on_while_etcd_compacts_all_the_time() {
    let cluster = EtcdCluster::builder().members(1).fsync(false).start().unwrap();
    let store = open(&cluster.addresses()).await;
    let other = open(&cluster.addresses()).await;
    let mut ids = Vec::new();
    for _ in 0..70 {
        ids.push(store.create(new_config()).await.unwrap().id);
    }
    let mut around = JoinSet::new();
    around.spawn(compact_all_the_time(Client::connect(cluster.endpoints(), None).await.unwrap()));
    let id = ids[0];
    around.spawn(async move {
        loop {
            other.update(id, WebConfigPatch::default()).await.unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    });
    let query = ListQuery { account_id: Some("account".parse().unwrap()), limit: 100, ..Default::default() };
    for _ in 0..100 {
        // Several questions, all of the moment of the first.
        assert_eq!(store.list(query.clone()).await.unwrap().len(), ids.len());
    }
    let regenerated = store.regenerate(ids[1], secret()).await.unwrap();
    assert_eq!(regenerated.others.len(), ids.len() - 1);
    assert!(around.try_join_next().is_none(), "nobody has given up");
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
