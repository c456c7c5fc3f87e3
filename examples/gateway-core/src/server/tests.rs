use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{Empty, StreamBody};
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, timeout};

use super::*;

#[tokio::test]
async fn a_connection_ends_with_its_client_whatever_it_has_said() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let held = Arc::new(());
    let part = held.clone();
    let make = move |_| {
        let part = part.clone();
        service_fn(move |_: Request<Incoming>| {
            let _part = &part;
            ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        })
    };
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(listener, None, make, false, 100, shutdown.clone()));
    let becomes = async |count: usize, said: &[u8]| {
        let change = async {
            while Arc::strong_count(&held) != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(5), change).await;
        assert!(outcome.is_ok(), "{} hold it: {}", Arc::strong_count(&held), said.escape_ascii());
    };
    for said in [b"", &PREFACE[..1], &PREFACE[..10], PREFACE, b"GET / HT"] {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(said).await.unwrap();
        becomes(3, said).await;
        drop(client);
        becomes(2, said).await;
    }
    // Nor does one that has not said which protocol it speaks keep the server from its end.
    let mut clients = Vec::new();
    for said in [b"", &PREFACE[..10]] {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(said).await.unwrap();
        clients.push(client);
    }
    becomes(4, b"").await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), server).await.expect("the server ends").unwrap();
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// By which h2 finds out what its client sent before it knew that the connection is to end.
const SHUTDOWN_PING: [u8; 8] = [0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54];

/// A client of HTTP/2 that does what it should not.
struct Client {
    stream: DuplexStream,
    begun: Instant,
    next: u32,
}

impl Client {
    /// The first request is never answered if `one_waits`; every other one is, in `parts` of two bytes.
    async fn connect(window: u32, parts: usize, one_waits: bool) -> Self {
        let (stream, server) = duplex(64 * 1024);
        let waits = AtomicBool::new(one_waits);
        let service = service_fn(move |_: Request<Incoming>| {
            let parts = (0..parts).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"ok"))));
            let answer = Response::new(StreamBody::new(stream::iter(parts)));
            match waits.swap(false, Ordering::Relaxed) {
                true => Either::Left(pending()),
                false => Either::Right(ready(Ok::<_, Infallible>(answer))),
            }
        });
        tokio::spawn(attend(builder(false), server, service, CancellationToken::new()));
        let mut client = Self { stream, begun: Instant::now(), next: 1 };
        client.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        client.send(SETTINGS, 0, 0, &[&[0, 4], window.to_be_bytes().as_slice()].concat()).await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        // The connection may have ended.
        let _ = self.stream.write_all(&frame).await;
    }

    async fn ask(&mut self) {
        const GET: &[u8] = b"\x82\x86\x84\x41\x02gw";
        self.send(HEADERS, 5, self.next, GET).await;
        self.next += 2;
    }

    /// Answers whatever comes, but for h2's word about the end if it is `deaf`, for so long or until the end. What came, and
    /// on which stream; whether it has ended.
    async fn listen(&mut self, time: Duration, deaf: bool) -> (Vec<(u8, u32)>, bool) {
        let until = Instant::now() + time;
        let mut seen = Vec::new();
        loop {
            let mut head = [0; 9];
            match tokio::time::timeout_at(until, self.stream.read_exact(&mut head)).await {
                Err(_) => return (seen, false),
                Ok(Err(_)) => return (seen, true),
                Ok(Ok(_)) => {}
            }
            let [_, high, low, kind, flags, a, b, c, d] = head;
            let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            self.stream.read_exact(&mut payload).await.unwrap();
            seen.push((kind, u32::from_be_bytes([a, b, c, d])));
            match kind {
                SETTINGS if flags == 0 => self.send(SETTINGS, 1, 0, &[]).await,
                PING if flags == 0 && !(deaf && payload == SHUTDOWN_PING) => {
                    self.send(PING, 1, 0, &payload).await;
                }
                _ => {}
            }
        }
    }
}

