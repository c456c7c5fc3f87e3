//! The store contract, for both stores of this workspace that need no server.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;
use voicegain_auth_core::store::{BoxError, StoreError};
use voicegain_auth_core::{MemoryStore, WebConfigId};
use voicegain_auth_store::contract::{Fixture, SealedFixture};
use voicegain_auth_store::sealing::{MasterKeys, Resealed, Retired, Sealing};
use voicegain_auth_store::sqlite::{SqliteOptions, SqliteStore};

struct Memory(MemoryStore);

impl Fixture for Memory {
    type Store = MemoryStore;

    async fn new(log_capacity: u32) -> Self {
        Self(MemoryStore::with_log_capacity(usize::try_from(log_capacity).unwrap()).unwrap())
    }

    async fn open(&self) -> MemoryStore {
        self.0.clone()
    }
}

/// A file in a directory of its own.
struct Sqlite {
    directory: TempDir,
    options: SqliteOptions,
}

impl Sqlite {
    fn place(options: SqliteOptions) -> Self {
        Self { directory: TempDir::new().unwrap(), options }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.db")
    }
}

struct Plain(Sqlite);

impl Fixture for Plain {
    type Store = SqliteStore;

    async fn new(log_capacity: u32) -> Self {
        Self(Sqlite::place(SqliteOptions::new().log_capacity(log_capacity)))
    }

    async fn open(&self) -> SqliteStore {
        self.0.options.open(self.0.path(), Sealing::Plain).unwrap()
    }
}

struct Sealed(Sqlite, MasterKeys);

impl Fixture for Sealed {
    type Store = SqliteStore;

    async fn new(log_capacity: u32) -> Self {
        let place = Sqlite::place(SqliteOptions::new().log_capacity(log_capacity));
        let keys = MasterKeys::generate_file(place.directory.path().join("master.keys")).unwrap();
        Self(place, keys)
    }

    async fn open(&self) -> SqliteStore {
        self.0.options.open(self.0.path(), self.1.clone().into()).unwrap()
    }
}

impl SealedFixture for Sqlite {
    type Store = SqliteStore;
    type Raw = (i64, Option<String>, Vec<u8>);

    async fn new() -> Self {
        Self::place(SqliteOptions::new())
    }

    async fn open_with(&self, sealing: Sealing) -> Result<SqliteStore, BoxError> {
        Ok(self.options.open(self.path(), sealing)?)
    }

    async fn holds_bytes(&self, bytes: &[u8]) -> bool {
        // The files beside the database too.
        fs::read_dir(self.directory.path()).unwrap().any(|file| {
            let content = fs::read(file.unwrap().path()).unwrap();
            content.windows(bytes.len()).any(|window| window == bytes)
        })
    }

    async fn raw_secret(&self, id: WebConfigId) -> Self::Raw {
        let sql = "SELECT secret_format, key_id, secret FROM web_configs WHERE id = ?1";
        let raw = Connection::open(self.path()).unwrap();
        raw.query_row(sql, [id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    }

    async fn put_raw_secret(&self, id: WebConfigId, (format, key_id, secret): Self::Raw) {
        let sql = "UPDATE web_configs SET secret_format = ?2, key_id = ?3, secret = ?4 WHERE id = ?1";
        let raw = Connection::open(self.path()).unwrap();
        assert_eq!(raw.execute(sql, (id.as_bytes(), format, key_id, secret)).unwrap(), 1);
    }

    async fn reseal(
        store: &SqliteStore,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Resealed, StoreError> {
        store.reseal(after, limit).await
    }

    async fn retire_keys(store: &SqliteStore) -> Result<Retired, StoreError> {
        store.retire_keys().await
    }

    async fn known_keys(store: &SqliteStore) -> Result<Vec<String>, StoreError> {
        store.known_keys().await
    }

    async fn adopt_keys(store: &SqliteStore, keys: &MasterKeys) -> Result<(), StoreError> {
        store.adopt_keys(keys).await
    }
}

mod memory {
    voicegain_auth_store::store_contract!(super::Memory);
}

mod sqlite {
    voicegain_auth_store::store_contract!(super::Plain);
}

mod sqlite_sealed {
    voicegain_auth_store::store_contract!(super::Sealed);
}

mod sqlite_sealing {
    voicegain_auth_store::sealed_store_contract!(super::Sqlite);
}
