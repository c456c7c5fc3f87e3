//! The upstream that gateways are put in front of: it records every byte, and behaves as the path asks.
//!
//! A target `…/up/BEHAVIOUR/KEY` picks the behaviour, and its record is kept under the key, one per case.
//!
//! | behaviour | answer |
//! | --- | --- |
//! | `plain` | 200, `ok` |
//! | `cors` | 200 with CORS headers of its own, credentials included |
//! | `public` | 200, `Cache-Control: public, max-age=600` |
//! | `no-store` | 200, `Cache-Control: no-store` |
//! | `close` | closes without an answer |
//! | `ws` | 101 as it should be, then gives back every byte |
//! | `ws-chat` | as `ws`, and chooses the protocol `chat` itself |
//! | `ws-bad` | 101 with a wrong `Sec-WebSocket-Accept` |
//! | `ws-bare` | 101 without one |
//! | `ws-no` | 200 instead of 101 |

use crate::http1::find;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What one case's requests looked like from here.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// How many requests came.
    pub requests: usize,
    /// Everything that came.
    pub bytes: Vec<u8>,
    /// How many bytes came after a request's head.
    pub extra: usize,
    /// Whether the other side has closed.
    pub closed: bool,
}

type Records = Arc<Mutex<HashMap<String, Record>>>;

/// A running upstream. It ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    records: Records,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    /// Starts on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let records = Records::default();
        let shared = Arc::clone(&records);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let records = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _ = serve(stream, &records).await;
                });
            }
        });
        Ok(Self { addr, records, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What came for this key so far.
    pub fn record(&self, key: &str) -> Record {
        lock(&self.records).get(key).cloned().unwrap_or_default()
    }
}

fn lock(records: &Records) -> std::sync::MutexGuard<'_, HashMap<String, Record>> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, records: &Records) -> io::Result<()> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = find(&head, b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).into_owned();
    let target = text.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let mut words = path.rsplit('/');
    let key = words.next().unwrap_or_default().to_owned();
    let behaviour = words.next().unwrap_or_default().to_owned();
    let note = |change: &dyn Fn(&mut Record)| change(lock(records).entry(key.clone()).or_default());
    note(&|record| {
        record.requests += 1;
        record.bytes.extend_from_slice(&head);
        record.extra += head.len() - end;
    });

    let mut reflect = false;
    let answer = match behaviour.as_str() {
        "close" => return Ok(()),
        "cors" => plain(
            "Access-Control-Allow-Origin: https://evil.test\r\nAccess-Control-Allow-Credentials: true\r\n\
             Access-Control-Expose-Headers: X-Evil\r\n",
        ),
        "vary" => plain("Vary: Accept-Encoding\r\n"),
        "public" => plain("Cache-Control: public, max-age=600\r\n"),
        "no-store" => plain("Cache-Control: no-store\r\n"),
        "ws" | "ws-chat" => {
            reflect = true;
            let protocol = if behaviour == "ws-chat" { "Sec-WebSocket-Protocol: chat\r\n" } else { "" };
            switch(&format!("Sec-WebSocket-Accept: {}\r\n{protocol}", accept(&text)))
        }
        "ws-bad" => switch("Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
        "ws-bare" => switch(""),
        // Without `Connection: close`: the gateway must close it on its own (rule V10).
        "ws-no" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "ws-chunked" => {
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n".to_owned()
        }
        _ => plain(""),
    };
    stream.write_all(answer.as_bytes()).await?;
    loop {
        let mut chunk = Vec::with_capacity(4096);
        let count = stream.read_buf(&mut chunk).await.unwrap_or(0);
        if count == 0 {
            note(&|record| record.closed = true);
            return Ok(());
        }
        note(&|record| {
            record.bytes.extend_from_slice(&chunk);
            record.extra += count;
        });
        if reflect {
            stream.write_all(&chunk).await?;
        }
        // A slow reader would hide bytes that come late.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn plain(headers: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{headers}Connection: close\r\nContent-Length: 2\r\n\r\nok"
    )
}

fn switch(headers: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{headers}\r\n")
}

/// The `Sec-WebSocket-Accept` for a handshake (RFC 6455, section 4.2.2).
fn accept(head: &str) -> String {
    let key = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map_or("", |(_, value)| value.trim());
    STANDARD.encode(sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
}

/// SHA-1, for the handshake alone: no other place asks for it.
fn sha1(input: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut message = input.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((input.len() as u64 * 8).to_be_bytes());
    for block in message.as_chunks::<64>().0 {
        let mut words = [0u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for at in 16..80 {
            words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mix, constant) = match at {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6u32),
            };
            let next =
                a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (state, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(value);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 6455, section 1.3.
    #[test]
    fn the_accept_value_is_that_of_rfc_6455() {
        assert_eq!(
            accept("GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[tokio::test]
    async fn records_what_it_receives() {
        let upstream = Upstream::start().await.unwrap();
        let request = b"GET /v1/up/plain/k1 HTTP/1.1\r\nHost: a\r\n\r\nmore";
        crate::http1::exchange(upstream.addr(), request, "GET", b"").await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), async {
            while !upstream.record("k1").closed {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        let record = upstream.record("k1");
        assert_eq!((record.requests, record.extra), (1, 4));
        assert_eq!(upstream.record("k2").requests, 0);
    }
}
