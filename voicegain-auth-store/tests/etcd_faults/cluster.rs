//! What the tests have in common.

use std::net::SocketAddr;
use std::time::Duration;

use test_servers::EtcdCluster;
use tokio::time::{Instant, sleep, timeout};
use voicegain_auth_core::store::{ChangeFeed as _, LogPosition, LogRead, StoreError};
use voicegain_auth_core::{NewWebConfig, Secret, WebConfigId};
use voicegain_auth_store::etcd::EtcdStore;
use voicegain_auth_store::sealing::Sealing;

/// Guards against hanging. It decides no test.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("should have ended long ago")
}

/// Tries until it succeeds.
pub(crate) async fn until_ok<T, R>(mut attempt: impl FnMut() -> R) -> T
where
    R: Future<Output = Result<T, StoreError>>,
{
    let begun = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) if begun.elapsed() > PATIENCE => panic!("{}", error.chain()),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

pub(crate) fn cluster(members: usize) -> EtcdCluster {
    EtcdCluster::builder().members(members).fsync(false).start().unwrap()
}

/// The URL of the store `/store` at these members, in this order.
pub(crate) fn url(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    format!("etcd://{}/store", addresses.join(","))
}

pub(crate) async fn open(addresses: &[SocketAddr]) -> EtcdStore {
    EtcdStore::open(&url(addresses), Sealing::Plain).await.unwrap()
}

/// All members, this one first.
pub(crate) fn beginning_with(cluster: &EtcdCluster, first: usize) -> Vec<SocketAddr> {
    let mut addresses = cluster.addresses();
    addresses.rotate_left(first);
    addresses
}

pub(crate) fn secret() -> Secret {
    Secret::generate().unwrap()
}

pub(crate) fn new_config() -> NewWebConfig {
    NewWebConfig {
        id: WebConfigId::generate().unwrap(),
        account_id: "account".parse().unwrap(),
        context_id: "context".parse().unwrap(),
        name: "name".to_owned(),
        allowed_origins: Vec::new(),
        secret: secret(),
        revive: false,
    }
}

pub(crate) async fn head(store: &EtcdStore) -> LogPosition {
    store.living(None, 0).await.unwrap().head
}

/// Whether this says that nothing has happened since.
pub(crate) fn is_proof_of_nothing(read: &LogRead) -> bool {
    matches!(read, LogRead::Entries { entries, more: false } if entries.is_empty())
}

pub(crate) fn assert_unavailable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
}
