//! The layer on plain Tower services, without any framework.

#![allow(clippy::unwrap_used, reason = "clippy takes only what is marked as a test for one")]

mod common;

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use common::{Log, World, bearer, get, header, reason, tell, text};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceExt, service_fn};
use voicegain_auth_core::{Caller, Mode, Policy, Reason, Rejection, TokenSources};
use voicegain_auth_tower::{AuthLayer, AuthService, Grpc, rejection_body_fn};

/// A service that panics unless this very instance was asked whether it is ready. Clones are not.
#[derive(Debug)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Strict {
    fn new() -> Self {
        Self { ready: false, calls: Arc::default() }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<Request<String>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Response::default()))
    }
}

#[tokio::test]
#[should_panic(expected = "called before it was ready")]
async fn the_strict_service_bites() {
    let _ = Strict::new().call(get("/")).await;
}

#[tokio::test]
async fn only_a_ready_service_is_called_at_once_and_after_a_wait() {
    let world = World::new().await;
    let tokens = [world.long_lived().await, world.long_lived().await];
    let strict = Strict::new();
    let mut service = world.layer().layer(strict.clone());
    world.park_loads().await;
    let mut calls = JoinSet::new();
    // One and the same service takes all of them: waiting ones, refused ones, and later accepted ones.
    for index in 0..400 {
        let request = match index % 4 {
            0 => get("/v1/x"),
            1 => bearer("/v1/x", "no token"),
            other => bearer("/v1/x", &tokens[other - 2]),
        };
        calls.spawn(service.ready().await.unwrap().call(request));
    }
    assert_eq!(strict.calls.load(Ordering::SeqCst), 0, "nobody is let in before the store has answered");
    world.release_loads();
    let statuses: Vec<_> =
        calls.join_all().await.into_iter().map(|answer| answer.unwrap().status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 200);
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count(), 200);
    for token in tokens.iter().cycle().take(400) {
        let answer = service.ready().await.unwrap().call(bearer("/v1/x", token)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(strict.calls.load(Ordering::SeqCst), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_a_ready_service_is_called_under_load() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let service = world.layer().layer(ConcurrencyLimitLayer::new(8).layer(Strict::new()));
    let mut calls = JoinSet::new();
    for index in 0..1_000 {
        let mut service = service.clone();
        let request = if index % 5 == 0 { get("/v1/x") } else { bearer("/v1/x", &token) };
        calls.spawn(async move { service.ready().await.unwrap().call(request).await.unwrap().status() });
        if index == 500 {
            // Everybody waits for the store again.
            world
                .issuer
                .update(world.identity(&token).await.web_config_id(), Default::default())
                .await
                .unwrap();
        }
    }
    let accepted = calls.join_all().await.into_iter().filter(|status| *status == StatusCode::OK).count();
    assert_eq!(accepted, 800);
}

#[tokio::test]
async fn a_refusal_frees_what_the_inner_service_held_ready() {
    let world = World::new().await;
    let mut refused = world.layer().layer(ConcurrencyLimitLayer::new(1).layer(Strict::new()));
    let mut other = refused.clone();
    let answer = refused.ready().await.unwrap().call(get("/v1/x")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let is_ready = poll_fn(|cx| Poll::Ready(other.poll_ready(cx).is_ready())).await;
    assert!(is_ready, "the only permit is held by a service that nobody uses");
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_the_service_usable() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let mut service = world.layer().layer(Strict::new());
    world.park_loads().await;
    let mut call = Box::pin(service.ready().await.unwrap().call(bearer("/v1/x", &token)));
    assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
    drop(call);
    world.release_loads();
    let answer = service.ready().await.unwrap().call(bearer("/v1/x", &token)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_inner_services_error_is_passed_on() {
    #[derive(Debug, PartialEq)]
    struct Broken;
    let world = World::new().await;
    let token = world.long_lived().await;
    let inner = service_fn(|_: Request<String>| ready(Err::<Response<Full<Bytes>>, _>(Broken)));
    let service = world.layer().layer(inner);
    assert_eq!(service.clone().oneshot(bearer("/v1/x", &token)).await.unwrap_err(), Broken);
    assert_eq!(service.oneshot(get("/v1/x")).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn v8_the_caller_is_told_and_a_stale_one_is_overwritten() {
    let world = World::new().await;
    let (mine, other) = (world.create().await, world.create().await);
    let optional = Policy::builder().mode(Mode::Optional).build().unwrap();
    let service = AuthLayer::new(world.verifier(optional)).layer(service_fn(tell));
    let stale = Caller::Identified(world.identity(&other.jwt).await);

    let mut request = bearer("/v1/x", &mine.jwt);
    request.extensions_mut().insert(stale.clone());
    let response = service.clone().oneshot(request).await.unwrap();
    let caller = response.extensions().get::<Caller>().unwrap();
    assert_eq!(caller.identity().unwrap().web_config_id(), mine.config.id);

    let mut request = get("/v1/x");
    request.extensions_mut().insert(stale);
    let response = service.oneshot(request).await.unwrap();
    assert!(matches!(response.extensions().get(), Some(Caller::Anonymous)));
}

#[tokio::test]
async fn optional_mode_never_hides_a_bad_token() {
    let world = World::new().await;
    let old = world.create().await;
    world.issuer.regenerate(old.config.id).await.unwrap();
    let optional = Policy::builder().mode(Mode::Optional).build().unwrap();
    let service = AuthLayer::new(world.verifier(optional)).layer(service_fn(tell));
    for bad in [old.jwt.as_str(), "x", "a.b.c"] {
        let response = service.clone().oneshot(bearer("/v1/x", bad)).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{bad}");
        assert_eq!(reason(response).await, "invalid_token");
    }
    assert_eq!(service.oneshot(get("/v1/x")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn o9_a_preflight_passes_without_an_identity() {
    let world = World::new().await;
    let service = world.layer().layer(service_fn(tell));
    let options = || Request::options("/v1/x").header("origin", "https://app.test");
    let preflight = options().header("access-control-request-method", "GET").body(String::new()).unwrap();
    let response = service.clone().oneshot(preflight).await.unwrap();
    assert!(matches!(response.extensions().get(), Some(Caller::Preflight)));
    let response = service.oneshot(options().body(String::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "an OPTIONS that is no preflight needs a token");
}

#[tokio::test]
async fn e_a_refusal_has_status_headers_body_and_says_why_to_outer_layers() {
    let world = World::new().await;
    let policy = Policy::builder().realm("r").build().unwrap();
    let service = AuthLayer::new(world.verifier(policy)).layer(service_fn(tell));
    let response = service.clone().oneshot(get("/v1/x")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&response, "www-authenticate"), Some(r#"Bearer realm="r""#));
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "vary"), Some("Origin"));
    assert_eq!(header(&response, "retry-after"), None);
    assert_eq!(response.extensions().get::<Rejection>().unwrap().reason(), Reason::MissingToken);
    assert_eq!(reason(response).await, "missing_token");
    let token = world.long_lived().await;
    let accepted = service.oneshot(bearer("/v1/x", &token)).await.unwrap();
    assert!(accepted.extensions().get::<Rejection>().is_none());
}

#[tokio::test]
async fn v6_a_broken_store_is_a_503_with_retry_after() {
    let world = World::new().await;
    let token = world.long_lived().await;
    world.store.broken.store(true, Ordering::SeqCst);
    let response = world.layer().layer(service_fn(tell)).oneshot(bearer("/v1/x", &token)).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(header(&response, "retry-after").is_some());
    assert_eq!(reason(response).await, "temporarily_unavailable");
}

#[tokio::test]
async fn e_applications_replace_the_body_and_nothing_else() {
    let world = World::new().await;
    let body = rejection_body_fn(|rejection: &Rejection| {
        let body = Full::from(format!("No: {}", rejection.reason()));
        (body, HeaderValue::from_static("text/plain"))
    });
    let service = world.layer().rejection_body(body).layer(service_fn(tell));
    let response = service.clone().oneshot(get("/v1/x")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(header(&response, "www-authenticate").is_some());
    assert_eq!(header(&response, "content-type"), Some("text/plain"));
    assert_eq!(text(response).await, "No: missing_token");

    let mut grpc = get("/v1/x");
    grpc.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let response = service.oneshot(grpc).await.unwrap();
    assert_eq!(header(&response, "grpc-status"), Some("16"));
    assert_eq!(text(response).await, "", "a gRPC client gets no body");
}

#[tokio::test]
async fn boxed_bodies_and_bodies_that_only_have_a_default_can_be_refused() {
    type Boxed = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
    async fn boxed(_: Request<String>) -> Result<Response<Boxed>, Infallible> {
        Ok(Response::default())
    }
    let world = World::new().await;
    let body = rejection_body_fn(|rejection: &Rejection| {
        let body = Full::new(Bytes::from(rejection.body())).map_err(|never| match never {}).boxed_unsync();
        (body, HeaderValue::from_static(Rejection::CONTENT_TYPE))
    });
    let response =
        world.layer().rejection_body(body).layer(service_fn(boxed)).oneshot(get("/v1/x")).await.unwrap();
    assert_eq!(reason(response).await, "missing_token");

    let response =
        world.layer().rejection_body(Grpc).layer(service_fn(boxed)).oneshot(get("/v1/x")).await.unwrap();
    assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::UNAUTHORIZED, None));
    assert_eq!(text(response).await, "");
}

fn all_sources() -> TokenSources {
    let mut sources = TokenSources::default();
    (sources.query, sources.protocol) = (true, true);
    sources.cookie = Some("vg".into());
    sources
}

/// Answers what came in, in the response's extensions.
#[derive(Clone)]
struct Seen(http::request::Parts);

async fn show(request: Request<String>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::default();
    response.extensions_mut().insert(Seen(request.into_parts().0));
    Ok(response)
}

#[tokio::test]
async fn v1_every_enabled_source_is_taken_out_whichever_counted() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let request = || {
        let mut request = bearer("/v1/x?a=%41&b", &token);
        request.headers_mut().insert("cookie", HeaderValue::from_static("a=1; vg=other"));
        request
    };
    let policy = |pass| Policy::builder().token_sources(all_sources()).pass_token_on(pass).build().unwrap();
    let service = |pass| AuthLayer::new(world.verifier(policy(pass))).layer(service_fn(show));

    let response = service(false).oneshot(request()).await.unwrap();
    let Seen(seen) = response.extensions().get().unwrap();
    assert_eq!(seen.uri, "/v1/x?a=%41&b");
    assert!(!seen.headers.contains_key("authorization"));
    assert_eq!(seen.headers["cookie"], "a=1");

    let response = service(true).oneshot(request()).await.unwrap();
    let Seen(seen) = response.extensions().get().unwrap();
    assert_eq!(seen.headers["authorization"], format!("Bearer {token}"));
    assert_eq!(seen.headers["cookie"], "a=1; vg=other");
}

#[tokio::test]
async fn v1_a_query_token_is_taken_out_and_its_answer_is_private() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let policy = Policy::builder().token_sources(all_sources()).build().unwrap();
    let service = AuthLayer::new(world.verifier(policy)).layer(service_fn(show));
    let mut request = get(&format!("/v1/x?a=%41&access_token={token}&b"));
    request.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
    let response = service.clone().oneshot(request).await.unwrap();
    let Seen(seen) = response.extensions().get().unwrap();
    assert_eq!(seen.uri, "/v1/x?a=%41&b");
    assert_eq!(header(&response, "cache-control"), Some("private"));

    let response = service.oneshot(bearer("/v1/x", &token)).await.unwrap();
    assert_eq!(header(&response, "cache-control"), None, "a token in a header needs no such word");
}

#[tokio::test]
async fn v1_a_websocket_token_is_taken_out_and_the_other_protocol_is_chosen() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let policy = Policy::builder().token_sources(all_sources()).build().unwrap();
    let upgrade = |request: Request<String>| async move {
        let mut response = show(request).await?;
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        Ok::<_, Infallible>(response)
    };
    let service = AuthLayer::new(world.verifier(policy)).layer(service_fn(upgrade));
    let request = Request::get("/v1/socket")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-protocol", format!("bearer.{token}, chat, other"))
        .body(String::new())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    let Seen(seen) = response.extensions().get().unwrap();
    assert_eq!(seen.headers["sec-websocket-protocol"], "chat, other");
    assert_eq!(header(&response, "sec-websocket-protocol"), Some("chat"));
}

#[tokio::test]
async fn p1_where_the_clients_path_is_not_known_a_limited_token_is_refused() {
    let world = World::new().await;
    let (limited, long_lived) = (world.data_prep().await, world.long_lived().await);
    let status = async |layer: AuthLayer, path: &str, token: &str| {
        let service: AuthService<_> = layer.layer(service_fn(tell));
        service.oneshot(bearer(path, token)).await.unwrap().status()
    };
    let (log, _guard) = Log::begin();
    assert_eq!(status(world.layer(), "/v1/data-prep", &limited).await, StatusCode::FORBIDDEN);
    assert!(log.text().contains("AuthLayer::outermost"), "the operator is told");
    log.clear();
    assert_eq!(status(world.layer(), "/v1/data-prep", &long_lived).await, StatusCode::OK);
    assert_eq!(status(world.layer(), "/v1/data-prep", "bad").await, StatusCode::UNAUTHORIZED);
    let outermost = || world.layer().outermost();
    assert_eq!(status(outermost(), "/v1/data-prep", &limited).await, StatusCode::OK);
    assert_eq!(status(outermost(), "/v1/data-prep/x?y=/v1", &limited).await, StatusCode::OK);
    for other in
        ["/v1/data-prepared", "/v1/x?path=/v1/data-prep", "/v1/x/../data-prep", "/v1/data-prep/%2e%2e/x"]
    {
        assert_eq!(status(outermost(), other, &limited).await, StatusCode::FORBIDDEN, "{other}");
    }
    assert!(!log.text().contains("AuthLayer::outermost"), "and not where it is no answer");
}

#[tokio::test]
async fn v8_no_token_shows_in_debug_output() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let mut service = world.layer().layer(Strict::new());
    world.park_loads().await;
    let call = service.ready().await.unwrap().call(bearer("/v1/x", &token));
    let shown = format!("{service:?} {call:?} {:?}", world.layer());
    let signature = token.rsplit('.').next().unwrap();
    assert!(!shown.contains(signature), "{shown}");
    world.release_loads();
}
