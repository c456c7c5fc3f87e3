//! HTTP/2 in frames of our own making: a library would refuse to send most of it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use httlib_hpack::Decoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// The kinds of frames.
pub mod kind {
    #![allow(missing_docs)]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Of `DATA` and `HEADERS`.
pub const END_STREAM: u8 = 1;
/// Of `SETTINGS` and `PING`.
pub const ACK: u8 = 1;
/// Of `HEADERS` and `CONTINUATION`.
pub const END_HEADERS: u8 = 4;

/// What a connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A `SETTINGS` frame.
#[must_use]
pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(name, value)| name.to_be_bytes().into_iter().chain(value.to_be_bytes()))
        .collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// Name and value of a field.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A field.
#[must_use]
pub fn pair(name: &str, value: &str) -> Pair {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

/// Literal fields, never indexed and without Huffman coding.
#[must_use]
pub fn block(fields: &[Pair]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        literal(name, &mut block);
        literal(value, &mut block);
    }
    block
}

/// A text with its length in front (RFC 7541, section 5).
pub fn literal(text: &[u8], into: &mut Vec<u8>) {
    let mut rest = text.len();
    if rest < 127 {
        into.push(rest as u8);
    } else {
        into.push(127);
        rest -= 127;
        while rest >= 128 {
            into.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        into.push(rest as u8);
    }
    into.extend_from_slice(text);
}

/// Something that came from the other side.
#[derive(Clone, Debug)]
pub enum Event {
    /// Header fields: of the answer, interim, or trailers.
    Headers(u32, Vec<Pair>, bool),
    /// A piece of a body.
    Data(u32, Vec<u8>, bool),
    /// A stream was reset, with this code.
    Reset(u32, u32),
    /// The connection ends, with this code.
    GoAway(u32),
    /// What the other side says of itself.
    Settings(Vec<(u16, u32)>),
    /// It asks whether somebody is there.
    Ping,
}

/// The receiving side of a connection.
#[derive(Debug)]
pub struct Receiver {
    stream: OwnedReadHalf,
    decoder: Decoder<'static>,
    headers: Vec<u8>,
}

/// Opens a connection, sends the preface and these settings.
///
/// # Errors
/// If nobody listens.
pub async fn connect(addr: SocketAddr, own: &[(u16, u32)]) -> io::Result<(Receiver, OwnedWriteHalf)> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    write.write_all(PREFACE).await?;
    write.write_all(&settings(own)).await?;
    Ok((Receiver { stream: read, decoder: Decoder::default(), headers: Vec::new() }, write))
}

/// Whether HTTP/2 is spoken there, without asking for it first.
pub async fn is_spoken(addr: SocketAddr) -> bool {
    let Ok((mut receiver, _write)) = connect(addr, &[]).await else { return false };
    let mut head = [0; 9];
    let first = timeout(Duration::from_secs(2), receiver.stream.read_exact(&mut head)).await;
    // Servers begin with their settings too, on stream 0.
    matches!(first, Ok(Ok(_))) && head[3] == kind::SETTINGS && head[5..] == [0; 4]
}

impl Receiver {
    /// The next event, `None` at the end. `reply` takes what must be sent back.
    ///
    /// # Errors
    /// If the connection breaks, or what comes is no HTTP/2.
    pub async fn next(&mut self, reply: &mut Vec<u8>) -> io::Result<Option<Event>> {
        loop {
            let mut head = [0; 9];
            if self.stream.read_exact(&mut head).await.is_err() {
                return Ok(None);
            }
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags) = (head[3], head[4]);
            let id = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await?;
            let end = flags & END_STREAM != 0;
            match kind {
                kind::SETTINGS if flags & ACK == 0 => {
                    reply.extend(frame(kind::SETTINGS, ACK, 0, &[]));
                    let value = |setting: &[u8]| {
                        (u16::from(setting[0]) << 8 | u16::from(setting[1]), code(setting, 2))
                    };
                    return Ok(Some(Event::Settings(payload.chunks_exact(6).map(value).collect())));
                }
                kind::PING if flags & ACK == 0 => {
                    reply.extend(frame(kind::PING, ACK, 0, &payload));
                    return Ok(Some(Event::Ping));
                }
                kind::GOAWAY => return Ok(Some(Event::GoAway(code(&payload, 4)))),
                kind::RST_STREAM => return Ok(Some(Event::Reset(id, code(&payload, 0)))),
                kind::HEADERS | kind::CONTINUATION => {
                    self.headers.extend(payload);
                    if flags & END_HEADERS != 0 {
                        let mut fields = Vec::new();
                        let mut block = std::mem::take(&mut self.headers);
                        self.decoder.decode(&mut block, &mut fields).map_err(|error| {
                            io::Error::new(io::ErrorKind::InvalidData, format!("header block: {error:?}"))
                        })?;
                        let fields = fields.into_iter().map(|(name, value, _)| (name, value)).collect();
                        return Ok(Some(Event::Headers(id, fields, end)));
                    }
                }
                kind::DATA => return Ok(Some(Event::Data(id, payload, end))),
                _ => {}
            }
        }
    }
}

