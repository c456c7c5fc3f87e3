use std::fmt::Write as _;

use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::{BoxError, StoreError};
use voicegain_auth_store::contract::{Fixture, SealedFixture};
use voicegain_auth_store::postgres::PostgresStore;
use voicegain_auth_store::sealing::{MasterKeys, Resealed, Retired, Sealing};

use crate::place::Place;

struct Plain(Place);

impl Fixture for Plain {
    type Store = PostgresStore;

    async fn new(log_capacity: u32) -> Self {
        Self(Place::new(log_capacity).await)
    }

    async fn open(&self) -> PostgresStore {
        self.0.open_plain().await
    }
}

struct Sealed(Place, MasterKeys);

impl Fixture for Sealed {
    type Store = PostgresStore;

    async fn new(log_capacity: u32) -> Self {
        let keys = MasterKeys::parse("key-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        Self(Place::new(log_capacity).await, keys)
    }

    async fn open(&self) -> PostgresStore {
        self.0.options.open(&self.0.url, self.1.clone().into()).await.unwrap()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The columns of a record that are its secret, as literals.
#[derive(Clone)]
pub(crate) struct RawSecret(String);

impl SealedFixture for Place {
    type Store = PostgresStore;
    type Raw = RawSecret;

    async fn new() -> Self {
        Self::new(100_000).await
    }

    async fn open_with(&self, sealing: Sealing) -> Result<PostgresStore, BoxError> {
        Ok(self.options.open(&self.url, sealing).await?)
    }

    async fn holds_bytes(&self, bytes: &[u8]) -> bool {
        let mut contents = String::new();
        for table in [
            "log_head",
            "change_log",
            "web_configs",
            "ended_web_configs",
            "ended_scopes",
            "sealing",
            "master_keys",
        ] {
            contents += &self.execute(format!("SELECT t::text FROM voicegain_auth.{table} t")).await;
        }
        // Text as it is, bytea in hexadecimal digits.
        let as_text = std::str::from_utf8(bytes).is_ok_and(|text| contents.contains(text));
        as_text || contents.contains(&hex(bytes))
    }

    async fn raw_secret(&self, id: WebConfigId) -> RawSecret {
        let columns = "secret_format || ', ' || quote_nullable(key_id) || ', ' || quote_literal(secret)";
        RawSecret(
            self.execute(format!("SELECT {columns} FROM voicegain_auth.web_configs WHERE id = '{id}'")).await,
        )
    }

    async fn put_raw_secret(&self, id: WebConfigId, raw: RawSecret) {
        let RawSecret(values) = raw;
        let set = format!("(secret_format, key_id, secret) = ROW ({values})");
        self.execute(format!("UPDATE voicegain_auth.web_configs SET {set} WHERE id = '{id}'")).await;
    }

    async fn reseal(
        store: &PostgresStore,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Resealed, StoreError> {
        store.reseal(after, limit).await
    }

    async fn retire_keys(store: &PostgresStore) -> Result<Retired, StoreError> {
        store.retire_keys().await
    }

    async fn known_keys(store: &PostgresStore) -> Result<Vec<String>, StoreError> {
        store.known_keys().await
    }

    async fn adopt_keys(store: &PostgresStore, keys: &MasterKeys) -> Result<(), StoreError> {
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
