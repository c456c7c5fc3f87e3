use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::{BoxError, StoreError};
use voicegain_auth_store::contract::{Fixture, SealedFixture};
use voicegain_auth_store::etcd::EtcdStore;
use voicegain_auth_store::sealing::{MasterKeys, Resealed, Retired, Sealing};

use crate::place::Place;

struct Plain(Place);

impl Fixture for Plain {
    type Store = EtcdStore;

    async fn new(log_capacity: u32) -> Self {
        Self(Place::new(log_capacity).await)
    }

    async fn open(&self) -> EtcdStore {
        self.0.open_plain().await
    }
}

struct Sealed(Place, MasterKeys);

impl Fixture for Sealed {
    type Store = EtcdStore;

    async fn new(log_capacity: u32) -> Self {
        let keys = MasterKeys::parse("key-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        Self(Place::new(log_capacity).await, keys)
    }

    async fn open(&self) -> EtcdStore {
        self.0.options.open(&self.0.url(), self.1.clone().into()).await.unwrap()
    }
}

/// The parts of a record that are its secret.
#[derive(Clone)]
pub(crate) struct RawSecret(Arc<[(&'static str, Option<Value>)]>);

impl SealedFixture for Place {
    type Store = EtcdStore;
    type Raw = RawSecret;

    async fn new() -> Self {
        Self::new(100_000).await
    }

    async fn open_with(&self, sealing: Sealing) -> Result<EtcdStore, BoxError> {
        Ok(self.options.open(&self.url(), sealing).await?)
    }

    async fn holds_bytes(&self, bytes: &[u8]) -> bool {
        // As they are, or as any of the three ways in which base64 may show them.
        let in_base64 = |skipped: usize| {
            let whole = &bytes[skipped..skipped + (bytes.len() - skipped) / 3 * 3];
            BASE64_STANDARD.encode(whole).into_bytes()
        };
        let forms = [bytes.to_vec(), in_base64(0), in_base64(1), in_base64(2)];
        let holds = |text: &[u8]| {
            forms.iter().any(|form| text.windows(form.len()).any(|window| window == form.as_slice()))
        };
        self.contents().await.iter().any(|(key, value)| holds(key.as_bytes()) || holds(value))
    }

    async fn raw_secret(&self, id: WebConfigId) -> RawSecret {
        let record = self.read(&format!("configs/{id}")).await;
        let parts = ["secret_format", "key_id", "secret"];
        RawSecret(parts.iter().map(|part| (*part, record.get(part).cloned())).collect())
    }

    async fn put_raw_secret(&self, id: WebConfigId, raw: RawSecret) {
        let key = format!("configs/{id}");
        let mut record = self.read(&key).await;
        let members = record.as_object_mut().unwrap();
        for (part, value) in raw.0.iter() {
            match value {
                Some(value) => members.insert((*part).to_owned(), value.clone()),
                None => members.remove(*part),
            };
        }
        self.write(&key, &record).await;
    }

    async fn reseal(
        store: &EtcdStore,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Resealed, StoreError> {
        store.reseal(after, limit).await
    }

    async fn retire_keys(store: &EtcdStore) -> Result<Retired, StoreError> {
        store.retire_keys().await
    }

    async fn known_keys(store: &EtcdStore) -> Result<Vec<String>, StoreError> {
        store.known_keys().await
    }

    async fn adopt_keys(store: &EtcdStore, keys: &MasterKeys) -> Result<(), StoreError> {
        store.adopt_keys(keys).await
    }
}

mod plain {
    voicegain_auth_store::store_contract!(super::Plain);
}

mod sealed {
    voicegain_auth_store::store_contract!(super::Sealed);
}

mod sealing {
    voicegain_auth_store::sealed_store_contract!(super::Place);
}
