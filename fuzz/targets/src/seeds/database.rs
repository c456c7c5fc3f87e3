//! The database file that damage is done to.

use rusqlite::Connection;
use tempfile::TempDir;
use voicegain_auth_core::store::Scope;
use voicegain_auth_core::{NewWebConfig, Secret, SecretStore as _};
use voicegain_auth_store::sqlite::SqliteStore;

use crate::targets::sealing::sealing;
use crate::targets::sqlite_file::IMAGE;
use crate::world::{id, secret};

/// A database as the store writes it, in small pages and one file. Made once and kept, since its ids and nonces are random.
pub fn database() -> Vec<u8> {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, sealing().clone()).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for config in 0..6 {
            let new = NewWebConfig {
                id: id(config),
                account_id: format!("account-{}", config / 2).parse().expect("an account"),
                context_id: format!("context-{config}").parse().expect("a context"),
                name: "n".to_owned(),
                allowed_origins: vec!["https://a.example".to_owned()],
                secret: Secret::from_bytes(&secret(config, 1)).expect("a secret"),
                revive: false,
            };
            store.create(new).await.expect("created");
        }
        let newest = Secret::from_bytes(&secret(0, 2)).expect("a secret");
        store.regenerate(id(0), newest).await.expect("regenerated");
        store.delete(id(5)).await.expect("deleted");
        store.end(Scope::Account("account-1".parse().expect("an account"))).await.expect("ended");
    });
    store.close();
    let connection = Connection::open(&path).expect("the file");
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM;")
        .expect("in small pages");
    drop(connection);
    std::fs::read(path).expect("the file")
}

/// A change in every page, and in each of the first hundred bytes.
pub fn damages() -> Vec<Vec<u8>> {
    let change = |at: usize, byte: u8, how: u8| {
        let [_, one, two, three] = (at as u32).to_be_bytes();
        vec![one, two, three, byte, 0, how]
    };
    let mut damages = vec![Vec::new()];
    damages.extend((0..100).step_by(3).map(|at| change(at, 0x81, 2)));
    for page in 0..IMAGE.len() / 512 {
        for (at, byte) in [(0, 0xff), (3, 0x7f), (8, 0x40), (500, 1), (300, 0x20)] {
            damages.push(change(page * 512 + at, byte, 2));
        }
        damages.push(change(page * 512, 0, 3));
    }
    damages
}
