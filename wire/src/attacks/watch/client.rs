use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use crate::attacks::requests::fields;
use crate::attacks::slow::slow_head;
use crate::http2::{self, END_HEADERS, END_STREAM, PREFACE, frame, kind, settings};
use crate::process;
use crate::subject::Tokens;

/// Between two bytes.
const PACE: Duration = Duration::from_secs(1);
/// Between two looks at a connection that is not read.
const LOOK: Duration = Duration::from_millis(500);
/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const WINDOW: u16 = 4;

/// The gateways promise 30 seconds for a head and for silence behind an answer. Half as many again are for a machine that is
/// busy with attacks.
const LIMIT: Duration = Duration::from_secs(45);
/// On HTTP/2 as long again for the answer to a ping, or until it is seen that nothing more is asked.
const HTTP2_LIMIT: Duration = Duration::from_secs(75);
/// Five minutes are promised for a body that stops and for an answer that is not read, behind which an HTTP/2 connection has
/// its minute of silence.
pub(super) const PATIENT_LIMIT: Duration = Duration::from_secs(400);

/// What a client does with what comes back.
enum Reads {
    All,
    /// It answers pings and settings too, as on a connection that is of use. These settings are its own.
    Frames(Vec<(u16, u32)>),
    Nothing,
}

pub(super) struct Client {
    pub(super) name: &'static str,
    first: Vec<u8>,
    drip: Vec<u8>,
    reads: Reads,
    /// By then it must have been given up on.
    pub(super) limit: Duration,
}

/// What asks for something asks as the good client does: so what arrives while others attack is not taken for theirs.
pub(super) fn clients(tokens: &Tokens) -> Vec<Client> {
    let http2 = [PREFACE.to_vec(), settings(&[])].concat();
    let refused = b"GET /v1/case HTTP/1.1\r\nHost: gw.example\r\n\r\n";
    let client = |name, first: &[u8], drip: &[u8]| Client {
        name,
        first: first.into(),
        drip: drip.into(),
        reads: Reads::All,
        limit: LIMIT,
    };
    let over_http2 = |client: Client| Client { limit: HTTP2_LIMIT, ..client };
    let answering = |name, first: &[u8]| {
        over_http2(Client { reads: Reads::Frames(Vec::new()), ..client(name, first, b"") })
    };
    let patient = |client: Client| Client { limit: PATIENT_LIMIT, ..client };
    let asked = |method: &str, path: &str, lines: &str| {
        let token = &tokens.good_long;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {token}\r\n{lines}\r\n"
        );
        head.into_bytes()
    };
    let ended = END_HEADERS | END_STREAM;
    let stops = |head: Vec<u8>, start: &[u8]| [&head[..], start].concat();
    let stream = |flags, token: Option<&str>, method, path| {
        frame(kind::HEADERS, flags, 1, &fields(token, method, path))
    };
    let token = Some(&*tokens.good_long);
    let begun =
        [stream(END_HEADERS, token, "POST", "/v1/good/stops"), frame(kind::DATA, 0, 1, b"x")].concat();
    let large = stream(ended, token, "GET", "/v1/good/large");
    const LENGTH: &str = "Content-Length: 1000000\r\n";
    vec![
        client("nothing said", b"", b""),
        client("half a preface", &PREFACE[..10], b""),
        client("a head of a byte a second", b"GET /v1/case HTTP/1.1\r\nX: ", b"x"),
        client("nothing said behind an answer", refused, b""),
        client("half a head behind an answer", &[&refused[..], b"GET /v1/case HT"].concat(), b""),
        client("a body that stops, refused", &stops(post_refused(LENGTH), b"x"), b""),
        over_http2(client(
            "an HTTP/2 head of a byte a second",
            &slow_head(),
            &frame(kind::CONTINUATION, 0, 1, b"y"),
        )),
        over_http2(client("half a frame of HTTP/2", &[&http2[..], &[0, 0, 9, 1]].concat(), b"")),
        over_http2(client("HTTP/2 and no request", &http2, b"")),
        answering("HTTP/2 and no request, pings answered", b""),
        answering("HTTP/2 and one request, pings answered", &stream(ended, None, "GET", "/v1/case")),
        patient(client(
            "a body that stops, accepted",
            &stops(asked("POST", "/v1/good/stops", LENGTH), b"x"),
            b"",
        )),
        patient(client(
            "chunks that stop, accepted",
            &stops(asked("POST", "/v1/good/stops", "Transfer-Encoding: chunked\r\n"), b"5\r\nx"),
            b"",
        )),
        patient(answering("an HTTP/2 body that stops, accepted, pings answered", &begun)),
        patient(Client {
            reads: Reads::Nothing,
            ..client("an answer that is not read", &asked("GET", "/v1/good/large", ""), b"")
        }),
        patient(Client {
            reads: Reads::Frames(vec![(WINDOW, 0)]),
            ..client("an HTTP/2 answer that is not taken, pings answered", &large, b"")
        }),
    ]
}

fn post_refused(lines: &str) -> Vec<u8> {
    format!("POST /v1/case HTTP/1.1\r\nHost: gw.example\r\n{lines}\r\n").into_bytes()
}

impl Client {
    /// Whether it was closed by then.
    pub(super) async fn until_closed(&self, addr: SocketAddr, limit: Instant) -> Result<bool, String> {
        if let Reads::Frames(own) = &self.reads {
            return match timeout_at(limit, self.answered(addr, own)).await {
                Ok(done) => done.map(|()| true),
                Err(_) => Ok(false),
            };
        }
        let stream = TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
        let own = HashSet::from([stream.local_addr().map_err(|error| error.to_string())?.port()]);
        let (mut read, mut write) = stream.into_split();
        let sending = async {
            let _ = write.write_all(&self.first).await;
            loop {
                sleep(PACE).await;
                if !self.drip.is_empty() && write.write_all(&self.drip).await.is_err() {
                    return;
                }
            }
        };
        let reading = async {
            let mut chunk = [0; 1024];
            if let Reads::Nothing = self.reads {
                // An end stands behind what is not read.
                while process::held(addr.port(), &own) > 0 {
                    sleep(LOOK).await;
                }
                return;
            }
            while matches!(read.read(&mut chunk).await, Ok(1..)) {}
        };
        let closed = async {
            tokio::select! { () = sending => {}, () = reading => {} }
        };
        Ok(timeout_at(limit, closed).await.is_ok())
    }

    async fn answered(&self, addr: SocketAddr, own: &[(u16, u32)]) -> Result<(), String> {
        let (mut receiver, mut write) = http2::connect(addr, own).await.map_err(|error| error.to_string())?;
        let mut bytes = self.first.clone();
        loop {
            if write.write_all(&std::mem::take(&mut bytes)).await.is_err() {
                return Ok(());
            }
            // Whoever says farewell has not closed yet.
            if !matches!(receiver.next(&mut bytes).await, Ok(Some(_))) {
                return Ok(());
            }
        }
    }
}
