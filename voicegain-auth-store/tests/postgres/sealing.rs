//! How secrets are sealed anew, as the server sees it.

use test_servers::Proxy;
use voicegain_auth_core::store::SecretStore as _;
use voicegain_auth_core::{NewWebConfig, WebConfigId};
use voicegain_auth_store::postgres::PostgresStore;
use voicegain_auth_store::sealing::{MasterKeys, Resealed};

use crate::place::{Place, new_config, soon, stranger, unavailable};

const OLD: &str = "old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "new:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

async fn open(place: &Place, keys: &[&str]) -> PostgresStore {
    let keys = MasterKeys::parse(&keys.join("\n")).unwrap();
    place.options.open(&place.url, keys.into()).await.unwrap()
}

/// Web configs under the old key, in the order of their ids.
async fn under_the_old_key(place: &Place, count: u8) -> Vec<WebConfigId> {
    let store = open(place, &[OLD]).await;
    let ids: Vec<_> = (1..=count).map(|number| WebConfigId::from_bytes([number; 16])).collect();
    for id in &ids {
        store.create(NewWebConfig { id: *id, ..new_config() }).await.unwrap();
    }
    ids
}

/// However many secrets there are, their records are locked for no longer than one statement takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_sealed_anew_by_one_statement() {
    let place = Place::new(1_000).await;
    let ids = under_the_old_key(&place, 60).await;
    place
        .execute(
            "CREATE TABLE statements (what text); \
             CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO public.statements VALUES (TG_TABLE_NAME); RETURN NULL; END $$; \
             CREATE TRIGGER counted AFTER UPDATE ON voicegain_auth.web_configs \
             FOR EACH STATEMENT EXECUTE FUNCTION count_statement(); \
             CREATE TRIGGER counted AFTER INSERT OR UPDATE ON voicegain_auth.master_keys \
             FOR EACH STATEMENT EXECUTE FUNCTION count_statement()",
        )
        .await;
    let store = open(&place, &[NEW, OLD]).await;
    place.execute("DELETE FROM statements").await;
    let page = store.reseal(None, 50).await.unwrap();
    assert_eq!(page, Resealed { last: Some(ids[49]), resealed: 50, skipped: 0, more: true });
    assert_eq!(place.execute("SELECT what FROM statements").await, "web_configs");
    store.reseal(page.last, 50).await.unwrap();
    assert_eq!(place.execute("SELECT what FROM statements").await, "web_configs\nweb_configs");
    assert_eq!(store.load_page(None, 100).await.unwrap().value.stored.len(), 60);
}

/// A key is not retired while someone is about to seal under it, though nothing of that is to be seen yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_retired_after_what_is_being_sealed_anew() {
    let place = Place::new(1_000).await;
    let ids = under_the_old_key(&place, 1).await;
    let (old_first, new_first) = (open(&place, &[OLD, NEW]).await, open(&place, &[NEW, OLD]).await);
    assert_eq!(new_first.reseal(None, 10).await.unwrap().resealed, 1);
    // It gets as far as the record, which somebody else holds.
    let stranger = stranger(&place.url).await;
    let hold_row =
        format!("BEGIN; SELECT FROM voicegain_auth.web_configs WHERE id = '{}' FOR UPDATE", ids[0]);
    stranger.batch_execute(&hold_row).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock'";
    let resealing = tokio::spawn(async move { old_first.reseal(None, 10).await });
    soon(async { while place.execute(waiting).await != "1" {} }).await;
    let retiring = tokio::spawn({
        let store = new_first.clone();
        async move { store.retire_keys().await }
    });
    soon(async { while place.execute(waiting).await != "2" {} }).await;
    stranger.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(soon(resealing).await.unwrap().unwrap().resealed, 1);
    assert!(soon(retiring).await.unwrap().unwrap().retired.is_empty(), "it is under the old key again");
    unavailable(
        new_first.adopt_keys(&MasterKeys::parse(NEW).unwrap()).await,
        "master keys that were not given: old",
    );
}

/// Rule M1: a record that has changed since it was read is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn m1_a_record_that_has_changed_meanwhile_is_not_sealed_anew() {
    let place = Place::new(1_000).await;
    let ids = under_the_old_key(&place, 3).await;
    let store = open(&place, &[NEW, OLD]).await;
    let stranger = stranger(&place.url).await;
    let change =
        format!("BEGIN; UPDATE voicegain_auth.web_configs SET revision = 77 WHERE id = '{}'", ids[1]);
    stranger.batch_execute(&change).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock'";
    let resealing = tokio::spawn({
        let store = store.clone();
        async move { store.reseal(None, 10).await }
    });
    soon(async { while place.execute(waiting).await != "1" {} }).await;
    stranger.batch_execute("COMMIT").await.unwrap();
    let done = soon(resealing).await.unwrap().unwrap();
    assert_eq!(done, Resealed { last: Some(ids[2]), resealed: 2, skipped: 0, more: false });
    let key_ids = "SELECT key_id FROM voicegain_auth.web_configs ORDER BY id";
    assert_eq!(place.execute(key_ids).await, "new\nold\nnew");
    assert!(store.retire_keys().await.unwrap().retired.is_empty());
}

/// A record that cannot even be read is skipped like one that does not open.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_skipped() {
    let place = Place::new(1_000).await;
    let ids = under_the_old_key(&place, 3).await;
    let damage = format!("UPDATE voicegain_auth.web_configs SET account_id = '' WHERE id = '{}'", ids[1]);
    place.execute(damage).await;
    let store = open(&place, &[NEW, OLD]).await;
    let page = store.reseal(None, 10).await.unwrap();
    assert_eq!(page, Resealed { last: Some(ids[2]), resealed: 2, skipped: 1, more: false });
    assert!(store.retire_keys().await.unwrap().retired.is_empty());
    place.execute(format!("DELETE FROM voicegain_auth.web_configs WHERE id = '{}'", ids[1])).await;
    assert_eq!(store.retire_keys().await.unwrap().retired, ["old"]);
}

/// Keys that the store cannot be asked about are not taken for good ones.
#[tokio::test(flavor = "multi_thread")]
async fn v6_keys_are_not_put_to_use_without_the_store() {
    let place = Place::new(1_000).await;
    let shared = test_servers::Postgres::shared().unwrap();
    let proxy = Proxy::start(shared.address()).unwrap();
    let by_proxy = format!("{}?sslmode=disable", shared.url_through(&place.database(), proxy.address()));
    let keys = MasterKeys::parse(OLD).unwrap();
    let store = crate::place::impatient().open(&by_proxy, keys.clone().into()).await.unwrap();
    store.adopt_keys(&keys).await.unwrap();
    let both = MasterKeys::parse(&[NEW, OLD].join("\n")).unwrap();
    proxy.set(test_servers::Fault::Stall);
    unavailable(soon(store.adopt_keys(&both)).await, "did not answer");
    assert_eq!(keys.key_ids(), ["old"]);
}

/// What an operator can do whose key is gone: the store is opened again, and all that was under the key is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_for_good_is_taken_out_by_hand() {
    let place = Place::new(1_000).await;
    let ids = under_the_old_key(&place, 2).await;
    let new = MasterKeys::parse(NEW).unwrap();
    place.options.open(&place.url, new.into()).await.unwrap_err();
    place.execute("DELETE FROM voicegain_auth.master_keys WHERE key_id = 'old'").await;
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
