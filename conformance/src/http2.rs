//! One exchange over HTTP/2 with prior knowledge, in frames of our own making: a client library would refuse to send
//! half of what the cases send.

use crate::http1::{Answer, PATIENCE, Response};
use httlib_hpack::Decoder;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const STREAM: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// Sends one request (pseudo-headers first, as given) and reads its answer.
///
/// # Errors
/// If the stack cannot be reached, answers nothing in time, or does not speak HTTP/2.
pub async fn exchange(addr: SocketAddr, headers: &[(Vec<u8>, Vec<u8>)], body: &[u8]) -> io::Result<Answer> {
    timeout(PATIENCE, talk(addr, headers, body)).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("no whole answer within {PATIENCE:?}"))
    })?
}

async fn talk(addr: SocketAddr, headers: &[(Vec<u8>, Vec<u8>)], body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut out = PREFACE.to_vec();
    out.extend(frame(SETTINGS, 0, 0, &[]));
    let block = block(headers);
    if block.len() > 16_384 || body.len() > 16_384 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than one frame each is not supported"));
    }
    let end = if body.is_empty() { END_STREAM } else { 0 };
    out.extend(frame(HEADERS, END_HEADERS | end, STREAM, &block));
    if !body.is_empty() {
        out.extend(frame(DATA, END_STREAM, STREAM, body));
    }
    stream.write_all(&out).await?;

    let mut decoder = Decoder::default();
    let mut response = Response::default();
    let mut headers = Vec::new();
    loop {
        let mut head = [0; 9];
        if let Err(err) = stream.read_exact(&mut head).await {
            return Ok(Answer::Closed(format!("the connection was closed: {err}")));
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
            PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, &payload)).await?,
            GOAWAY => return Ok(Answer::Closed(format!("GOAWAY, error {}", code(&payload, 4)))),
            RST_STREAM if id == STREAM => {
                return Ok(Answer::Closed(format!("the stream was reset, error {}", code(&payload, 0))));
            }
            HEADERS | CONTINUATION if id == STREAM => {
                let flags_here = if kind == HEADERS { flags } else { 0 };
                headers.extend(unpad(&payload, flags_here)?);
                if flags & END_HEADERS != 0 {
                    read_block(&mut decoder, std::mem::take(&mut headers), &mut response)?;
                }
            }
            DATA if id == STREAM => {
                response.body.extend(unpad(&payload, flags)?);
            }
            _ => continue,
        }
        if matches!(kind, HEADERS | DATA) && id == STREAM && flags & END_STREAM != 0 {
            for (name, value) in &response.headers {
                response.raw.extend_from_slice(name.as_bytes());
                response.raw.extend_from_slice(b": ");
                response.raw.extend_from_slice(value);
                response.raw.extend_from_slice(b"\r\n");
            }
            response.raw.extend_from_slice(&response.body);
            return Ok(Answer::Response(response));
        }
    }
}

fn read_block(decoder: &mut Decoder<'_>, mut block: Vec<u8>, response: &mut Response) -> io::Result<()> {
    let mut fields = Vec::new();
    decoder
        .decode(&mut block, &mut fields)
        .map_err(|err| io::Error::new(io::ErrorKind::InvalidData, format!("header block: {err:?}")))?;
    for (name, value, _) in fields {
        let name = String::from_utf8_lossy(&name).into_owned();
        if name == ":status" {
            let status = String::from_utf8_lossy(&value).parse().unwrap_or(0);
            if (100..200).contains(&status) {
                response.interim.push(status);
            } else {
                response.status = status;
            }
        } else {
            response.headers.push((name, value));
        }
    }
    Ok(())
}

fn unpad(payload: &[u8], flags: u8) -> io::Result<Vec<u8>> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "padding");
    let mut rest = payload;
    let mut padding = 0;
    if flags & PADDED != 0 {
        let (length, tail) = rest.split_first().ok_or_else(bad)?;
        (padding, rest) = (usize::from(*length), tail);
    }
    if flags & PRIORITY != 0 {
        rest = rest.get(5..).ok_or_else(bad)?;
    }
    Ok(rest.get(..rest.len().checked_sub(padding).ok_or_else(bad)?).ok_or_else(bad)?.to_vec())
}

fn code(payload: &[u8], at: usize) -> u32 {
    payload.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Literal fields, never indexed and without Huffman coding: every byte as the case has it.
fn block(headers: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0x10);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(length: usize, into: &mut Vec<u8>) {
    if length < 127 {
        into.push(length as u8);
        return;
    }
    into.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        into.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    into.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_can_be_decoded() {
        let long = vec![b'x'; 5000];
        let mut block = block(&[(b"name".to_vec(), b"value".to_vec()), (b"long".to_vec(), long.clone())]);
        let mut fields = Vec::new();
        Decoder::default().decode(&mut block, &mut fields).unwrap();
        assert_eq!(fields[0].0, b"name");
        assert_eq!(fields[1].1, long);
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        assert_eq!(unpad(&[1, 9, 9, 9, 9, 9, b'a', 0], PADDED | PRIORITY).unwrap(), b"a");
        assert!(unpad(&[9, 1], PADDED).is_err());
    }
}
