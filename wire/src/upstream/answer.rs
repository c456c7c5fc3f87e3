use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::strict::{Framing, Request};

/// How much `/large` gives.
const LARGE: usize = 8 << 20;

/// What a request is answered.
pub(super) enum Answer {
    Nothing,
    Whole(Vec<u8>),
    /// It has gone already, before the body came.
    Early,
    Large,
    /// Nothing may come after it.
    Closing(Vec<u8>),
    Tunnel(Vec<u8>),
    /// A tunnel, but not yet.
    Late(Vec<u8>),
}

impl Answer {
    pub(super) fn to(request: &Request) -> Self {
        let path = request.head.target.split('?').next().unwrap_or_default();
        match path.rsplit('/').next().unwrap_or_default() {
            "hold" => Self::Nothing,
            "early" => Self::Early,
            "large" => Self::Large,
            "ws" if is_handshake(request) => Self::Tunnel(agreement(request, true)),
            "ws-late" if is_handshake(request) => Self::Late(agreement(request, true)),
            "ws-wrong" if is_handshake(request) => Self::Closing(agreement(request, false)),
            "ws-no" if is_handshake(request) => Self::Closing(echo(request)),
            "uninvited" => Self::Closing(agreement(request, true)),
            _ => Self::Whole(echo(request)),
        }
    }
}

fn is_handshake(request: &Request) -> bool {
    request.framing == Framing::None
        && request.head.lists("connection", "upgrade")
        && request.head.lists("upgrade", "websocket")
}

/// What stands in most answers: which request it is an answer to. An early one cannot know how long the body is.
pub fn body_of_answer(request: &Request) -> Vec<u8> {
    match &*request.head.method {
        "HEAD" => Vec::new(),
        method => told(method, &request.head.target, request.body.len()),
    }
}

fn told(method: &str, target: &str, length: usize) -> Vec<u8> {
    format!("{method} {target} {}", if is_early(target) { 0 } else { length }).into_bytes()
}

pub(super) fn echo(request: &Request) -> Vec<u8> {
    let Request { head, body, .. } = request;
    let length = told(&head.method, &head.target, body.len()).len();
    let start = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    [start.into_bytes(), body_of_answer(request)].concat()
}

/// Whether a request to this is answered as soon as its head has come.
pub fn is_early(target: &str) -> bool {
    target.ends_with("/early")
}

/// Whether nothing of it is read behind the head.
pub(super) fn is_unread(request: &Request) -> bool {
    request.head.target.ends_with("/unread")
}

fn agreement(request: &Request, right: bool) -> Vec<u8> {
    let mut hash = Sha1::new();
    hash.update(request.head.all("sec-websocket-key").next().unwrap_or_default());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = if right { STANDARD.encode(hash.finalize()) } else { STANDARD.encode([7; 20]) };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

pub(super) async fn send_large(stream: &mut TcpStream) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let piece = [b'x'; 64 * 1024];
    for _ in 0..LARGE / piece.len() {
        stream.write_all(&piece).await?;
    }
    Ok(())
}
