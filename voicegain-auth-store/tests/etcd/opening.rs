use std::error::Error;

use serde_json::json;
use tokio::task::JoinSet;
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _, StoreError};
use voicegain_auth_store::etcd::{EtcdOptions, EtcdStore, InvalidUrl, OpenError};
use voicegain_auth_store::sealing::Sealing;

use crate::place::{Place, new_config};

/// The error with all that it shows anywhere.
fn shown(error: &OpenError) -> String {
    let mut text = format!("{error:?} {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

async fn open(place: &Place) -> Result<EtcdStore, OpenError> {
    place.options.open(&place.url(), Sealing::Plain).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_may_make_the_store_at_once() {
    let place = Place::new(100).await;
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let (options, url) = (place.options.clone(), place.url());
        opening.spawn(async move { options.open(&url, Sealing::Plain).await.unwrap() });
    }
    let stores = opening.join_all().await;
    let created = stores[0].create(new_config()).await.unwrap();
    for store in &stores {
        assert_eq!(store.load(created.id).await.unwrap().value.unwrap().config, created);
        assert_eq!(store.living(None, 0).await.unwrap().head.revision, created.revision);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_stores_of_their_own() {
    let mut place = Place::new(100).await;
    let one = open(&place).await.unwrap();
    place.prefix.push('0');
    let other = open(&place).await.unwrap();
    assert_eq!(other.prefix(), place.prefix);
    let id = one.create(new_config()).await.unwrap().id;
    assert!(other.load(id).await.unwrap().value.is_none());
    assert!(other.living(None, 10).await.unwrap().living.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_something_elses_is_left_alone() {
    let place = Place::new(100).await;
    place.write("settings", &json!({ "theirs": true })).await;
    let error = open(&place).await.unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error:?}");
    assert!(error.to_string().contains("name another prefix"), "{error}");
    assert_eq!(place.contents().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_not_opened_and_not_guessed_at() {
    let place = Place::new(100).await;
    let store = open(&place).await.unwrap();
    let id = store.create(new_config()).await.unwrap().id;
    for key in ["head", "meta/store"] {
        let value = place.read(key).await;
        let mut newer = value.clone();
        newer["v"] = json!(2);
        place.write(key, &newer).await;
        let error = open(&place).await.unwrap_err();
        assert!(matches!(error, OpenError::NewerFormat { found: 2, supported: 1, .. }), "{key}: {error:?}");
        place.write(key, &value).await;
    }
    for key in ["head".to_owned(), format!("configs/{id}")] {
        let value = place.read(&key).await;
        let mut newer = value.clone();
        newer["v"] = json!(2);
        place.write(&key, &newer).await;
        let error = store.load(id).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{key}: {error:?}");
        assert!(error.chain().contains("use the newer program"), "{}", error.chain());
        place.write(&key, &value).await;
        store.load(id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_its_head_is_damaged_and_not_made_anew() {
    let place = Place::new(100).await;
    let store = open(&place).await.unwrap();
    place.client().await.delete(format!("{}/head", place.prefix), None).await.unwrap();
    let error = open(&place).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    let error = store.create(new_config()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_named_and_the_password_is_not() {
    // Bound and closed again, so that nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("etcd://me:s3cr3t-word@127.0.0.1:{port}/p");
    let error = EtcdStore::open(&url, Sealing::Plain).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    let text = shown(&error);
    assert!(text.contains(&port.to_string()) && !text.contains("s3cr3t-word"), "{text}");
    assert!(text.to_lowercase().contains("refused") && !text.contains("etcds://"), "{text}");
    let options = EtcdOptions::new().user("me", "s3cr3t-word");
    assert!(!format!("{options:?}").contains("s3cr3t-word"), "{options:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_without_tls_may_be_meant() {
    let place = Place::new(100).await;
    let url = place.url().replace("etcd://", "etcds://");
    let error = EtcdStore::open(&url, Sealing::Plain).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("write etcd:// instead of etcds://"), "{}", shown(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_is_none_says_why_and_shows_nothing() {
    let url = "etcd://me:s3cr3t-word@one:99999/p";
    let error = EtcdStore::open(url, Sealing::Plain).await.unwrap_err();
    assert!(matches!(error, OpenError::Url(InvalidUrl::Endpoint)), "{error:?}");
    assert!(!shown(&error).contains("s3cr3t-word"), "{error:?}");
    let missing = "etcds://localhost/p?cacert=/nonexistent/ca.pem";
    let error = EtcdStore::open(missing, Sealing::Plain).await.unwrap_err();
    assert!(matches!(error, OpenError::TlsFile { .. }), "{error:?}");
}
