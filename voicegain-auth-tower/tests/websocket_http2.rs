//! WebSockets over HTTP/2 (RFC 8441), which only the feature `http2` can tell from other requests.

#![allow(clippy::unwrap_used, reason = "clippy takes only what is marked as a test for one")]

mod common;

use std::convert::Infallible;

use bytes::Bytes;
use common::{World, header, reason};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn;
use hyper::ext::Protocol;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tower::{Layer, service_fn};
use voicegain_auth_core::{Policy, TokenSources};
use voicegain_auth_tower::AuthLayer;

/// Opens the WebSocket, and names the protocols that came in.
async fn open(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::default();
    let protocols = request.headers().get("sec-websocket-protocol").cloned();
    response.headers_mut().extend(protocols.map(|value| (http::HeaderName::from_static("x-seen"), value)));
    Ok(response)
}

async fn send(world: &World, request: Request<Empty<Bytes>>) -> Response<Incoming> {
    let mut sources = TokenSources::default();
    (sources.query, sources.protocol) = (true, true);
    let policy = Policy::builder().token_sources(sources).build().unwrap();
    let service = AuthLayer::new(world.verifier(policy)).layer(service_fn(open));
    let (client, server) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.enable_connect_protocol();
        builder.serve_connection(TokioIo::new(server), TowerToHyperService::new(service)).await
    });
    let (mut client, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    // An ordinary exchange, after which the server's settings, extended CONNECT among them, have arrived.
    client.send_request(Request::get("http://api.test/").body(Empty::new()).unwrap()).await.unwrap();
    client.send_request(request).await.unwrap()
}

fn connect(uri: &str, protocol: &'static str) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().method(Method::CONNECT).uri(uri).body(Empty::new()).unwrap();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    request
}

#[tokio::test]
async fn v1_a_protocol_entry_counts_on_an_extended_connect() {
    let world = World::new().await;
    let offered = format!("chat, bearer.{}", world.long_lived().await);
    let with = |protocol| {
        let mut request = connect("http://api.test/v1/socket", protocol);
        request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
        request
    };
    let response = send(&world, with("websocket")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "x-seen"), Some("chat"));
    assert_eq!(header(&response, "sec-websocket-protocol"), Some("chat"));

    let response = send(&world, with("connect-udp")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(reason(response).await, "missing_token");
}

#[tokio::test]
async fn o1_a_query_token_needs_no_origin_on_an_extended_connect() {
    let world = World::new().await;
    let uri = format!("http://api.test/v1/socket?access_token={}", world.long_lived().await);
    assert_eq!(send(&world, connect(&uri, "websocket")).await.status(), StatusCode::OK);
    assert_eq!(send(&world, connect(&uri, "connect-udp")).await.status(), StatusCode::FORBIDDEN);
}
