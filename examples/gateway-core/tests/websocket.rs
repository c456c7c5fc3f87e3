//! WebSockets through the forwarder, over real sockets (rule V10).

mod common;

use bytes::Bytes;
use common::*;
use http::uri::Scheme;
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use voicegain_gateway_core::forward::{ClientUpgrade, Ending, ForwardContext, Forwarder};

const HANDSHAKE: &str = "GET /ws?x=1 HTTP/1.1\r\nHost: api.example\r\nConnection: keep-alive, Upgrade\r\n\
     Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Protocol: chat\r\nX-Voicegain-Account-Id: forged\r\n\r\n";
const AGREEMENT: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

#[tokio::test]
async fn v10_a_websocket_is_tunnelled_both_ways() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send(HANDSHAKE).await;
    let mut upstream_side = Raw::accept(&listener).await;
    let head = upstream_side.read_head().await;
    assert!(head.starts_with("GET /ws?x=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        "connection: Upgrade".to_owned(),
        "upgrade: websocket".to_owned(),
        "sec-websocket-version: 13".to_owned(),
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
        "sec-websocket-protocol: chat".to_owned(),
        "x-voicegain-account-id: the-real-one".to_owned(),
        "x-forwarded-host: api.example".to_owned(),
        format!("host: {upstream}"),
    ] {
        assert!(has_line(&head, &line), "{line} is missing:\n{head}");
    }
    // A first frame in the same packet as the answer.
    upstream_side.send(&format!("{AGREEMENT}\u{1}first")).await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "sec-websocket-protocol: chat",
    ] {
        assert!(has_line(&head, line), "{line} is missing:\n{head}");
    }
    assert_eq!(client.read_to("first").await, "\u{1}first");
    client.send("ping").await;
    assert_eq!(upstream_side.read_to("ping").await, "ping");
    upstream_side.send("pong").await;
    assert_eq!(client.read_to("pong").await, "pong");

    // One direction ends, the other goes on.
    client.0.shutdown().await.unwrap();
    assert_eq!(upstream_side.read_all().await, "");
    upstream_side.send("bye").await;
    assert_eq!(client.read_to("bye").await, "bye");
    drop(upstream_side);
    assert_eq!(client.read_all().await, "");
}

#[tokio::test]
async fn v10_early_bytes_wait_for_the_agreement() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send(&format!("{HANDSHAKE}early")).await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    settle().await;
    upstream_side.assert_silent();
    upstream_side.send(AGREEMENT).await;
    assert_eq!(upstream_side.read_to("early").await, "early");
}

#[tokio::test]
async fn v10_a_wrong_agreement_is_502_and_no_byte_passes() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    for wrong in [
        AGREEMENT.replace("s3pPLMBi", "AAAAAAAA"),
        AGREEMENT.replace("Sec-WebSocket-Accept", "X-Accept"),
        AGREEMENT.replace("Upgrade: websocket", "Upgrade: foo"),
        AGREEMENT.replace("Connection: upgrade\r\n", ""),
    ] {
        let mut client = Raw::connect(gateway.address).await;
        client.send(&format!("{HANDSHAKE}early")).await;
        let mut upstream_side = Raw::accept(&listener).await;
        upstream_side.read_head().await;
        upstream_side.send(&wrong).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 502 "), "{wrong}");
        assert_eq!(client.read_to("upstream_unavailable").await, "upstream_unavailable");
        assert_eq!(upstream_side.read_all().await, "", "closed without a client's byte: {wrong}");
    }
}

#[tokio::test]
async fn v10_another_answer_is_passed_back_and_the_connection_closed() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    for status in ["200 OK", "404 Not Found", "426 Upgrade Required"] {
        let mut client = Raw::connect(gateway.address).await;
        client.send(HANDSHAKE).await;
        let mut upstream_side = Raw::accept(&listener).await;
        upstream_side.read_head().await;
        upstream_side
            .send(&format!("HTTP/1.1 {status}\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno"))
            .await;
        let head = client.read_head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        assert_eq!(count_field(&head, "upgrade"), 0, "{head}");
        assert_eq!(client.read_to("no").await, "no");
        assert_eq!(upstream_side.read_all().await, "", "rule V10: closed, not pooled");
    }
}

