use super::*;
use crate::head::testing::TestHead;
use crate::testing::{API_URL, World};
use crate::{Policy, SecretStore};

fn payload_of(jwt: &str) -> String {
    use base64::Engine as _;
    let payload = jwt.split('.').nth(1).unwrap();
    String::from_utf8(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn identity(world: &World, jwt: &str) -> Identity {
    let verifier = world.verifier(Policy::default());
    let admitted = verifier.authorize(&TestHead::get("/v1/x").bearer(jwt)).await.unwrap();
    admitted.caller().identity().unwrap().clone()
}

#[tokio::test]
async fn w2_a_long_lived_token_is_a_constant_of_its_secret() {
    let world = World::new().await;
    let issued = world.create().await;
    let id = issued.config.id;
    assert_eq!(payload_of(&issued.jwt), format!(r#"{{"aud":"{API_URL}","sub":"{id}"}}"#));
    let secret = world.store.load(id).await.unwrap().value.unwrap().secret;
    assert_eq!(world.issuer.long_lived(id, &secret), issued.jwt);
}

#[tokio::test]
async fn w7_an_import_keeps_its_token_and_a_deleted_id_comes_back_only_when_asked() {
    let world = World::new().await;
    let issued = world.create().await;
    let id = issued.config.id;
    let secret = world.store.load(id).await.unwrap().value.unwrap().secret;
    let mut request = CreateRequest::new("a".parse().unwrap(), "c".parse().unwrap(), "imported");
    request.id = Some(id);
    let without_secret = world.issuer.create(request.clone()).await;
    assert!(matches!(without_secret, Err(IssueError::Invalid { field: "id", .. })));
    request.secret = Some(secret);
    let living = world.issuer.create(request.clone()).await;
    assert!(matches!(living, Err(IssueError::Store(StoreError::AlreadyExists))));
    world.issuer.delete(id).await.unwrap();
    let deleted = world.issuer.create(request.clone()).await;
    assert!(matches!(deleted, Err(IssueError::Store(StoreError::Deleted))));
    request.revive = true;
    let revived = world.issuer.create(request).await.unwrap();
    assert_eq!(revived.jwt, issued.jwt);
    assert_eq!(revived.config.generation.get(), 2);
    identity(&world, &issued.jwt).await;
}

#[tokio::test]
async fn m1_regenerate_names_the_others_of_the_context_and_counts() {
    let world = World::new().await;
    let [first, second] = [world.create().await, world.create().await];
    let again = world.issuer.regenerate(first.config.id).await.unwrap();
    assert_eq!(again.config.generation.get(), 2);
    assert_ne!(again.jwt, first.jwt);
    let others: Vec<_> = again.others.iter().map(|config| config.id).collect();
    assert_eq!(others, [second.config.id]);
    world.issuer.delete(first.config.id).await.unwrap();
    let late = world.issuer.regenerate(first.config.id).await;
    assert!(matches!(late, Err(IssueError::Store(StoreError::NotFound))));
}

#[tokio::test]
async fn m2_the_payload_is_as_asked_for() {
    let world = World::new().await;
    let issued = world.create().await;
    let caller = identity(&world, &issued.jwt).await;
    let before = ceiling_seconds(world.cache.now().wall);
    let jwt = world.issuer.mint(
        &caller,
        Some("aud=https%3A%2F%2FApp.example.com%2F&expInSec=60&api=/data-prep&contextId=ctx-1"),
    );
    let payload = payload_of(&jwt.unwrap());
    let after = ceiling_seconds(world.cache.now().wall);
    let id = issued.config.id;
    let expected =
        |exp| format!(r#"{{"aud":"https://App.example.com/","sub":"api:/data-prep:{id}","exp":{exp}}}"#);
    assert!((before..=after).any(|now| payload == expected(now + 60)), "{payload}");
    let jwt = world.issuer.mint(&caller, Some("aud=*")).unwrap();
    let exp: u64 = payload_of(&jwt).rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap();
    assert!((before + 300..=after + 301).contains(&exp), "300 s by default");
}

#[test]
fn m2_now_is_rounded_up() {
    assert_eq!(ceiling_seconds(Duration::new(7, 0)), 7);
    assert_eq!(ceiling_seconds(Duration::new(7, 1)), 8);
}

#[test]
fn m2_every_wrong_parameter_is_named() {
    let context = "ctx-1".parse().unwrap();
    let long = format!("aud=https://{}.example.com", "a".repeat(120));
    let long_api = format!("aud=*&api=/{}", "a".repeat(128));
    let cases: &[(&str, &str)] = &[
        ("", "aud"),
        ("aud=", "aud"),
        (&long, "aud"),
        ("aud=https://a.example/x", "aud"),
        ("aud=wss://a.example", "aud"),
        ("aud=https://*", "aud"),
        ("aud=*.com", "aud"),
        ("aud=*&aud=*", "aud"),
        ("aud=*&expInSec=0", "expInSec"),
        ("aud=*&expInSec=3601", "expInSec"),
        ("aud=*&expInSec=%2B60", "expInSec"),
        ("aud=*&expInSec=6e1", "expInSec"),
        ("aud=*&expInSec=", "expInSec"),
        ("aud=*&expInSec=99999999999999999999999", "expInSec"),
        ("aud=*&expInSec=1&expInSec=1", "expInSec"),
        ("aud=*&api=data-prep", "api"),
        ("aud=*&api=/a/../b", "api"),
        ("aud=*&api=/a%3Fb", "api"),
        ("aud=*&api=//a", "api"),
        (&long_api, "api"),
        ("aud=*&api=/%FF", "api"),
        ("aud=*&contextId=ctx-2", "contextId"),
        ("aud=*&contextId=", "contextId"),
        ("aud=*&exp=5", "exp"),
        ("aud=*&AUD=*", "AUD"),
    ];
    for (query, parameter) in cases {
        let rejection = MintParameters::from_query(query, &context).unwrap_err();
        assert_eq!(rejection.reason(), Reason::InvalidParameter, "{query}");
        assert!(rejection.detail().contains(&format!("`{parameter}`")), "{query}: {rejection}");
    }
    for query in [
        "aud=*",
        "aud=localhost:8080&expInSec=1",
        "aud=https://a.example/&expInSec=3600&api=/",
        "aud=*&contextId=ctx-1",
    ] {
        assert!(MintParameters::from_query(query, &context).is_ok(), "{query}");
    }
}

#[test]
fn m2_the_name_of_an_unknown_parameter_is_shown_without_markup() {
    let context = "ctx-1".parse().unwrap();
    let query = format!("aud=*&%3Cb%20on\"a%3D'x'%3E%26%E2%80%AE%1B%0A{}=1", "n".repeat(100));
    let detail = MintParameters::from_query(&query, &context).unwrap_err().detail().to_owned();
    assert!(detail.contains("`bona=xnnn"), "{detail}");
    assert!(detail.chars().all(|c| (c.is_ascii_graphic() || c == ' ') && !"<>&\"'".contains(c)), "{detail}");
    assert!(detail.len() < 150, "{detail}");
}

#[tokio::test]
async fn m3_only_a_long_lived_unlimited_token_can_mint() {
    let world = World::new().await;
    let issued = world.create().await;
    let caller = identity(&world, &issued.jwt).await;
    let short = world.issuer.mint(&caller, Some("aud=*")).unwrap();
    let short = identity(&world, &short).await;
    // The right to mint comes before the parameters (V9).
    assert_eq!(world.issuer.mint(&short, Some("")).unwrap_err().reason(), Reason::InsufficientScope);
    let secret = world.store.load(issued.config.id).await.unwrap().value.unwrap().secret;
    let limited = format!(r#"{{"sub":"api:/x:{}"}}"#, issued.config.id);
    let limited = identity(&world, &jws::sign(&MacKey::new(&secret), &limited)).await;
    assert_eq!(world.issuer.mint(&limited, Some("aud=*")).unwrap_err().reason(), Reason::InsufficientScope);
}

#[tokio::test]
async fn w3_a_superseded_token_mints_nothing_that_lives() {
    let world = World::new().await;
    let issued = world.create().await;
    let caller = identity(&world, &issued.jwt).await;
    world.issuer.regenerate(issued.config.id).await.unwrap();
    // Verified before, minting after: what comes out is signed with the old secret.
    let minted = world.issuer.mint(&caller, Some("aud=*")).unwrap();
    let verifier = world.verifier(Policy::default());
    let refused = verifier.authorize(&TestHead::get("/v1/x").bearer(&minted)).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::InvalidToken);
}

#[tokio::test]
async fn m4_allowed_origins_are_checked_and_named() {
    let world = World::new().await;
    for bad in ["*.co.uk", "https://a.example/x", "nonsense host", "wss://a.example"] {
        let patch = WebConfigPatch {
            allowed_origins: Some(vec!["*".into(), bad.into()]),
            ..WebConfigPatch::default()
        };
        let error = world.issuer.update(WebConfigId::generate().unwrap(), patch).await.unwrap_err();
        assert!(matches!(error, IssueError::Invalid { field: "allowedOrigins", .. }), "{bad}");
        assert!(error.to_string().contains("pattern 2"), "{error}");
    }
}

#[tokio::test]
async fn the_api_url_must_be_one() {
    let world = World::new().await;
    for bad in [
        "",
        "api.voicegain.ai",
        "ftp://a/v1",
        "https://",
        "https://a b/",
        "https://a/v1?x",
        "https://u@a/v1",
        "https://a\"/",
    ] {
        assert!(Issuer::new(world.cache.clone(), bad).is_err(), "{bad}");
    }
    assert!(Issuer::new(world.cache.clone(), "http://localhost:8080").is_ok());
}

#[tokio::test]
async fn nothing_shows_a_token() {
    let world = World::new().await;
    let issued = world.create().await;
    let caller = identity(&world, &issued.jwt).await;
    let shown = format!("{issued:?} {caller:?} {:?} {:?}", world.issuer, world.cache);
    for part in issued.jwt.split('.').skip(1) {
        assert!(!shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn w3_nor_once_the_new_secret_is_in_use() {
    let world = World::new().await;
    let issued = world.create().await;
    let caller = identity(&world, &issued.jwt).await;
    let renewed = world.issuer.regenerate(issued.config.id).await.unwrap();
    // Now the cache holds the new record, which minting must not look at.
    identity(&world, &renewed.jwt).await;
    let minted = world.issuer.mint(&caller, Some("aud=*")).unwrap();
    let verifier = world.verifier(Policy::default());
    let refused = verifier.authorize(&TestHead::get("/v1/x").bearer(&minted)).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::InvalidToken);
}
