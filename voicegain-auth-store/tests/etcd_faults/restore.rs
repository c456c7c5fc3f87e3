use voicegain_auth_core::store::{ChangeFeed as _, LogRead, SecretStore as _};

use crate::cluster::{
    beginning_with, cluster, head, is_proof_of_nothing, new_config, open, secret, soon, until_ok,
};

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_cluster_that_was_restored_does_not_hold_what_was_lost() {
    let cluster = cluster(3);
    let store = open(&beginning_with(&cluster, 0)).await;
    let id = store.create(new_config()).await.unwrap().id;
    let saved = head(&store).await;
    let snapshot = cluster.snapshot().unwrap();
    store.regenerate(id, secret()).await.unwrap();
    let lost = head(&store).await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(lost.revision).await }
    });
    cluster.restore(&snapshot).unwrap();

    // Whoever waits is told that there is something to look at.
    soon(waiting).await.unwrap();
    assert_eq!(until_ok(|| store.prove(lost, 10)).await, LogRead::Gone);
    assert!(is_proof_of_nothing(&until_ok(|| store.prove(saved, 10)).await));
    // The lost revision comes again, and is another one.
    let regenerated = until_ok(|| store.regenerate(id, secret())).await;
    assert_eq!(regenerated.config.revision, lost.revision);
    for read in [store.prove(lost, 10).await.unwrap(), store.read_log(lost, 10).await.unwrap()] {
        assert_eq!(read, LogRead::Gone);
    }
    let LogRead::Entries { entries, more: false } = store.prove(saved, 10).await.unwrap() else {
        panic!("the log does not go on from what was saved");
    };
    assert_eq!(entries.len(), 1);
}
