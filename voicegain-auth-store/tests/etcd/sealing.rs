//! Records that cannot be read, when secrets are sealed anew and keys are retired.

use serde_json::json;
use voicegain_auth_core::store::{SecretStore as _, StoreError};
use voicegain_auth_core::{NewWebConfig, WebConfigId};
use voicegain_auth_store::etcd::EtcdStore;
use voicegain_auth_store::sealing::{MasterKeys, Resealed};

use crate::place::{Place, new_config};

const OLD: &str = "old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "new:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

async fn open(place: &Place, keys: &[&str]) -> EtcdStore {
    let keys = MasterKeys::parse(&keys.join("\n")).unwrap();
    place.options.open(&place.url(), keys.into()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_skipped_and_nothing_is_retired() {
    let place = Place::new(1_000).await;
    let before = open(&place, &[OLD]).await;
    let ids = [1, 2, 3].map(|number| WebConfigId::from_bytes([number; 16]));
    for id in ids {
        before.create(NewWebConfig { id, ..new_config() }).await.unwrap();
    }
    let key = format!("configs/{}", ids[1]);
    let mut record = place.read(&key).await;
    let secret = record["secret"].take();
    record["secret"] = json!("not base64");
    place.write(&key, &record).await;
    let store = open(&place, &[NEW, OLD]).await;
    let page = store.reseal(None, 10).await.unwrap();
    assert_eq!(page, Resealed { last: Some(ids[2]), resealed: 2, skipped: 1, more: false });
    // Nobody knows what that one is under.
    let error = store.retire_keys().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
    record["secret"] = secret;
    place.write(&key, &record).await;
    assert_eq!(store.reseal(None, 10).await.unwrap().resealed, 1);
    assert_eq!(store.retire_keys().await.unwrap().retired, ["old"]);
}

/// As many as etcd answers at once, and no change among them: keys are in use wherever their records stand.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_use_is_found_on_every_page() {
    let place = Place::new(1_000).await;
    let before = open(&place, &[OLD]).await;
    let last = WebConfigId::from_bytes([0xff; 16]);
    before.create(NewWebConfig { id: last, ..new_config() }).await.unwrap();
    let store = open(&place, &[NEW, OLD]).await;
    let first = WebConfigId::from_bytes([0; 16]);
    store.create(NewWebConfig { id: first, ..new_config() }).await.unwrap();
    // Copies stand for the records of a page; their secrets are none of theirs, which nobody looks at here.
    let record = place.read(&format!("configs/{first}")).await;
    for number in 1..=1_100_u16 {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        place.write(&format!("configs/{}", WebConfigId::from_bytes(id)), &record).await;
    }
    assert!(store.retire_keys().await.unwrap().retired.is_empty());
    store.regenerate(last, crate::place::secret()).await.unwrap();
    assert_eq!(store.retire_keys().await.unwrap().retired, ["old"]);
}

/// What an operator can do whose key is gone: the store is opened again, and all that was under the key is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_for_good_is_taken_out_by_hand() {
    let place = Place::new(1_000).await;
    let before = open(&place, &[OLD]).await;
    let ids = [1, 2].map(|number| WebConfigId::from_bytes([number; 16]));
    for id in ids {
        before.create(NewWebConfig { id, ..new_config() }).await.unwrap();
    }
    let new = MasterKeys::parse(NEW).unwrap();
    place.options.open(&place.url(), new.into()).await.unwrap_err();
    place.client().await.delete(format!("{}/meta/keys/old", place.prefix), None).await.unwrap();
    let store = open(&place, &[NEW]).await;
    assert_eq!(store.known_keys().await.unwrap(), ["new"]);
    let page = store.reseal(None, 10).await.unwrap();
    assert_eq!(page, Resealed { last: Some(ids[1]), resealed: 0, skipped: 2, more: false });
    store.regenerate(ids[0], crate::place::secret()).await.unwrap();
    store.delete(ids[1]).await.unwrap();
    let page = store.reseal(None, 10).await.unwrap();
    assert_eq!((page.resealed, page.skipped), (0, 0));
    assert!(store.load(ids[0]).await.unwrap().value.is_some());
    assert_eq!(store.retire_keys().await.unwrap().known, ["new"]);
}
