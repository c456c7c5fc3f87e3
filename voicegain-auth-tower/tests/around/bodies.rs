//! What packs, limits or holds back bodies.

use std::convert::Infallible;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::ACCEPT_ENCODING;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use voicegain_auth_tower::Identity;

use crate::common::{World, header, text};
use crate::{account, read_until, request, send, serve};

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
    assert_eq!(unpacked(answer).await, text(send(&plain, request("/v1/x", &[])).await).await);
}

async fn unpacked(answer: Response) -> String {
    let packed = answer.into_body().collect().await.unwrap().to_bytes();
    let mut text = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn with_compression_inside_a_caller_gets_what_the_handler_said() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let app = Router::new()
        .route("/v1/x", get(async |caller: Identity| caller.account_id().as_str().repeat(200)))
        .layer(CompressionLayer::new().gzip(true))
        .layer(world.layer());
    let headers = [("accept-encoding", "gzip"), ("authorization", &*format!("Bearer {token}"))];
    let answer = send(&app, request("/v1/x", &headers)).await;
    assert_eq!((answer.status(), header(&answer, "content-encoding")), (StatusCode::OK, Some("gzip")));
    assert_eq!(unpacked(answer).await, "acc-1".repeat(200));
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
