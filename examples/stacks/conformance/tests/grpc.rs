//! tonic's server with the layers of its example: from a gRPC client's point of view, and from a browser's.

mod common;

use std::net::SocketAddr;

use common::{PAGE, World, ask, world};
use conformance::stack::Variant;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_app::talk_client::TalkClient;
use tonic_app::talk_server::TalkServer;
use tonic_app::{Talk, Text, server};
use tonic_web::GrpcWebLayer;
use voicegain_auth_tower::{AuthLayer, Grpc};

struct Running {
    world: World,
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start() -> Running {
    let world = world(Variant::Default).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let router = server(AuthLayer::new(world.verifier.clone())).add_service(TalkServer::new(Talk));
    let task = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    Running { world, addr, task }
}

async fn client(addr: SocketAddr) -> TalkClient<Channel> {
    let channel = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
    TalkClient::new(channel)
}

fn with<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

fn text(text: &str) -> Text {
    text.to_owned().into()
}

fn texts() -> tokio_stream::Iter<std::vec::IntoIter<Text>> {
    tokio_stream::iter(vec![text("a"), text("b")])
}

#[tokio::test]
async fn calls_of_all_four_kinds_are_let_in() {
    let running = start().await;
    let token = Some(running.world.token.as_str());
    let mut client = client(running.addr).await;
    let answer = client.hello(with(text("hi"), token)).await.unwrap().into_inner();
    assert_eq!(answer.text, "acc-1 says hi");
    let answer = client.collect(with(texts(), token)).await.unwrap().into_inner();
    assert_eq!(answer.text, "acc-1 says a b");
    let mut answers = client.count(with(text(""), token)).await.unwrap().into_inner();
    for number in 1..=3 {
        assert_eq!(answers.message().await.unwrap().unwrap().text, format!("acc-1 {number}"));
    }
    assert_eq!(answers.message().await.unwrap(), None);
    let mut answers = client.chat(with(texts(), token)).await.unwrap().into_inner();
    for letter in ["a", "b"] {
        assert_eq!(answers.message().await.unwrap().unwrap().text, format!("acc-1 says {letter}"));
    }
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn calls_of_all_four_kinds_are_refused_before_anything_is_answered() {
    let running = start().await;
    let limited = running.world.limited("/elsewhere");
    let mut client = client(running.addr).await;
    let is = |status: Status, code: Code, reason: &str| {
        assert_eq!(status.code(), code, "{status}");
        // In the metadata of a status it can be only if there was no answer but that: the refusal is trailers only.
        assert_eq!(status.metadata().get("voicegain-reason").unwrap(), reason);
        assert!(status.message().contains("token"), "{status}");
    };
    for (token, code, reason) in [
        (None, Code::Unauthenticated, "missing_token"),
        (Some("x"), Code::Unauthenticated, "invalid_token"),
        (Some(limited.as_str()), Code::PermissionDenied, "insufficient_scope"),
    ] {
        is(client.hello(with(text("hi"), token)).await.unwrap_err(), code, reason);
        is(client.collect(with(texts(), token)).await.unwrap_err(), code, reason);
        is(client.count(with(text(""), token)).await.unwrap_err(), code, reason);
        is(client.chat(with(texts(), token)).await.unwrap_err(), code, reason);
    }
}

#[tokio::test]
async fn a_token_limited_to_a_service_is_good_for_it() {
    let world = world(Variant::Default).await;
    let policy = voicegain_auth_core::Policy::builder().base_path("/").build().unwrap();
    let verifier = voicegain_auth_core::Verifier::new(world.verifier.cache().clone(), policy);
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let router = server(AuthLayer::new(verifier)).add_service(TalkServer::new(Talk));
    let task = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    let mut client = client(addr).await;
    let (good, other) = (world.limited("/example.Talk"), world.limited("/example.Tal"));
    assert_eq!(client.hello(with(text("hi"), Some(&good))).await.unwrap().into_inner().text, "acc-1 says hi");
    let status = client.hello(with(text("hi"), Some(&other))).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    task.abort();
}

/// A frame with the message `hi`.
const HI: &[u8] = b"\0\0\0\0\x04\x0a\x02hi";

fn page_asks(authorization: &str) -> Vec<String> {
    let origin = format!("Origin: {PAGE}");
    let lines =
        ["POST /example.Talk/Hello HTTP/1.1", "Content-Type: application/grpc-web+proto", "X-Grpc-Web: 1"];
    let accept = "Accept: application/grpc-web+proto";
    lines.into_iter().chain([accept, authorization, origin.as_str()]).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_browser_may_ask_whether_it_may_and_then_does() {
    let running = start().await;
    let origin = format!("Origin: {PAGE}");
    let preflight = [
        "OPTIONS /example.Talk/Hello HTTP/1.1",
        origin.as_str(),
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization,content-type,x-grpc-web",
    ];
    let answer = ask(running.addr, &preflight, b"", b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.one("access-control-allow-origin").unwrap(), "*");
    let allowed = answer.list("access-control-allow-headers");
    assert!(
        ["authorization", "content-type", "x-grpc-web"]
            .iter()
            .all(|name| allowed.iter().any(|it| it == name))
    );

    let authorization = format!("Authorization: Bearer {}", running.world.token);
    let lines = page_asks(&authorization);
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let answer = ask(running.addr, &lines, HI, b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.one("content-type").unwrap(), "application/grpc-web+proto");
    assert_eq!(answer.one("access-control-allow-origin").unwrap(), "*");
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(body.contains("acc-1 says hi"), "{body:?}");
    assert!(body.contains("grpc-status:0"), "{body:?}");
}

#[tokio::test]
async fn a_browser_can_read_why_it_is_refused() {
    let running = start().await;
    let other_page = format!("Authorization: Bearer {}", running.world.limited("/elsewhere"));
    for (authorization, status, reason) in [
        ("X-None: 1", "16", "missing_token"),
        ("Authorization: Bearer x", "16", "invalid_token"),
        // It has no `aud`, which no page matches.
        (other_page.as_str(), "7", "origin_not_allowed"),
    ] {
        let lines = page_asks(authorization);
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let answer = ask(running.addr, &lines, HI, b"").await;
        assert_eq!(answer.status, 200, "{reason}");
        assert_eq!(answer.one("content-type").unwrap(), "application/grpc-web+proto", "{reason}");
        assert_eq!(answer.one("grpc-status").unwrap(), status, "{reason}");
        assert_eq!(answer.one("voicegain-reason").unwrap(), reason);
        assert!(answer.one("grpc-message").is_some());
        assert_eq!(answer.one("access-control-allow-origin").unwrap(), "*", "{reason}");
        let exposed = answer.list("access-control-expose-headers");
        for name in ["grpc-status", "grpc-message", "voicegain-reason"] {
            assert!(exposed.iter().any(|it| it == name), "{name} of {exposed:?}");
        }
        assert!(answer.body.is_empty(), "{:?}", answer.body);
    }
}

/// Why the example has the layers in the order it has them.
#[tokio::test]
async fn with_the_layer_outside_of_grpc_web_a_refusal_is_not_for_browsers() {
    let world = world(Variant::Default).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let auth = AuthLayer::new(world.verifier.clone()).rejection_body(Grpc).outermost();
    let server = Server::builder().accept_http1(true).layer(auth).layer(GrpcWebLayer::new());
    let mut server = server;
    let router = server.add_service(TalkServer::new(Talk));
    let task = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    for (authorization, kind) in [
        ("X-None: 1".to_owned(), "application/grpc"),
        (format!("Authorization: Bearer {}", world.token), "application/grpc-web+proto"),
    ] {
        let lines = page_asks(&authorization);
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        assert_eq!(ask(addr, &lines, HI, b"").await.one("content-type").unwrap(), kind);
    }
    task.abort();
}