#[tokio::test]
async fn a_websocket_to_an_upstream_that_is_down_is_502() {
    let (listener, upstream) = listen().await;
    drop(listener);
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send(HANDSHAKE).await;
    assert!(client.read_to("upstream_unavailable").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn a_websocket_to_a_silent_upstream_is_504() {
    let (listener, upstream) = listen().await;
    let mut short = config(upstream);
    short.response_timeout = std::time::Duration::from_millis(200);
    let gateway = gateway(short).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send(HANDSHAKE).await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    assert!(client.read_to("upstream_timeout").await.starts_with("HTTP/1.1 504 "));
    assert_eq!(upstream_side.read_all().await, "");
}

#[tokio::test]
async fn c8_ending_reaches_a_tunnel() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send(HANDSHAKE).await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    upstream_side.send(AGREEMENT).await;
    client.read_head().await;
    client.send("ping").await;
    upstream_side.read_to("ping").await;
    gateway.ended.cancel();
    assert_eq!(client.read_all().await, "", "rule C8");
    assert_eq!(upstream_side.read_all().await, "", "rule C8");
}

/// A server that is not hyper's hands over a pipe instead.
#[tokio::test]
async fn v10_a_tunnel_through_a_pipe_holds_early_bytes_too_and_lets_go() {
    struct Over(CancellationToken);
    impl Drop for Over {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }

    let (listener, upstream) = listen().await;
    let forwarder = Forwarder::new(config(upstream)).unwrap();
    let over = CancellationToken::new();
    let (ours, mut clients) = tokio::io::duplex(1024);
    clients.write_all(b"early").await.unwrap();
    let mut context = ForwardContext::new([127, 0, 0, 1].into(), Scheme::HTTP);
    context.upgrade = Some(ClientUpgrade::Duplex(ours));
    let until_then = Over(over.clone());
    context.ending = Some(Ending::when(async move {
        let _until_then = until_then;
        std::future::pending().await
    }));
    let request = Request::get("/ws")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let opening = tokio::spawn(async move { forwarder.forward(request, context).await });
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    settle().await;
    upstream_side.assert_silent();
    upstream_side.send(AGREEMENT).await;
    assert_eq!(within(opening).await.unwrap().unwrap().status(), 101);
    assert_eq!(upstream_side.read_to("early").await, "early");
    upstream_side.send("pong").await;
    let mut buffer = [0; 4];
    within(clients.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"pong");

    assert!(!over.is_cancelled(), "the exchange goes on");
    drop(clients);
    drop(upstream_side);
    within(over.cancelled()).await;
}

/// So that a server can tell how long a WebSocket is there.
#[tokio::test]
async fn what_is_attached_to_a_request_is_kept_until_the_end_of_its_tunnel() {
    let (listener, upstream) = listen().await;
    let forwarder = Forwarder::new(config(upstream)).unwrap();
    let attached = std::sync::Arc::new(());
    let kept = attached.clone();
    let address = serve(move |mut request| {
        request.extensions_mut().insert(kept.clone());
        let context = ForwardContext::new([127, 0, 0, 1].into(), Scheme::HTTP);
        let response = forwarder.forward(request, context);
        async move { response.await.unwrap().map(http_body_util::BodyExt::boxed_unsync) }
    })
    .await;
    let mut client = Raw::connect(address).await;
    client.send(HANDSHAKE).await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    upstream_side.send(AGREEMENT).await;
    client.read_head().await;
    settle().await;
    let others = 2;
    assert_eq!(std::sync::Arc::strong_count(&attached), others + 1, "the tunnel's");
    drop((client, upstream_side));
    within(async {
        while std::sync::Arc::strong_count(&attached) > others {
            settle().await;
        }
    })
    .await;
}

async fn connect_h2(gateway: &Gateway) -> http2::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap();
    // The server's settings, which allow the extended CONNECT, come before its first response.
    let request = Request::trace(format!("http://{}/", gateway.address)).body(Empty::new()).unwrap();
    assert_eq!(within(sender.send_request(request)).await.unwrap().status(), 405);
    sender
}

fn extended_connect(gateway: &Gateway, protocol: &'static str) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri(format!("http://{}/ws?x=1", gateway.address))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .body(Empty::new())
        .unwrap()
}

/// What a server answers to a handshake.
fn agree(head: &str) -> String {
    use base64::Engine as _;
    use sha1::Digest as _;
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    let hash = sha1::Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(hash);
    AGREEMENT.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &accept)
}

#[tokio::test]
async fn v10_extended_connect_becomes_an_upgrade() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut sender = connect_h2(&gateway).await;
    let opening = tokio::spawn(sender.send_request(extended_connect(&gateway, "websocket")));
    let mut upstream_side = Raw::accept(&listener).await;
    let head = upstream_side.read_head().await;
    assert!(head.starts_with("GET /ws?x=1 HTTP/1.1\r\n"), "{head}");
    for line in ["connection: Upgrade", "upgrade: websocket", "sec-websocket-protocol: chat"] {
        assert!(has_line(&head, line), "{line} is missing:\n{head}");
    }
    upstream_side.send(&agree(&head)).await;
    let mut response = within(opening).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let mut tunnel = TokioIo::new(within(hyper::upgrade::on(&mut response)).await.unwrap());
    tunnel.write_all(b"ping").await.unwrap();
    assert_eq!(upstream_side.read_to("ping").await, "ping");
    upstream_side.send("pong").await;
    let mut buffer = [0; 4];
    within(tunnel.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"pong");

    gateway.ended.cancel();
    assert_eq!(upstream_side.read_all().await, "", "rule C8");
    let mut rest = Vec::new();
    let _ = within(tunnel.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "rule C8");
}

#[tokio::test]
async fn v10_extended_connect_does_not_take_another_answer_for_an_agreement() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut sender = connect_h2(&gateway).await;
    for (answer, status) in [("200 OK", 502), ("204 No Content", 502), ("403 Forbidden", 403)] {
        let opening = tokio::spawn(sender.send_request(extended_connect(&gateway, "websocket")));
        let mut upstream_side = Raw::accept(&listener).await;
        upstream_side.read_head().await;
        upstream_side.send(&format!("HTTP/1.1 {answer}\r\n\r\n")).await;
        if answer.starts_with("403") {
            upstream_side.0.shutdown().await.unwrap();
        }
        let response = within(opening).await.unwrap().unwrap();
        assert_eq!(response.status(), status, "{answer}");
        within(response.into_body().collect()).await.unwrap();
        assert_eq!(upstream_side.read_all().await, "", "the connection is closed: {answer}");
    }
    let response = within(sender.send_request(extended_connect(&gateway, "connect-udp"))).await.unwrap();
    assert_eq!(response.status(), 405);
}
