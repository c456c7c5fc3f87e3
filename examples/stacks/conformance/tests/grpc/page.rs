//! Calls of a page, in gRPC-Web: as bytes, and as text, which browsers' clients send as well.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conformance::http1::Response;
use conformance::stack::Variant;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_app::Talk;
use tonic_app::talk_server::TalkServer;
use tonic_web::GrpcWebLayer;
use voicegain_auth_tower::{AuthLayer, Grpc};

use crate::common::{PAGE, ask, world};
use crate::start;

/// A frame with the message `hi`.
pub const HI: &[u8] = b"\0\0\0\0\x04\x0a\x02hi";

/// The two forms: bytes, and the same in base64.
pub const FORMS: [&str; 2] = ["application/grpc-web+proto", "application/grpc-web-text"];

/// The head of a page's call, in this form.
pub fn head(form: &str, method: &str, authorization: &str) -> Vec<String> {
    vec![
        format!("POST /example.Talk/{method} HTTP/1.1"),
        format!("Content-Type: {form}"),
        format!("Accept: {form}"),
        "X-Grpc-Web: 1".to_owned(),
        format!("Origin: {PAGE}"),
        authorization.to_owned(),
    ]
}

/// The body in this form.
pub fn body(form: &str, frame: &[u8]) -> Vec<u8> {
    if form == FORMS[1] { STANDARD.encode(frame).into_bytes() } else { frame.to_owned() }
}

pub async fn call(addr: SocketAddr, form: &str, method: &str, authorization: &str) -> Response {
    let head = head(form, method, authorization);
    let lines: Vec<_> = head.iter().map(String::as_str).collect();
    ask(addr, &lines, &body(form, HI), b"").await
}

/// The texts of an answer's messages, and its trailers.
fn read(answer: &Response, form: &str) -> (Vec<String>, String) {
    // Each piece that was sent is base64 of its own, padding included.
    let decode = |four: &[u8]| STANDARD.decode(four).unwrap();
    let bytes =
        if form == FORMS[1] { answer.body.chunks(4).flat_map(decode).collect() } else { answer.body.clone() };
    let (mut rest, mut texts) = (bytes.as_slice(), Vec::new());
    loop {
        let (head, after) = rest.split_at(5);
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let (frame, after) = after.split_at(length);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if head[0] == 0x80 {
            assert!(after.is_empty(), "the trailers come last");
            return (texts, text(frame));
        }
        assert_eq!(frame[0], 0x0a, "the tag of the text, and then its length");
        texts.push(text(&frame[2..]));
        rest = after;
    }
}

/// Panics unless a page can read this answer, and all of a refusal in it.
pub fn assert_readable(answer: &Response) {
    assert_eq!(answer.one("access-control-allow-origin").unwrap(), "*");
    let exposed = answer.list("access-control-expose-headers");
    for name in ["grpc-status", "grpc-message", "voicegain-reason", "retry-after"] {
        assert!(exposed.iter().any(|it| it == name), "{name} of {exposed:?}");
    }
}

#[tokio::test]
async fn it_may_ask_whether_it_may() {
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
    for name in ["authorization", "content-type", "x-grpc-web"] {
        assert!(allowed.iter().any(|it| it == name), "{name} of {allowed:?}");
    }
}

#[tokio::test]
async fn it_is_answered_in_its_own_form_once_and_as_a_stream() {
    let running = start().await;
    let authorization = format!("Authorization: Bearer {}", running.world.token);
    for form in FORMS {
        for (method, expected) in
            [("Hello", vec!["acc-1 says hi"]), ("Count", vec!["acc-1 1", "acc-1 2", "acc-1 3"])]
        {
            let answer = call(running.addr, form, method, &authorization).await;
            assert_eq!(answer.status, 200, "{form} {method}");
            assert!(answer.one("content-type").unwrap().starts_with(form), "{}", answer.describe());
            assert_readable(&answer);
            let (texts, trailers) = read(&answer, form);
            assert_eq!(texts, expected, "{form} {method}");
            assert!(trailers.contains("grpc-status:0"), "{trailers:?}");
        }
    }
}

#[tokio::test]
async fn it_can_read_why_it_is_refused() {
    let running = start().await;
    let other_page = format!("Authorization: Bearer {}", running.world.limited("/elsewhere"));
    for (authorization, status, reason) in [
        ("X-None: 1", "16", "missing_token"),
        ("Authorization: Bearer x", "16", "invalid_token"),
        // It has no `aud`, which no page matches.
        (other_page.as_str(), "7", "origin_not_allowed"),
    ] {
        for (form, method) in FORMS.into_iter().flat_map(|form| [(form, "Hello"), (form, "Count")]) {
            let answer = call(running.addr, form, method, authorization).await;
            assert_eq!(answer.status, 200, "{reason}");
            assert!(answer.one("content-type").unwrap().starts_with(form), "{}", answer.describe());
            assert_eq!(answer.one("grpc-status").unwrap(), status, "{reason}");
            assert_eq!(answer.one("voicegain-reason").unwrap(), reason);
            assert!(answer.one("grpc-message").is_some());
            assert_readable(&answer);
            assert!(answer.body.is_empty(), "{:?}", answer.body);
        }
    }
}

/// Why the example has the layers in the order it has them.
#[tokio::test]
async fn with_the_layer_outside_of_grpc_web_a_refusal_is_not_for_browsers() {
    let world = world(Variant::Default).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let auth = AuthLayer::new(world.verifier.clone()).rejection_body(Grpc).outermost();
    let mut server = Server::builder().accept_http1(true).layer(auth).layer(GrpcWebLayer::new());
    let router = server.add_service(TalkServer::new(Talk));
    let task = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    for (authorization, kind) in [
        ("X-None: 1".to_owned(), "application/grpc"),
        (format!("Authorization: Bearer {}", world.token), FORMS[0]),
    ] {
        let answer = call(addr, FORMS[0], "Hello", &authorization).await;
        assert_eq!(answer.one("content-type").unwrap(), kind);
    }
    task.abort();
}
