//! axum's WebSockets.

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::any;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use voicegain_auth_tower::Identity;

use crate::common::{World, reason};
use crate::{all_sources, read_until, request, send, serve};

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
