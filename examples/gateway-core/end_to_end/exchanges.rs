//! What outlives its request (rule C8).

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::Receiver;

use serde_json::Value;

use super::{Gateway, PATIENCE, call, connect, head, read_head, upstream};

/// Everything that outlives its request, each with the client's and the upstream's side.
pub struct Exchanges {
    upload: [TcpStream; 2],
    events: [TcpStream; 2],
    websocket: [TcpStream; 2],
}

impl Exchanges {
    pub fn begin(gateway: &Gateway, requests: &Receiver<(String, TcpStream)>, token: &str) -> Self {
        let bearer = format!("Bearer {token}");
        let begin = |request: String| {
            let mut client = connect(gateway.api);
            client.write_all(request.as_bytes()).unwrap();
            let (_, upstream) = requests.recv_timeout(PATIENCE).unwrap();
            [client, upstream]
        };
        let authorization = ("authorization", bearer.as_str());
        let upload = begin(head("POST", "/v1/up", &[authorization, ("content-length", "10")]) + "12345");

        let mut events = begin(head("GET", "/v1/events", &[authorization]));
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        events[1].write_all(answer.as_bytes()).unwrap();
        assert!(read_head(&mut events[0]).starts_with("http/1.1 200"));

        let handshake = [
            authorization,
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut websocket = begin(head("GET", "/v1/ws", &handshake));
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        websocket[1].write_all(answer.as_bytes()).unwrap();
        assert!(read_head(&mut websocket[0]).starts_with("http/1.1 101"));
        let mut exchanges = Self { upload, events, websocket };
        exchanges.go_on();
        exchanges
    }

    /// Passes on what a stream and a WebSocket carry.
    pub fn go_on(&mut self) {
        let [client, upstream] = &mut self.events;
        upstream.write_all(b"5\r\nevent\r\n").unwrap();
        let mut event = Vec::new();
        while !event.ends_with(b"event\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("an event");
            event.push(byte[0]);
        }
        for (from, to) in [(0, 1), (1, 0)] {
            let mut frame = [0; 5];
            self.websocket[from].write_all(b"frame").unwrap();
            self.websocket[to].read_exact(&mut frame).expect("a frame");
            assert_eq!(&frame, b"frame");
        }
    }

    /// An upload that goes on is answered once it is complete.
    fn finish(mut self) {
        self.go_on();
        let [client, upstream] = &mut self.upload;
        client.write_all(b"67890").unwrap();
        let mut body = [0; 10];
        upstream.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"1234567890");
        upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert!(read_head(client).starts_with("http/1.1 204"));
    }

    /// Waits until all have ended, on both sides.
    pub fn have_ended(self) {
        let [mut client, mut upstream] = self.upload;
        assert!(read_head(&mut client).starts_with("http/1.1 503"), "the upload");
        over(&mut upstream, "the upload, behind");
        let [mut client, mut upstream] = self.events;
        let rest = over(&mut client, "the stream of events");
        assert!(!rest.ends_with(b"0\r\n\r\n"), "cut off, not finished");
        over(&mut upstream, "the stream of events, behind");
        let [mut client, mut upstream] = self.websocket;
        over(&mut client, "the WebSocket");
        over(&mut upstream, "the WebSocket, behind");
    }
}

/// Reads to the end, which may be a reset, but not the end of the test's patience.
fn over(stream: &mut TcpStream, what: &str) -> Vec<u8> {
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        let waited = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
        assert!(!waited.contains(&error.kind()), "{what} does not end");
    }
    rest
}

#[test]
fn c8_exchanges_under_way_end_with_their_token_wherever_it_is_revoked() {
    let place = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", place.path().join("store.db").display());
    let (upstream, requests) = upstream();
    let gateway = Gateway::with_store(&url, &["--upstream", &upstream]);
    let other = Gateway::with_store(&url, &[]);
    let (kept_id, kept_token) = gateway.create();
    let mut kept = Exchanges::begin(&gateway, &requests, &kept_token);
    for (which, revoking) in [("this process", &gateway), ("another process", &other)] {
        let (id, token) = gateway.create();
        let exchanges = Exchanges::begin(&gateway, &requests, &token);
        revoking.regenerate(&id);
        exchanges.have_ended();
        kept.go_on();
        assert_eq!(gateway.get("/v1/x", &token, &[]).status, 401, "{which}");
    }
    kept.finish();

    let (_, token) = gateway.create();
    let exchanges = Exchanges::begin(&gateway, &requests, &token);
    let (status, ended) = other.admin("POST", "/api/contexts/acc/ctx/end", None);
    assert_eq!(
        (status, ended["ended"].as_u64()),
        (200, Some(4)),
        "{kept_id} and those that were regenerated too"
    );
    exchanges.have_ended();
}

#[test]
fn c8_exchanges_under_way_end_when_freshness_can_no_longer_be_proved() {
    let place = tempfile::TempDir::new().unwrap();
    let file = place.path().join("store.db");
    let (upstream, requests) = upstream();
    let url = format!("sqlite://{}", file.display());
    let gateway = Gateway::with_store(&url, &["--upstream", &upstream, "--max-revocation-delay", "2s"]);
    let (_, token) = gateway.create();
    let exchanges = Exchanges::begin(&gateway, &requests, &token);
    fs::rename(&file, place.path().join("gone.db")).unwrap();
    exchanges.have_ended();
    let answer = gateway.get("/v1/x", &token, &[]);
    assert_eq!((answer.status, answer.reason().as_str()), (503, "temporarily_unavailable"));
    let ready = call(gateway.admin, "GET", "/readyz", &[], b"");
    let body: Value = serde_json::from_slice(&ready.body).unwrap();
    assert_eq!(ready.status, 503);
    let detail = body["error"]["detail"].as_str().unwrap();
    assert!(body["notReadySince"].is_u64() && detail.contains("and 2 s are allowed"), "{body}");
    let metrics = String::from_utf8(call(gateway.admin, "GET", "/metrics", &[], b"").body).unwrap();
    assert!(metrics.contains("\nvoicegain_auth_ready 0\n"), "{metrics}");
}

#[test]
fn c8_a_gateway_can_be_told_to_keep_them_and_to_end_them_with_their_token() {
    let place = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", place.path().join("store.db").display());
    let (upstream, requests) = upstream();
    let keeps = Gateway::with_store(&url, &["--upstream", &upstream, "--keep-revoked-exchanges"]);
    let ends = Gateway::with_store(&url, &["--upstream", &upstream, "--end-expired-exchanges"]);
    let (id, token) = keeps.create();
    let minted = ends.get("/v1/security/jwt?aud=*&expInSec=10", &token, &[]);
    assert_eq!(minted.status, 200);
    let short_lived = String::from_utf8(minted.body).unwrap();
    let expiring = Exchanges::begin(&ends, &requests, &short_lived);
    let staying = Exchanges::begin(&ends, &requests, &token);
    let mut kept = Exchanges::begin(&keeps, &requests, &short_lived);
    expiring.have_ended();
    assert_eq!(keeps.get("/v1/x", &short_lived, &[]).reason(), "token_expired");
    kept.go_on();

    keeps.regenerate(&id);
    staying.have_ended();
    assert_eq!(keeps.get("/v1/x", &token, &[]).reason(), "invalid_token");
    kept.finish();
}
