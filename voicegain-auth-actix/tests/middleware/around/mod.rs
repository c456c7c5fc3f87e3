//! What applications put around `Auth`, and inside of it: what must hold whichever way.

mod bodies;
mod limits;
mod logs;
mod panics;
mod routes;
mod websockets;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use voicegain_auth_actix::Identity;

use crate::support::Answer;

pub(crate) async fn account(identity: Identity) -> String {
    identity.account_id().to_string()
}

/// An answer's head, and its body that is no text.
pub(crate) fn split(bytes: &[u8]) -> (Answer, Vec<u8>) {
    let at = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    (Answer::parse(&bytes[..at]), bytes[at..].to_vec())
}

/// A connection with this much sent, whose reads do not wait for ever.
pub(crate) fn begin(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// What comes until it ends with `end`, and nothing that comes after.
pub(crate) fn read_until(stream: &mut TcpStream, end: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    bytes
}
