//! WebSockets of `actix-ws`.

use std::io::{Read, Write};

use actix_web::{App, HttpRequest, HttpResponse, rt, web};
use actix_ws::Message;
use voicegain_auth_actix::Identity;

use super::{begin, read_until, split};
use crate::support::{Answer, World, all_sources, serve};

/// Repeats what it is told, and who told it.
async fn open(
    identity: Identity,
    request: HttpRequest,
    body: web::Payload,
) -> actix_web::Result<HttpResponse> {
    let (answer, mut session, mut messages) = actix_ws::handle(&request, body)?;
    rt::spawn(async move {
        while let Some(Ok(Message::Text(text))) = messages.recv().await {
            let _ = session.text(format!("{} says {text}", identity.account_id())).await;
        }
    });
    Ok(answer)
}

fn handshake(protocols: &str, origin: &str) -> String {
    format!(
        "GET /v1/socket HTTP/1.1\r\nHost: own.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n\
         Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
    )
}

#[test]
fn v1_a_websocket_of_actix_ws_takes_a_token_as_a_protocol_and_is_refused_before_the_upgrade() {
    let world = World::new();
    let auth = world.auth(all_sources());
    let server = serve!(App::new().wrap(auth.clone()).default_service(web::get().to(open)));
    let token = world.mint("aud=https://page.test");
    let both = format!("bearer.{token}, chat");
    let mut stream = begin(server.address, &handshake(&both, "https://page.test"));
    let answer = Answer::parse(&read_until(&mut stream, "\r\n\r\n"));
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some("chat".to_owned())));
    // Text, with a mask that changes nothing, and text.
    stream.write_all(b"\x81\x85\0\0\0\0hello").unwrap();
    let mut frame = [0; 18];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x81\x10acc-1 says hello");
    for (protocols, origin, status, reason) in [
        (&*both, "https://evil.test", 403, "origin_not_allowed"),
        (&*format!("bearer.{token}"), "https://page.test", 400, "invalid_request"),
        ("bearer.x, chat", "https://page.test", 401, "invalid_token"),
        ("chat", "https://page.test", 401, "missing_token"),
    ] {
        let (answer, body) = split(&server.raw(handshake(protocols, origin)));
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(String::from_utf8(body).unwrap().contains(&format!("{reason:?}")), "{answer:?}");
    }
}