fn code(payload: &[u8], at: usize) -> u32 {
    payload.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// How one request over HTTP/2 ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an answer: status and body.
    Answer(u16, Vec<u8>),
    /// The stream was reset.
    Reset(u32),
    /// The connection was ended.
    GoAway(u32),
    /// The connection was closed.
    Closed,
    /// Nothing more came.
    Silence,
    /// Nobody listened.
    NoConnection,
}

impl Ended {
    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Answer(status, _) => status.to_string(),
            Self::Reset(code) => format!("reset, error {code}"),
            Self::GoAway(code) => format!("GOAWAY, error {code}"),
            Self::Closed => "closed".to_owned(),
            Self::Silence => "no answer".to_owned(),
            Self::NoConnection => "no connection".to_owned(),
        }
    }
}

/// Sends these bytes behind the settings and waits for what becomes of stream 1.
pub async fn exchange(addr: SocketAddr, bytes: &[u8], patience: Duration) -> Ended {
    let Ok((mut receiver, mut write)) = connect(addr, &[]).await else { return Ended::NoConnection };
    // What is sent may be answered, and the connection closed, before all of it is taken.
    let _ = timeout(patience, write.write_all(bytes)).await;
    let mut answer = (0, Vec::new());
    let mut reply = Vec::new();
    let waited = timeout(patience, async {
        loop {
            let event = receiver.next(&mut reply).await;
            if !reply.is_empty() && write.write_all(&std::mem::take(&mut reply)).await.is_err() {
                reply.clear();
            }
            match event {
                Ok(Some(Event::Headers(1, fields, end))) => {
                    let status = fields.iter().find(|(name, _)| name == b":status");
                    let status = status.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
                    if let Some(status) = status.filter(|status| *status >= 200) {
                        answer.0 = status;
                    }
                    if end {
                        return Ended::Answer(answer.0, std::mem::take(&mut answer.1));
                    }
                }
                Ok(Some(Event::Data(1, piece, end))) => {
                    answer.1.extend(piece);
                    if end {
                        return Ended::Answer(answer.0, std::mem::take(&mut answer.1));
                    }
                }
                Ok(Some(Event::Reset(1, code))) if answer.0 == 0 => return Ended::Reset(code),
                Ok(Some(Event::Reset(1, _))) => {
                    return Ended::Answer(answer.0, std::mem::take(&mut answer.1));
                }
                Ok(Some(Event::GoAway(code))) => return Ended::GoAway(code),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Ended::Closed,
            }
        }
    })
    .await;
    match waited {
        Ok(ended) => ended,
        Err(_) if answer.0 != 0 => Ended::Answer(answer.0, answer.1),
        Err(_) => Ended::Silence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_can_be_decoded() {
        let long = "x".repeat(5000);
        let mut block = block(&[pair("name", "value"), pair("long", &long)]);
        let mut fields = Vec::new();
        Decoder::default().decode(&mut block, &mut fields).unwrap();
        assert_eq!(fields[0].0, b"name");
        assert_eq!(fields[1].1, long.as_bytes());
    }

    #[test]
    fn frames_have_nine_bytes_in_front() {
        assert_eq!(frame(kind::PING, ACK, 7, b"12"), [0, 0, 2, 6, 1, 0, 0, 0, 7, b'1', b'2']);
        assert_eq!(settings(&[(4, 1)])[9..], [0, 4, 0, 0, 0, 1]);
    }
}
