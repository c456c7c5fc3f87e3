//! Servers that end, crash, and come back with what they had or with less.

use std::sync::Arc;

use test_servers::{Postgres, Shutdown};
use voicegain_auth_core::store::{ChangeFeed as _, LogRead, SecretStore as _};
use voicegain_auth_store::sealing::Sealing;

use crate::place::{
    blocking, entries, head, impatient, new_config, secret, soon, unavailable, until_it_works, url_of,
};

async fn server() -> Arc<Postgres> {
    blocking(|| Arc::new(Postgres::builder().fsync(true).start().unwrap())).await
}

async fn on<T: Send + 'static>(
    server: &Arc<Postgres>,
    work: impl FnOnce(&Postgres) -> T + Send + 'static,
) -> T {
    let server = Arc::clone(server);
    blocking(move || work(&server)).await
}

/// Rule C4: after a restart everything goes on from where it was.
#[tokio::test(flavor = "multi_thread")]
async fn c4_a_restart_and_a_crash_are_got_over() {
    let server = server().await;
    let store = impatient().open(&url_of(&server), Sealing::Plain).await.unwrap();
    let id = store.create(new_config()).await.unwrap().id;
    for round in 0..3 {
        let config = store.regenerate(id, secret()).await.unwrap().config;
        let at = head(&store).await;
        match round {
            0 => on(&server, |server| server.stop(Shutdown::Fast).unwrap()).await,
            1 => on(&server, |server| server.stop(Shutdown::Immediate).unwrap()).await,
            _ => on(&server, |server| server.kill().unwrap()).await,
        }
        unavailable(soon(store.prove(at, 10)).await, "");
        unavailable(soon(store.load(id)).await, "");
        unavailable(soon(store.regenerate(id, secret())).await, "");
        on(&server, |server| server.start_again().unwrap()).await;
        let log = entries(until_it_works(async || store.prove(at, 10).await).await);
        assert!(log.is_empty(), "nothing was changed, and nothing acknowledged is lost");
        // A connection that died meanwhile fails nobody.
        assert_eq!(store.load(id).await.unwrap().value.unwrap().config, config);
    }
    store.regenerate(id, secret()).await.unwrap();
}

/// A server that is stopped in its tracks: no answer, no proof; the change that waited may have been made.
#[tokio::test(flavor = "multi_thread")]
async fn v6_a_stopped_server_is_noticed_and_got_over() {
    let server = server().await;
    let store = impatient().open(&url_of(&server), Sealing::Plain).await.unwrap();
    let at = head(&store).await;
    on(&server, |server| server.pause().unwrap()).await;
    unavailable(soon(store.prove(at, 10)).await, "did not answer within");
    unavailable(soon(store.load(new_config().id)).await, "");
    unavailable(soon(store.create(new_config())).await, "");
    on(&server, |server| server.resume().unwrap()).await;
    assert!(entries(until_it_works(async || store.prove(at, 10).await).await).is_empty());
    until_it_works(async || store.create(new_config()).await).await;
}

/// Rule C4: a store that was put back to an older state is found out, also when it has gone on from there.
#[tokio::test(flavor = "multi_thread")]
async fn c4_an_older_state_is_gone() {
    let server = server().await;
    let store = impatient().open(&url_of(&server), Sealing::Plain).await.unwrap();
    let id = store.create(new_config()).await.unwrap().id;
    let old = head(&store).await;
    let backup = on(&server, |server| server.backup().unwrap()).await;
    store.regenerate(id, secret()).await.unwrap();
    let lost = head(&store).await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(lost.revision).await }
    });
    on(&server, move |server| server.restore_from(&backup).unwrap()).await;
    // No revision grew, and yet there is something to find out.
    soon(waiting).await.unwrap();
    assert_eq!(until_it_works(async || store.prove(lost, 10).await).await, LogRead::Gone);
    assert_eq!(head(&store).await, old);
    store.create(new_config()).await.unwrap();
    assert_eq!(head(&store).await.revision, lost.revision);
    for read in [store.prove(lost, 10).await.unwrap(), store.read_log(lost, 10).await.unwrap()] {
        assert_eq!(read, LogRead::Gone, "the same revision is another entry");
    }
    assert_eq!(entries(store.prove(old, 10).await.unwrap()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn v6_a_full_disk_is_called_that_and_got_over() {
    let server =
        blocking(|| Postgres::builder().setting("wal_recycle", "off").disk_size(120 << 20).start()).await;
    // Only root can have a disk of its own.
    let Ok(server) = server.map(Arc::new) else { return };
    let store = impatient().open(&url_of(&server), Sealing::Plain).await.unwrap();
    let at = head(&store).await;
    on(&server, |server| server.fill_disk().unwrap()).await;
    let mut refused = None;
    for _ in 0..2_000 {
        let big = voicegain_auth_core::NewWebConfig { name: "x".repeat(100_000), ..new_config() };
        if let Err(error) = soon(store.create(big)).await {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.expect("the disk is not full");
    // Without space for its log the server ends, and then it is the connection that is missed.
    let said = refused.chain();
    assert!(said.contains("the disk of the database is full") || said.contains("connection"), "{said}");
    on(&server, |server| {
        server.free_disk().unwrap();
        // The server may have ended over it.
        let _ = server.start_again();
    })
    .await;
    until_it_works(async || store.create(new_config()).await).await;
    assert!(matches!(until_it_works(async || store.prove(at, 1).await).await, LogRead::Entries { .. }));
}
