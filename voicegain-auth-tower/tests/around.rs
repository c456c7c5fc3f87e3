//! What applications put around the layer, and inside of it: what must hold whichever way.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy takes only what is marked as a test for one"
)]

mod common;

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::header::ACCEPT_ENCODING;
use axum::response::Response;
use axum::routing::{any, get, post};
use bytes::Bytes;
use common::{Log, World, header, reason, text};
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use tower::limit::ConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use voicegain_auth_core::{Policy, TokenSources};
use voicegain_auth_tower::{AuthLayer, Identity};

async fn account(identity: Identity) -> String {
    identity.account_id().to_string()
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn send(app: &Router, request: Request<Body>) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

fn all_sources(world: &World) -> AuthLayer {
    let mut sources = TokenSources::default();
    (sources.query, sources.protocol, sources.cookie) = (true, true, Some("vg".to_owned()));
    AuthLayer::new(world.verifier(Policy::builder().token_sources(sources).build().unwrap()))
}

/// Serves an application over a real socket.
async fn serve(app: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// What comes back until it ends with `end`, or until the server closes.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn o9_with_cors_inside_preflights_are_answered_and_refusals_are_not_readable() {
    let world = World::new().await;
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods([Method::PUT]);
    let app = Router::new().route("/v1/x", get(account)).layer(cors).layer(world.layer());
    let origin = ("origin", "https://app.test");

    let mut preflight = request("/v1/x", &[origin, ("access-control-request-method", "PUT")]);
    *preflight.method_mut() = Method::OPTIONS;
    let answer = send(&app, preflight).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "access-control-allow-methods"), Some("PUT"));

    let token = world.short_lived(&world.long_lived().await, "aud=https://app.test").await;
    let answer = send(&app, request("/v1/x", &[origin, ("authorization", &format!("Bearer {token}"))])).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
    assert_eq!(text(answer).await, "acc-1");

    let answer = send(&app, request("/v1/x", &[origin])).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&answer, "access-control-allow-origin"), None, "which is why it belongs outside");
}

#[tokio::test]
async fn an_options_that_is_no_preflight_needs_a_token_whatever_cors_is_inside() {
    let world = World::new().await;
    let app = Router::new().route("/v1/x", get(account)).layer(CorsLayer::permissive()).layer(world.layer());
    for headers in [&[][..], &[("origin", "https://app.test")], &[("access-control-request-method", "GET")]] {
        let mut options = request("/v1/x", headers);
        *options.method_mut() = Method::OPTIONS;
        assert_eq!(reason(send(&app, options).await).await, "missing_token", "{headers:?}");
    }
}

#[tokio::test]
async fn e_compression_outside_changes_neither_a_refusal_nor_what_it_varies_by() {
    let world = World::new().await;
    let plain = Router::new().route("/v1/x", get(account)).layer(world.layer());
    let packed = plain.clone().layer(CompressionLayer::new().gzip(true));
    let answer = send(&packed, request("/v1/x", &[(ACCEPT_ENCODING.as_str(), "gzip")])).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&answer, "content-encoding"), Some("gzip"), "or this shows nothing");
    assert_eq!(header(&answer, "content-length"), None);
    assert!(header(&answer, "www-authenticate").unwrap().starts_with("Bearer"));
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    let vary: Vec<_> = answer.headers().get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    let vary = vary.join(", ").to_lowercase();
    assert!(vary.contains("origin") && vary.contains("accept-encoding"), "{vary}");
    let packed = answer.into_body().collect().await.unwrap().to_bytes();
    let unpacked = {
        let mut text = String::new();
        io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text).unwrap();
        text
    };
    assert_eq!(unpacked, text(send(&plain, request("/v1/x", &[])).await).await);
}

#[tokio::test]
async fn with_compression_inside_a_caller_gets_what_the_handler_said() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let app = Router::new()
        .route("/v1/x", get(async |_: Identity| "a".repeat(1000)))
        .layer(CompressionLayer::new().gzip(true))
        .layer(world.layer());
    let headers = [("accept-encoding", "gzip"), ("authorization", &*format!("Bearer {token}"))];
    let answer = send(&app, request("/v1/x", &headers)).await;
    assert_eq!((answer.status(), header(&answer, "content-encoding")), (StatusCode::OK, Some("gzip")));
}