/// That a connection has ended, not before so long, and not much later.
fn assert_ended((seen, ended): (Vec<(u8, u32)>, bool), begun: Instant, after: Duration) {
    let time = begun.elapsed();
    assert!(ended && time >= after && time <= after + 3 * HEAD_TIMEOUT, "{ended} after {time:?}: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_hear_that_a_connection_is_to_end_does_not_keep_it() {
    let mut client = Client::connect(100, 1, false).await;
    let heard = client.listen(UNREAD_TIMEOUT * 10, true).await;
    assert_ended(heard, client.begun, HEAD_TIMEOUT);

    // Nor with requests that come too late. Its own steps are none of hyper's pings.
    const STEP: Duration = Duration::from_secs(7);
    let mut client = Client::connect(100, 1, false).await;
    tokio::time::sleep(STEP).await;
    client.ask().await;
    let mut told = false;
    loop {
        let (seen, ended) = client.listen(STEP, true).await;
        told |= seen.iter().any(|(kind, _)| *kind == GOAWAY);
        if ended || client.begun.elapsed() > UNREAD_TIMEOUT {
            break assert_ended((seen, ended), client.begun, 2 * HEAD_TIMEOUT);
        }
        if told {
            client.ask().await;
        }
    }
    assert!(told && client.next > 3, "it has asked again");
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_end_is_not_read_ends_its_connection() {
    let mut client = Client::connect(1, 1, false).await;
    for _ in 0..5 {
        client.ask().await;
    }
    let heard = client.listen(UNREAD_TIMEOUT * 10, false).await;
    assert_eq!(heard.0.iter().filter(|(kind, _)| *kind == DATA).count(), 5, "a byte of each");
    assert_ended(heard, client.begun, UNREAD_TIMEOUT);

    // But not one that is read, however slowly.
    let mut client = Client::connect(1, 1, false).await;
    client.ask().await;
    assert!(!client.listen(UNREAD_TIMEOUT / 10 * 9, false).await.1);
    client.send(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()).await;
    let (seen, ended) = client.listen(Duration::from_secs(1), false).await;
    assert!(seen.contains(&(DATA, 1)) && !ended, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_is_reset_beside_one_that_is_waited_for() {
    let mut client = Client::connect(1, 10, true).await;
    for _ in 0..3 {
        client.ask().await;
    }
    let (seen, ended) = client.listen(UNREAD_TIMEOUT - HEAD_TIMEOUT, false).await;
    assert!(!ended && seen.iter().all(|(kind, _)| *kind != RST_STREAM), "{seen:?}");
    let (seen, ended) = client.listen(UNREAD_TIMEOUT * 3, false).await;
    let reset: Vec<_> = seen.iter().filter(|(kind, _)| *kind == RST_STREAM).map(|(_, id)| *id).collect();
    assert!(!ended && (reset == [3, 5] || reset == [5, 3]), "{ended} {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn half_a_head_does_not_keep_the_server_from_its_end() {
    let service =
        service_fn(|_: Request<Incoming>| ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))));
    let (mut client, server) = duplex(1024);
    client.write_all(b"GET / HT").await.unwrap();
    let shutdown = CancellationToken::new();
    let attended = tokio::spawn(attend(builder(false), server, service, shutdown.clone()));
    assert!(timeout(Duration::from_secs(5), client.read_u8()).await.is_err(), "it waits for the other half");
    shutdown.cancel();
    timeout(Duration::from_secs(2), attended).await.expect("it is given up").unwrap();

    // Whoever sends the rest in time is answered.
    let (mut client, server) = duplex(1024);
    client.write_all(b"GET / HT").await.unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(attend(builder(false), server, service, shutdown.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.write_all(b"TP/1.1\r\nhost: gw\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_websocket_keeps_its_place_among_the_connections_until_its_end() {
    const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nhost: gw\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let make = |_| {
        service_fn(|mut request: Request<Incoming>| {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut tunnel = TokioIo::new(upgrade.await?);
                let _ = tunnel.read_u8().await;
                Ok::<_, hyper::Error>(())
            });
            let agreed = Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "websocket");
            ready(agreed.body(Empty::<Bytes>::new()))
        })
    };
    let server = tokio::spawn(serve(listener, None, make, false, 1, CancellationToken::new()));
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(UPGRADE).await.unwrap();
        clients.push(client);
    }
    let mut answer = [0; 12];
    clients[0].read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    let moment = Duration::from_millis(200);
    assert!(timeout(moment, clients[1].read_exact(&mut answer)).await.is_err(), "the other waits");
    clients.remove(0);
    timeout(Duration::from_secs(5), clients[0].read_exact(&mut answer)).await.expect("its turn").unwrap();
    server.abort();
}

/// A tunnel, by whoever keeps what is attached to its request.
#[tokio::test(start_paused = true)]
async fn a_tunnel_is_a_request_under_way() {
    let heard = Heard::default();
    let kept = Arc::new(std::sync::Mutex::new(None));
    let keep = kept.clone();
    let tunnels = service_fn(move |request: Request<Empty<Bytes>>| {
        *keep.lock().unwrap() = Some(request.into_parts().0.extensions);
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let request = Request::connect("/").version(http::Version::HTTP_2).body(Empty::new()).unwrap();
    drop(Hears::new(tunnels, heard.clone()).call(request).await);
    assert!(timeout(UNREAD_TIMEOUT * 10, heard.silence()).await.is_err());
    kept.lock().unwrap().take();
    assert_eq!(timeout(UNREAD_TIMEOUT, heard.silence()).await, Ok(Silence::Idle));
}
