//! The store contract, for both stores of this workspace that need no server.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;
use voicegain_auth_core::MemoryStore;
use voicegain_auth_store::contract::Fixture;
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

struct Sqlite {
    directory: TempDir,
    options: SqliteOptions,
}

impl Fixture for Sqlite {
    type Store = SqliteStore;

    async fn new(log_capacity: u32) -> Self {
        Self { directory: TempDir::new().unwrap(), options: SqliteOptions::new().log_capacity(log_capacity) }
    }

    async fn open(&self) -> SqliteStore {
        self.options.open(self.directory.path().join("store.db")).unwrap()
    }
}

mod memory {
    voicegain_auth_store::store_contract!(super::Memory);
}

mod sqlite {
    voicegain_auth_store::store_contract!(super::Sqlite);
}
