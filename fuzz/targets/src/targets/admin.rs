//! A request to the admin API (rules W7, M4): what it would have changed, and what it is answered.
//!
//! The first line is method and target, the rest is the body. The store refuses every change and remembers what it was asked for,
//! so that nothing is left for the next input.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use voicegain_auth_console::{AdminApi, AdminToken};
use voicegain_auth_core::{Issuer, SecretCache};

use super::refusing_store::{Asked, Refusing, asked};
use crate::world::{API_URL, IDS, at_once};
use reference::admin::{creation, patch};
use reference::json::Members;
use reference::mac::BASE64URL;

const TOKEN: &str = "the-admin-token-of-the-fuzz-target";

fn router() -> Router {
    static API: OnceLock<(Router, Runtime)> = OnceLock::new();
    let (router, _) = API.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let cache =
            SecretCache::builder(Refusing).runtime(runtime.handle().clone()).build().expect("a cache");
        let issuer = Issuer::new(cache, API_URL).expect("an API URL");
        (AdminApi::builder(issuer, AdminToken::new(TOKEN).expect("a token")).build(), runtime)
    });
    router.clone()
}

pub fn check(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let line = String::from_utf8_lossy(line);
    let (method, target) = line.split_once(' ').unwrap_or(("POST", "/api/web-configs"));
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::from(body.to_vec()));
    let Ok(request) = request else { return };
    let path = request.uri().path().to_owned();
    // Of another host that the absolute form names, nothing is asked here.
    let is_here = request.uri().host().is_none();
    let has_query = request.uri().query().is_some_and(|query| !query.is_empty());

    let before = asked();
    assert!(before.is_none(), "nothing is left of another input");
    let (status, answer) = send(request);
    let asked = asked();
    check_answer(status, &answer, body);

    let is_create = is_here && (method, &*path) == ("POST", "/api/web-configs") && !has_query;
    let is_update =
        is_here && method == "PATCH" && path == format!("/api/web-configs/{}", IDS[0]) && !has_query;
    match &asked {
        Some(Asked::Create(new)) => {
            let wanted = creation(body).expect("whatever is created is allowed to be");
            assert!(is_create);
            assert_eq!(new.account_id.as_str(), wanted.account_id);
            assert_eq!(new.context_id.as_str(), wanted.context_id);
            assert_eq!((&new.name, &new.allowed_origins), (&wanted.name, &wanted.allowed_origins));
            assert_eq!(new.revive, wanted.revive);
            assert!((32..=256).contains(&new.secret.expose().len()));
            assert!(wanted.secret.is_none_or(|secret| secret == new.secret.expose()));
            assert!(wanted.id.is_none_or(|id| id == new.id));
            assert_eq!(status, StatusCode::CONFLICT);
        }
        Some(Asked::Update(change)) => {
            let wanted = patch(body).expect("whatever is changed is allowed to be");
            assert_eq!((&change.name, &change.allowed_origins), (&wanted.name, &wanted.allowed_origins));
            assert!(path.starts_with("/api/web-configs/"));
        }
        Some(Asked::List(query)) => assert!((2..=1_001).contains(&query.limit)),
        Some(Asked::Other) => {
            let is_empty = body.trim_ascii().is_empty()
                || Members::read(body).is_some_and(|it| it.names().next().is_none());
            assert!(is_empty && !has_query, "{line}");
        }
        None => {
            assert!(status.is_client_error() || !path.starts_with("/api/web-configs"), "{line}: {status}");
            assert!(!is_create || creation(body).is_none(), "this is allowed to be created: {answer}");
            assert!(!is_update || patch(body).is_none(), "this change is allowed: {answer}");
        }
    }
}

fn send(request: Request<Body>) -> (StatusCode, String) {
    let response = at_once(router().oneshot(request)).expect("it answers");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let status = response.status();
    let body = at_once(response.into_body().collect()).expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// A refusal has the shape of rule E, and never what could be a secret.
fn check_answer(status: StatusCode, answer: &str, body: &[u8]) {
    assert!(!answer.contains(TOKEN));
    if status.is_client_error() && !answer.is_empty() {
        let parsed: serde_json::Value = serde_json::from_str(answer).expect("JSON");
        let error = parsed["error"].as_object().expect("an error");
        assert!(error.len() == 2 && error["reason"].is_string() && error["detail"].is_string(), "{answer}");
        assert!(!error["detail"].as_str().unwrap_or_default().chars().any(char::is_control), "{answer}");
    }
    // What is a secret and nothing else in this body.
    if let Some(reference::json::Kind::Text(secret)) = Members::read(body).and_then(|it| it.get("secret"))
        && BASE64URL.decode(&secret).is_ok_and(|bytes| bytes.len() >= 32)
        && String::from_utf8_lossy(body).matches(&secret).count() == 1
    {
        assert!(!answer.contains(&secret), "the secret is in the answer");
    }
}
