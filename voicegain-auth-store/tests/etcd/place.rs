//! One server for all tests of this program, and a prefix for each.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use etcd_client::{Client, GetOptions};
use serde_json::Value;
use test_servers::EtcdCluster;
use voicegain_auth_core::{NewWebConfig, Secret, WebConfigId};
use voicegain_auth_store::etcd::{EtcdOptions, EtcdStore};
use voicegain_auth_store::sealing::Sealing;

/// A place on the shared server.
pub(crate) struct Place {
    pub(crate) endpoint: SocketAddr,
    pub(crate) prefix: String,
    pub(crate) options: EtcdOptions,
}

impl Place {
    pub(crate) async fn new(log_capacity: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("/test/{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let endpoint = EtcdCluster::shared().unwrap().addresses()[0];
        Self { endpoint, prefix, options: EtcdOptions::new().log_capacity(log_capacity) }
    }

    pub(crate) fn url(&self) -> String {
        format!("etcd://{}{}", self.endpoint, self.prefix)
    }

    pub(crate) async fn open_plain(&self) -> EtcdStore {
        self.options.open(&self.url(), Sealing::Plain).await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect([self.endpoint.to_string()], None).await.unwrap()
    }

    /// Everything below the prefix: keys without it, and values.
    pub(crate) async fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let all = Some(GetOptions::new().with_prefix());
        let answer = self.client().await.get(format!("{}/", self.prefix), all).await.unwrap();
        let content = |kv: &etcd_client::KeyValue| {
            (kv.key_str().unwrap()[self.prefix.len() + 1..].to_owned(), kv.value().to_vec())
        };
        answer.kvs().iter().map(content).collect()
    }

    pub(crate) async fn read(&self, key: &str) -> Value {
        let answer = self.client().await.get(format!("{}/{key}", self.prefix), None).await.unwrap();
        serde_json::from_slice(answer.kvs()[0].value()).unwrap()
    }

    pub(crate) async fn write(&self, key: &str, value: &Value) {
        self.client().await.put(format!("{}/{key}", self.prefix), value.to_string(), None).await.unwrap();
    }
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
