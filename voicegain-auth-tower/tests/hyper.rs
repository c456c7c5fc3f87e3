//! The layer on bare hyper, over HTTP/1.1 and HTTP/2.

#![allow(clippy::unwrap_used, reason = "clippy takes only what is marked as a test for one")]

mod common;

use bytes::Bytes;
use common::{World, header, reason, tell, text};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::DuplexStream;
use tower::{Layer, service_fn};

/// A connection to a server with the layer around [`tell`].
fn connect(world: &World) -> TokioIo<DuplexStream> {
    let service = world.layer().layer(service_fn(tell::<Incoming>));
    let (client, server) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let builder = auto::Builder::new(TokioExecutor::new());
        builder.serve_connection(TokioIo::new(server), TowerToHyperService::new(service)).await
    });
    TokioIo::new(client)
}

async fn send(world: &World, two: bool, request: Request<Empty<Bytes>>) -> Response<Incoming> {
    if two {
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), connect(world)).await.unwrap();
        tokio::spawn(connection);
        client.send_request(request).await.unwrap()
    } else {
        let (mut client, connection) = http1::handshake(connect(world)).await.unwrap();
        tokio::spawn(connection);
        client.send_request(request).await.unwrap()
    }
}

fn request(method: Method, two: bool, token: Option<&str>) -> Request<Empty<Bytes>> {
    let uri = if two { "http://api.test/v1/x" } else { "/v1/x" };
    let mut request = Request::builder().method(method).uri(uri);
    if !two {
        request = request.header("host", "api.test");
    }
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Empty::new()).unwrap()
}

#[tokio::test]
async fn requests_are_let_in_and_refused_over_both_versions() {
    let world = World::new().await;
    let token = world.long_lived().await;
    for two in [false, true] {
        let response = send(&world, two, request(Method::GET, two, Some(&token))).await;
        assert_eq!(response.status(), StatusCode::OK);
        let response = send(&world, two, request(Method::GET, two, None)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(reason(response).await, "missing_token");
    }
}

#[tokio::test]
async fn a_refused_head_has_the_same_headers_and_no_body() {
    let world = World::new().await;
    for two in [false, true] {
        let response = send(&world, two, request(Method::HEAD, two, None)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert!(header(&response, "www-authenticate").is_some());
        assert_eq!(text(response).await, "", "HTTP/2: {two}");
    }
}
