//! Exchanges that outlive their request (rule C8), and the upstream they lead to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use simulation::history::{Event, Exchange};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::World;
use crate::dice::Dice;

/// Which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A response that goes on for ever.
    Stream,
    /// A WebSocket.
    WebSocket,
    /// A request body that goes on for ever.
    Upload,
}

const BEAT: Duration = Duration::from_millis(100);

/// Keeps an exchange open through one gateway, again and again until the run is over.
pub async fn keep(world: Arc<World>, gateway: usize, sort: Sort, seed: u64) {
    let mut dice = Dice::new(seed);
    while !world.is_over() {
        sleep(Duration::from_millis(dice.between(50, 500))).await;
        let held = {
            let configs = world.configs.lock();
            dice.pick(&configs).and_then(|config| config.current.clone())
        };
        let Some(held) = held else { continue };
        let asked = &world.gateways[gateway];
        let process = asked.life();
        let opened = timeout(Duration::from_secs(10), open(asked.port, sort, &held.jwt)).await;
        let Ok(Some(mut stream)) = opened else { continue };
        let begun = world.recorder.now();
        let ended = ended(&world, &mut stream, sort).await;
        if asked.life() == process || ended.is_some() {
            world.recorder.push(Event::Exchange(Exchange { process, token: held.token, begun, ended }));
        }
    }
}

/// When it ended; `None`: with the run.
async fn ended(world: &World, stream: &mut TcpStream, sort: Sort) -> Option<u64> {
    let mut buffer = [0; 4096];
    loop {
        if world.is_over() {
            return None;
        }
        let more = if sort == Sort::Upload {
            // The only way to see an end is to write into it, and to hear the answer.
            let heard = timeout(BEAT, stream.read(&mut buffer)).await;
            heard.is_err() && stream.write_all(b"1\r\nx\r\n").await.is_ok()
        } else {
            match timeout(Duration::from_secs(1), stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => false,
                Ok(Ok(_)) | Err(_) => true,
            }
        };
        if !more {
            return Some(world.recorder.now());
        }
    }
}

/// Opens one, if it is let in.
async fn open(port: u16, sort: Sort, jwt: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let common = format!("Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {jwt}\r\n");
    let (head, wanted) = match sort {
        Sort::Stream => (format!("GET /v1/stream HTTP/1.1\r\n{common}\r\n"), "HTTP/1.1 200"),
        Sort::WebSocket => (
            format!(
                "GET /v1/socket HTTP/1.1\r\n{common}Connection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
            "HTTP/1.1 101",
        ),
        Sort::Upload => (
            format!(
                "POST /v1/upload HTTP/1.1\r\n{common}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            ),
            "HTTP/1.1 100",
        ),
    };
    stream.write_all(head.as_bytes()).await.ok()?;
    let answer = read_head(&mut stream).await?;
    answer.starts_with(wanted).then_some(stream)
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if head.len() > 32 * 1024 {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

/// What the gateways pass requests on to.
///
/// # Errors
/// If there is no port.
pub async fn upstream() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> Option<()> {
    loop {
        let head = read_head(&mut stream).await?;
        let path = head.split(' ').nth(1)?.to_owned();
        match path.as_str() {
            "/v1/stream" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(b"9\r\ndata: x\n\n\r\n").await.ok()?;
                    sleep(BEAT).await;
                }
            }
            "/v1/socket" => {
                let key = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
                })?;
                let accept =
                    STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.ok()?;
                loop {
                    // A text message of one letter.
                    stream.write_all(&[0x81, 1, b'x']).await.ok()?;
                    sleep(BEAT).await;
                }
            }
            "/v1/upload" => {
                if head.to_ascii_lowercase().contains("expect: 100-continue") {
                    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
                }
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.ok()? > 0 {}
                return None;
            }
            _ => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok()?,
        }
    }
}
