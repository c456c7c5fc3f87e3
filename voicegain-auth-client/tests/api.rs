//! Against the real thing: the issuer that mints and the verifier that judges.

#![allow(clippy::unwrap_used, reason = "clippy takes only what is marked as a test for one")]

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use axum::{Router, routing::get};
use tokio::net::TcpListener;
use voicegain_auth_client::{LongLivedToken, MintError, SendError, TokenMinter, TokenRequest, reqwest};
use voicegain_auth_core::{CreateRequest, Issued, Issuer, MemoryStore, Policy, SecretCache, Verifier};
use voicegain_auth_tower::{AuthLayer, Identity, Rejected};

const PAGE: &str = "https://app.example.com";

struct Api {
    url: String,
    issuer: Issuer,
    issued: Issued,
    http: reqwest::Client,
}

async fn mint(
    identity: Identity,
    State(issuer): State<Issuer>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, Rejected> {
    Ok(issuer.mint(&identity, query.as_deref())?)
}

async fn who(identity: Identity) -> String {
    format!("{} {:?}", identity.account_id(), identity.token_kind())
}

impl Api {
    async fn start() -> Self {
        let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
        let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
        let request = CreateRequest::new("account".parse().unwrap(), "context".parse().unwrap(), "test");
        let issued = issuer.create(request).await.unwrap();
        let app = Router::new()
            .route("/v1/security/jwt", get(mint))
            .route("/v1/data", get(who).post(who))
            .route("/v1/asr", get(who))
            .with_state(issuer.clone())
            .layer(AuthLayer::new(Verifier::new(cache, Policy::default())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, issuer, issued, http: reqwest::Client::new() }
    }

    fn minter(&self, token: &str) -> TokenMinter {
        TokenMinter::new(&*self.url, LongLivedToken::new(token).unwrap()).unwrap()
    }

    async fn call(&self, path: &str, token: &str, origin: &str) -> u16 {
        let url = format!("{}{path}", self.url);
        let request = self.http.get(url).bearer_auth(token).header("origin", origin);
        request.send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn m2_what_is_minted_is_good_for_what_was_asked() {
    let api = Api::start().await;
    let minter = api.minter(&api.issued.jwt);
    let token = minter.token(PAGE).await.unwrap();
    assert_eq!(api.call("/data", token.expose(), PAGE).await, 200);
    assert_eq!(api.call("/data", token.expose(), "https://other.example.com").await, 403);
    let limited = minter.token(TokenRequest::new(PAGE).api_path("/data")).await.unwrap();
    assert_eq!(api.call("/data", limited.expose(), PAGE).await, 200);
    assert_eq!(api.call("/asr", limited.expose(), PAGE).await, 403);
    let remaining = token.remaining();
    assert!(remaining <= TokenRequest::LIFETIME && remaining > Duration::from_secs(200), "{remaining:?}");
}

#[tokio::test]
async fn m2_what_does_not_fit_is_told_in_the_apis_words() {
    let api = Api::start().await;
    let minter = api.minter(&api.issued.jwt);
    for (request, named) in [
        (TokenRequest::new("https://*"), "aud"),
        (TokenRequest::new(PAGE).lifetime(Duration::ZERO), "expInSec"),
        (TokenRequest::new(PAGE).lifetime(Duration::from_secs(3_601)), "expInSec"),
        (TokenRequest::new(PAGE).api_path("data"), "api"),
    ] {
        match minter.token(&request).await {
            Err(MintError::Refused(refusal)) => {
                assert_eq!(refusal.reason, "invalid_parameter");
                assert!(refusal.detail.contains(named), "{refusal}");
            }
            other => panic!("{request:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn m3_a_short_lived_token_mints_nothing() {
    let api = Api::start().await;
    let short = api.minter(&api.issued.jwt).token(PAGE).await.unwrap();
    match api.minter(short.expose()).token(PAGE).await {
        Err(MintError::Refused(refusal)) => assert_eq!(refusal.reason, "insufficient_scope"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn w3_regenerate_ends_what_is_kept_and_says_so() {
    let api = Api::start().await;
    let minter = api.minter(&api.issued.jwt);
    let send = async |minter: &TokenMinter| {
        minter.send(PAGE, || api.http.post(format!("{}/data", api.url)).body("x")).await
    };
    let answer = send(&minter).await.unwrap().text().await.unwrap();
    assert_eq!(answer, "account ShortLived");
    let newer = api.issuer.regenerate(api.issued.config.id).await.unwrap();
    match send(&minter).await {
        Err(SendError::Mint(MintError::Refused(refusal))) => assert_eq!(refusal.reason, "invalid_token"),
        other => panic!("{other:?}"),
    }
    assert_eq!(send(&api.minter(&newer.jwt)).await.unwrap().status(), 200);
}