#[tokio::test]
async fn v1_a_trace_layer_inside_logs_no_token_and_one_outside_logs_the_query_as_it_came() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let routes = || Router::new().route("/v1/x", get(account));
    let trace = || {
        TraceLayer::new_for_http()
            .make_span_with(tower_http::trace::DefaultMakeSpan::new().include_headers(true))
    };
    let by_header = || request("/v1/x?a=1", &[("authorization", &format!("Bearer {token}"))]);
    let by_query = || request(&format!("/v1/x?a=1&access_token={token}"), &[("sec-fetch-site", "none")]);
    let by_cookie =
        || request("/v1/x?a=1", &[("cookie", &format!("vg={token}")), ("sec-fetch-site", "none")]);

    let inside = routes().layer(trace()).layer(all_sources(&world));
    for request in [by_header(), by_query(), by_cookie()] {
        assert_eq!(send(&inside, request).await.status(), StatusCode::OK);
    }
    assert_eq!(log.text().matches("uri=/v1/x?a=1 ").count(), log.text().matches("uri=").count());
    assert!(log.text().contains("started processing request"), "or this shows nothing: {}", log.text());
    assert!(!log.text().contains(&token), "{}", log.text());

    // Outside, the layer cannot help it: hence the README's word on where to put it, and this with `path` alone.
    let outside = routes().layer(all_sources(&world));
    send(&outside.clone().layer(TraceLayer::new_for_http()), by_query()).await;
    assert!(log.text().contains(&token), "the README need not warn of this any longer");
    log.clear();
    let path = |request: &Request<Body>| tracing::info_span!("request", path = request.uri().path());
    let path = outside.layer(TraceLayer::new_for_http().make_span_with(path));
    for request in [by_header(), by_query(), by_cookie()] {
        assert_eq!(send(&path, request).await.status(), StatusCode::OK);
    }
    assert!(log.text().contains("path=\"/v1/x\"") && !log.text().contains(&token), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn v6_a_timeout_outside_ends_the_wait_for_the_store_and_lets_nobody_in() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let handler = async move |_: Identity| {
        counted.fetch_add(1, Ordering::SeqCst);
        "ok"
    };
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
    let app = Router::new().route("/v1/x", get(handler)).layer(world.layer()).layer(timeout);
    let bearer = || request("/v1/x", &[("authorization", &format!("Bearer {token}"))]);
    world.park_loads().await;
    assert_eq!(send(&app, bearer()).await.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    world.release_loads();
    assert_eq!(send(&app, bearer()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_gives_the_place_it_held_back_to_a_limit_on_either_side() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let routes = || Router::new().route("/v1/x", get(account));
    let limit = || ConcurrencyLimitLayer::new(1);
    for app in [routes().layer(world.layer()).layer(limit()), routes().layer(limit()).layer(world.layer())] {
        let bearer = |token: &str| request("/v1/x", &[("authorization", &format!("Bearer {token}"))]);
        for _ in 0..3 {
            assert_eq!(send(&app, bearer("x")).await.status(), StatusCode::UNAUTHORIZED);
            let (one, two) = tokio::join!(send(&app, bearer(&token)), send(&app, bearer(&token)));
            assert_eq!((one.status(), two.status()), (StatusCode::OK, StatusCode::OK));
        }
    }
}

/// A body nobody may read.
struct Untouched;

impl http_body::Body for Untouched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body of a refused request was read")
    }
}

#[tokio::test]
async fn body_limits_on_either_side_and_no_body_of_a_refused_request_is_read() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let length = async |_: Identity, body: Bytes| body.len().to_string();
    let routes = || Router::new().route("/v1/x", post(length));
    let outside = routes().layer(world.layer()).layer(RequestBodyLimitLayer::new(10));
    let inside = routes().layer(RequestBodyLimitLayer::new(10)).layer(world.layer());
    let axums_own = routes().layer(DefaultBodyLimit::max(10)).layer(world.layer());
    for (app, too_large_without_a_token) in [(outside, 413), (inside, 401), (axums_own, 401)] {
        let post = |token: Option<&str>, size: usize| {
            let request = Request::post("/v1/x").header("content-length", size);
            match token {
                Some(token) => request.header("authorization", format!("Bearer {token}")),
                None => request,
            }
        };
        let with = |size| post(Some(&token), size).body(Body::from("a".repeat(size))).unwrap();
        assert_eq!(text(send(&app, with(10)).await).await, "10");
        assert_eq!(send(&app, with(11)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let untouched = |size| post(None, size).body(Body::new(Untouched)).unwrap();
        assert_eq!(send(&app, untouched(10)).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(send(&app, untouched(11)).await.status().as_u16(), too_large_without_a_token);
    }
}

#[tokio::test]
async fn a_fallback_for_other_methods_is_covered_by_layer() {
    let world = World::new().await;
    let app = Router::new()
        .route("/v1/x", get(account))
        .method_not_allowed_fallback(async || (StatusCode::IM_A_TEAPOT, "fallback"))
        .layer(world.layer());
    let put = |headers| {
        let mut request = request("/v1/x", headers);
        *request.method_mut() = Method::PUT;
        request
    };
    let bearer = format!("Bearer {}", world.long_lived().await);
    assert_eq!(send(&app, put(&[])).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(send(&app, put(&[("authorization", &bearer)])).await.status(), StatusCode::IM_A_TEAPOT);
}

/// An application whose WebSocket says who calls.
fn websocket(world: &World) -> Router {
    let open = async |identity: Identity, upgrade: WebSocketUpgrade| {
        let account = identity.account_id().to_string();
        upgrade.protocols(["chat"]).on_upgrade(async move |mut socket| {
            let _ = socket.send(Message::text(account)).await;
        })
    };
    Router::new().route("/v1/socket", any(open)).layer(all_sources(world))
}

#[tokio::test]
async fn v1_axums_websockets_take_a_token_as_a_protocol_and_refuse_before_the_upgrade() {
    let world = World::new().await;
    let token = world.short_lived(&world.long_lived().await, "aud=https://app.test").await;
    let address = serve(websocket(&world)).await;
    let shake = async |protocols: &str, origin: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /v1/socket HTTP/1.1\r\nHost: own.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n\
             Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "\u{5}acc-1").await.to_lowercase();
        stream.shutdown().await.unwrap();
        answer
    };
    let answer = shake(&format!("bearer.{token}, chat"), "https://app.test").await;
    assert!(
        answer.starts_with("http/1.1 101 ") && answer.contains("sec-websocket-protocol: chat"),
        "{answer}"
    );
    assert!(answer.ends_with("acc-1") && !answer.contains(&token.to_lowercase()), "{answer}");
}

#[tokio::test]
async fn v1_axums_websockets_refuse_another_pages_token_a_bad_one_and_none() {
    let world = World::new().await;
    let token = world.short_lived(&world.long_lived().await, "aud=https://app.test").await;
    let app = websocket(&world);
    for (protocols, origin, expected) in [
        (format!("bearer.{token}, chat"), "https://evil.test", "origin_not_allowed"),
        (format!("bearer.{token}"), "https://app.test", "invalid_request"),
        ("bearer.x, chat".to_owned(), "https://app.test", "invalid_token"),
        ("chat".to_owned(), "https://app.test", "missing_token"),
    ] {
        let headers = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("origin", origin),
            ("sec-websocket-protocol", &protocols),
        ];
        assert_eq!(reason(send(&app, request("/v1/socket", &headers)).await).await, expected);
    }
}

#[tokio::test]
async fn a_head_is_decided_about_as_its_get_would_be() {
    let world = World::new().await;
    let app = Router::new().route("/v1/x", get(account)).layer(world.layer());
    let bearer = format!("Bearer {}", world.long_lived().await);
    for (headers, expected) in
        [(&[("authorization", &*bearer)][..], StatusCode::OK), (&[], StatusCode::UNAUTHORIZED)]
    {
        let mut head = request("/v1/x", headers);
        *head.method_mut() = Method::HEAD;
        let head = send(&app, head).await;
        let get = send(&app, request("/v1/x", headers)).await;
        assert_eq!((head.status(), get.status()), (expected, expected));
        let said = |answer: &Response| answer.headers().get("www-authenticate").cloned();
        assert_eq!(said(&head), said(&get));
    }
}

#[tokio::test]
async fn a_client_that_expects_100_is_refused_before_it_sends_its_body() {
    let world = World::new().await;
    let length = async |_: Identity, body: Bytes| body.len().to_string();
    let address = serve(Router::new().route("/v1/x", post(length)).layer(world.layer())).await;
    let start = async |authorization: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/x HTTP/1.1\r\nHost: own.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n{authorization}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut refused = start("").await;
    let answer = read_until(&mut refused, "}}").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");

    let mut accepted = start(&format!("Authorization: Bearer {}\r\n", world.long_lived().await)).await;
    assert_eq!(read_until(&mut accepted, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    accepted.write_all(b"hello").await.unwrap();
    let answer = read_until(&mut accepted, "\r\n\r\n5").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn v8_a_panic_in_a_handler_leaves_nothing_behind_for_the_next_request() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let panics = async |_: Identity| -> &'static str { panic!("as a handler might") };
    let app = Router::new()
        .route("/v1/panics", get(panics))
        .route("/v1/x", get(account))
        .layer(world.layer())
        .layer(CatchPanicLayer::new());
    let address = serve(app).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for (path, authorization, expected) in [
        ("/v1/panics", Some(&token), "500"),
        ("/v1/x", None, "401"),
        ("/v1/x", Some(&token), "200"),
        ("/v1/panics", None, "401"),
    ] {
        let authorization = authorization.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let authorization = authorization.unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: own.test\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let end = match expected {
            "500" => "panicked",
            "401" => "}}",
            _ => "acc-1",
        };
        let answer = read_until(&mut stream, end).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {answer}");
    }
}
