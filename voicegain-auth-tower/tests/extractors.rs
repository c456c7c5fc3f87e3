//! axum's extractors.

#![allow(clippy::unwrap_used, reason = "clippy takes only what is marked as a test for one")]

mod common;

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::routing::any;
use common::{Log, World, header, reason, text};
use http::{Request, StatusCode};
use tower::ServiceExt;
use voicegain_auth_core as core;
use voicegain_auth_core::{Mode, Policy, Reason, Rejection};
use voicegain_auth_tower::{AuthLayer, Caller, Identity, Rejected};

fn handlers() -> Router {
    Router::new()
        .route("/v1/identity", any(async |identity: Identity| identity.account_id().to_string()))
        .route(
            "/v1/option",
            any(async |identity: Option<Identity>| {
                identity.map_or_else(|| "nobody".to_owned(), |identity| identity.context_id().to_string())
            }),
        )
        .route(
            "/v1/caller",
            any(async |caller: Caller| match caller.into_inner() {
                core::Caller::Identified(identity) => identity.token_kind().as_str(),
                core::Caller::Anonymous => "anonymous",
                core::Caller::Preflight => "preflight",
            }),
        )
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(if headers.len() > 1 { "OPTIONS" } else { "GET" }).uri(path);
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .body(Body::empty())
        .unwrap()
}

const PREFLIGHT: &[(&str, &str)] =
    &[("origin", "https://app.test"), ("access-control-request-method", "GET")];

async fn answer(app: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    (response.status(), text(response).await)
}

#[tokio::test]
async fn a_verified_caller_is_extracted() {
    let world = World::new().await;
    let token = format!("Bearer {}", world.long_lived().await);
    let app = handlers().layer(world.layer());
    for (path, body) in [("/v1/identity", "acc-1"), ("/v1/option", "ctx-1"), ("/v1/caller", "long-lived")] {
        let answer = answer(&app, request(path, &[("authorization", &token)])).await;
        assert_eq!(answer, (StatusCode::OK, body.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn in_optional_mode_only_a_handler_that_needs_an_identity_refuses_the_anonymous() {
    let world = World::new().await;
    let optional = Policy::builder().mode(Mode::Optional).realm("its own").build().unwrap();
    let app = handlers().layer(AuthLayer::new(world.verifier(optional)));
    for (path, body) in [("/v1/option", "nobody"), ("/v1/caller", "anonymous")] {
        assert_eq!(answer(&app, request(path, &[])).await, (StatusCode::OK, body.to_owned()), "{path}");
    }
    let response = app.clone().oneshot(request("/v1/identity", &[])).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&response, "www-authenticate"), Some("Bearer realm=\"its own\""));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(response.extensions().get::<Rejection>().unwrap().reason(), Reason::MissingToken);
    assert_eq!(reason(response).await, "missing_token");
    for path in ["/v1/identity", "/v1/option", "/v1/caller"] {
        let (status, _) = answer(&app, request(path, &[("authorization", "Bearer bad")])).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "a bad token is never hidden: {path}");
    }
}

#[tokio::test]
async fn o9_a_preflight_that_reaches_a_handler_has_no_identity() {
    let world = World::new().await;
    let app = handlers().layer(world.layer());
    assert_eq!(
        answer(&app, request("/v1/caller", PREFLIGHT)).await,
        (StatusCode::OK, "preflight".to_owned())
    );
    assert_eq!(answer(&app, request("/v1/option", PREFLIGHT)).await, (StatusCode::OK, "nobody".to_owned()));
    assert_eq!(answer(&app, request("/v1/identity", PREFLIGHT)).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_missing_layer_is_a_500_and_an_error_in_the_log_for_every_extractor() {
    let (log, _guard) = Log::begin();
    let app = handlers();
    for path in ["/v1/identity", "/v1/option", "/v1/caller"] {
        log.clear();
        let secret = [("authorization", "Bearer of-a-secret")];
        let response = app.clone().oneshot(request(path, &secret)).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(text(response).await, "", "{path}");
        let logged = log.text();
        assert!(logged.contains("ERROR") && logged.contains("AuthLayer"), "{path}: {logged:?}");
        assert!(!logged.contains("of-a-secret"));
    }
}

/// For applications that make answers of their own of them.
#[tokio::test]
async fn errors_say_why() {
    let (mut parts, ()) = Request::new(()).into_parts();
    let missing = <Caller as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await.unwrap_err();
    assert!(missing.to_string().contains("AuthLayer"));
    let refused = <Identity as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await.unwrap_err();
    assert_eq!((refused.to_string(), refused.rejection()), (missing.to_string(), None));

    parts.extensions.insert(core::Caller::Anonymous);
    let refused = <Identity as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await.unwrap_err();
    let rejection = refused.rejection().unwrap();
    assert_eq!(rejection.reason(), Reason::MissingToken);
    assert_eq!(refused.to_string(), rejection.to_string());

    let rejected = Rejected::from(rejection.clone());
    assert_eq!(rejected.to_string(), rejection.to_string());
    assert_eq!(rejected.source().unwrap().to_string(), rejection.to_string());
}
