//! What a store can be opened on, and what is said if it cannot.

use std::collections::BTreeMap;
use std::sync::Arc;

use test_servers::Postgres;
use tokio::task::JoinSet;
use voicegain_auth_core::Secret;
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _, StoreError};
use voicegain_auth_core::{Day, NewWebConfig};
use voicegain_auth_store::postgres::{OpenError, PostgresOptions, PostgresStore};
use voicegain_auth_store::sealing::Sealing;

use crate::place::{
    Place, blocking, entries, head, impatient, new_config, soon, stranger, unavailable, url_of,
};

fn chain(error: OpenError) -> String {
    StoreError::unavailable(error).chain()
}

async fn refusal(options: &PostgresOptions, url: &str) -> OpenError {
    soon(options.open(url, Sealing::Plain)).await.expect_err("it was opened")
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_make_one_schema() {
    let place = Arc::new(Place::new(100).await);
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let place = Arc::clone(&place);
        opening.spawn(async move { place.open_plain().await });
    }
    let stores = soon(opening.join_all()).await;
    let begin = head(stores.first().unwrap()).await;
    for store in &stores {
        assert_eq!(head(store).await, begin, "they have one log");
    }
    for store in &stores {
        store.create(new_config()).await.unwrap();
    }
    assert_eq!(place.execute("SELECT count(*) FROM voicegain_auth.log_head").await, "1");
    assert_eq!(entries(stores.first().unwrap().prove(begin, 100).await.unwrap()).len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schemas_are_two_stores() {
    let place = Place::new(100).await;
    let one = place.open_plain().await;
    let other = place.options.clone().schema("select").open(&place.url, Sealing::Plain).await.unwrap();
    let (begin, waiting) = (head(&one).await, one.changed(head(&one).await.revision));
    let created = other.create(new_config()).await.unwrap();
    assert!(one.load(created.id).await.unwrap().value.is_none());
    assert_eq!(head(&one).await, begin);
    let none = tokio::time::timeout(std::time::Duration::from_millis(300), waiting).await;
    assert!(none.is_err(), "it heard of the other store's change");

    // The URL says so too, and goes before the options.
    let url = format!("{}&schema=select", place.url);
    let the_same = place.options.open(&url, Sealing::Plain).await.unwrap();
    assert!(the_same.load(created.id).await.unwrap().value.is_some());
    let third = format!("{}&schema=third", place.url);
    let third = place.options.clone().schema("select").open(&third, Sealing::Plain).await.unwrap();
    assert!(third.load(created.id).await.unwrap().value.is_none());
    third.create(new_config()).await.unwrap();
    let count = "SELECT count(*) FROM voicegain_auth.web_configs UNION ALL \
         SELECT count(*) FROM \"select\".web_configs UNION ALL SELECT count(*) FROM third.web_configs";
    assert_eq!(place.execute(count).await, "0\n1\n1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_left_alone() {
    let place = Place::new(100).await;
    let store = place.open_plain().await;
    let at = head(&store).await;
    place.execute("UPDATE voicegain_auth.log_head SET schema_version = 99").await;
    let error = refusal(&place.options, &place.url).await;
    assert!(matches!(error, OpenError::NewerSchema { found: 99, .. }), "{error:?}");
    // Nor does a store that has it open touch it.
    for result in [store.create(new_config()).await.map(drop), store.prove(at, 1).await.map(drop)] {
        unavailable(result, "has changed to version 99");
    }
    unavailable(store.load(new_config().id).await, "has changed to version 99");
    assert_eq!(place.execute("SELECT count(*) FROM voicegain_auth.web_configs").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_from_before_uses_were_noted_gets_room_for_them() {
    let place = Place::new(100).await;
    let store = place.open_plain().await;
    let id = store.create(new_config()).await.unwrap().id;
    let before = head(&store).await;
    let uses = BTreeMap::from([(id, Day::new(20_000).unwrap())]);
    place
        .execute("DROP TABLE voicegain_auth.last_uses; UPDATE voicegain_auth.log_head SET schema_version = 1")
        .await;
    drop(store);
    let store = place.open_plain().await;
    assert_eq!(head(&store).await, before);
    store.note_uses(uses.clone()).await.unwrap();
    assert_eq!(store.last_uses(vec![id]).await.unwrap(), uses);
    // Nothing is written under another version, nor is it said to be.
    place.execute("UPDATE voicegain_auth.log_head SET schema_version = 99").await;
    let later = BTreeMap::from([(id, Day::new(20_001).unwrap())]);
    unavailable(store.note_uses(later).await, "has changed to version 99");
    unavailable(store.last_uses(vec![id]).await, "has changed to version 99");
    let days = "SELECT day FROM voicegain_auth.last_uses";
    assert_eq!(place.execute(days).await, "20000");
    place.execute("UPDATE voicegain_auth.log_head SET schema_version = 2").await;
    // Nothing is left behind by what ends, nor by what comes late.
    store.delete(id).await.unwrap();
    store.note_uses(uses).await.unwrap();
    assert_eq!(place.execute("SELECT count(*) FROM voicegain_auth.last_uses").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_others_is_left_alone() {
    let place = Place::new(100).await;
    place.execute("CREATE SCHEMA voicegain_auth; CREATE TABLE voicegain_auth.cats (name text)").await;
    let error = refusal(&place.options, &place.url).await;
    assert!(matches!(error, OpenError::ForeignSchema { .. }), "{error:?}");
    place.execute("DROP TABLE voicegain_auth.cats").await;
    place.open_plain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_the_right_is_told_which_it_needs() {
    let place = Place::new(100).await;
    let role = format!("role_of_{}", place.database());
    place.execute(format!("CREATE ROLE {role} LOGIN")).await;
    let url = place.url.replace("postgres@", &format!("{role}@"));
    let error = refusal(&place.options, &url).await;
    assert!(matches!(error, OpenError::NotAllowed { .. }), "{error:?}");
    let said = chain(error);
    assert!(said.contains("GRANT CREATE ON DATABASE"), "{said}");
    place.execute(format!("GRANT CREATE ON DATABASE {} TO {role}", place.database())).await;
    let store = place.options.open(&url, Sealing::Plain).await.unwrap();
    // Nothing of what a store does needs more.
    store.prove(head(&store).await, 1).await.unwrap();
    store.create(new_config()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_that_cannot_hold_every_text_is_refused() {
    let place = Place::new(100).await;
    let name = format!("latin_{}", place.database());
    place.execute(format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")).await;
    let url = place.url.replace(&place.database(), &name);
    let error = refusal(&place.options, &url).await;
    assert!(matches!(error, OpenError::Encoding { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_and_not_shown() {
    let server = blocking(|| Postgres::builder().fsync(false).password("right horse").start().unwrap()).await;
    let right = url_of(&server);
    let store = PostgresStore::open(&right, Sealing::Plain).await.unwrap();
    let wrong = right.replace("right", "wr0ng");
    assert_ne!(right, wrong);
    let error = refusal(&PostgresOptions::new(), &wrong).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
    let shown = format!("{error:?} {store:?} {:?}", PostgresOptions::new()) + &chain(error);
    for part in ["wr0ng", "right", "horse"] {
        assert!(!shown.contains(part), "{shown}");
    }
    let without = right.replace("right%20horse", "");
    let error = refusal(&PostgresOptions::new(), &without).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_is_verified() {
    let server = blocking(|| Postgres::builder().fsync(false).tls(true).start().unwrap()).await;
    let url = server.url("postgres");
    let certificate = server.ca_certificate().unwrap().display().to_string().replace('/', "%2F");
    let store =
        PostgresStore::open(&format!("{url}&sslrootcert={certificate}"), Sealing::Plain).await.unwrap();
    store.create(new_config()).await.unwrap();
    store.prove(head(&store).await, 1).await.unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = 'voicegain-auth' AND NOT ssl";
    assert_eq!(server.execute(encrypted).unwrap(), "0");

    let plain = url.split('?').next().unwrap();
    for url in [&url, plain] {
        let error = refusal(&PostgresOptions::new(), url).await;
        assert!(matches!(error, OpenError::Tls { .. }), "{error:?}");
        assert!(chain(error).contains("sslrootcert"));
    }
    // The certificate holds, and the name is another.
    let elsewhere = url.replace("127.0.0.1", "127.0.0.2");
    let error = refusal(&PostgresOptions::new(), &format!("{elsewhere}&sslrootcert={certificate}")).await;
    assert!(matches!(error, OpenError::Tls { .. } | OpenError::Unreachable { .. }), "{error:?}");
    let error = refusal(&PostgresOptions::new(), &format!("{plain}?sslmode=disable")).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
    let error = refusal(&PostgresOptions::new(), &format!("{url}&sslrootcert=%2Fnot%2Fthere")).await;
    assert!(matches!(error, OpenError::Certificates(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_used_only_when_that_is_said() {
    let place = Place::new(100).await;
    let url = place.url.split('?').next().unwrap();
    let error = refusal(&place.options, url).await;
    assert!(matches!(error, OpenError::NoTls { .. }), "{error:?}");
    assert!(error.to_string().starts_with("write sslmode=disable into the URL if"), "{error}");
    place.open_plain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_never_used() {
    let (primary, standby) = blocking(|| {
        let primary = Postgres::builder().fsync(false).start().unwrap();
        let standby = primary.standby("s1").unwrap();
        (primary, standby)
    })
    .await;
    let error = refusal(&PostgresOptions::new(), &url_of(&standby)).await;
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    let both =
        format!("postgres://postgres@{},{}/postgres?sslmode=disable", standby.address(), primary.address());
    let store = PostgresStore::open(&both, Sealing::Plain).await.unwrap();
    store.create(new_config()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_connection_left_is_not_available() {
    let server = blocking(|| Postgres::builder().fsync(false).max_connections(10).start().unwrap()).await;
    let (options, url) = (impatient(), url_of(&server));
    let store = options.open(&url, Sealing::Plain).await.unwrap();
    let mut others = Vec::new();
    while let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
        others.push((client, tokio::spawn(connection)));
    }
    let error = refusal(&options, &url).await;
    assert!(matches!(error, OpenError::TooManyConnections { .. }), "{error:?}");
    // Those it has it keeps; more of them are not to be had.
    let mut loads = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        loads.spawn(async move { store.load(new_config().id).await });
    }
    let mut refused = 0;
    for load in soon(loads.join_all()).await {
        if load.is_err() {
            refused += 1;
            unavailable(load, "has no connection left");
        }
    }
    assert!(refused > 0);
    others.clear();
    crate::place::until_it_works(async || store.create(new_config()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_gets_into_the_servers_log() {
    const MARK: &str = "0123456789-this-must-not-be-logged";
    let server = blocking(|| Postgres::builder().fsync(false).start().unwrap()).await;
    let url = url_of(&server);
    let store = impatient().open(&url, Sealing::Plain).await.unwrap();
    let marked = || Secret::from_bytes(MARK.as_bytes()).unwrap();
    let new = NewWebConfig { secret: marked(), ..new_config() };
    store.create(new.clone()).await.unwrap();
    // Statements that hold the secret and fail are logged.
    let stranger = stranger(&url).await;
    stranger
        .batch_execute("BEGIN; LOCK TABLE voicegain_auth.ended_web_configs IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    unavailable(store.create(NewWebConfig { secret: marked(), ..new_config() }).await, "");
    stranger
        .batch_execute("ROLLBACK; BEGIN; LOCK TABLE voicegain_auth.web_configs IN ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    stranger
        .batch_execute(&format!("SELECT FROM voicegain_auth.web_configs WHERE id = '{}' FOR UPDATE", new.id))
        .await
        .unwrap();
    unavailable(store.regenerate(new.id, marked()).await, "");
    let log = server.log();
    assert!(log.contains("UPDATE web_configs SET secret_format"), "the control: {log}");
    let hex: String = MARK.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!log.contains(MARK) && !log.contains(&hex), "{log}");
}

#[test]
fn a_runtime_is_needed() {
    let opening = PostgresOptions::new();
    let mut opening = Box::pin(opening.open("postgres://127.0.0.1:1/x", Sealing::Plain));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(opened) = opening.as_mut().poll(&mut context) else { panic!("it waits") };
    assert!(matches!(opened, Err(OpenError::NoRuntime)));
}
