//! The tests that both gateways pass, and those of what actix leaves to this one.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_voicegain-gateway-actix");

#[path = "../../gateway-core/end_to_end/mod.rs"]
mod shared;

use shared::tls::Authority;
use shared::{Gateway, connect, head, read_head, upstream};

/// HTTP/2's preface, and settings without any.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn read_to_end(client: &mut TcpStream) -> String {
    let mut answers = Vec::new();
    client.read_to_end(&mut answers).unwrap();
    String::from_utf8(answers).unwrap()
}

#[test]
fn http2_is_taken_only_if_that_is_asked_for() {
    let gateway = Gateway::start(&[]);
    let mut client = connect(gateway.api);
    client.write_all(HTTP2).unwrap();
    let answer = read_to_end(&mut client);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    let gateway = Gateway::start(&["--http2"]);
    let mut client = connect(gateway.api);
    client.write_all(HTTP2).unwrap();
    let mut frame = [0; 9];
    client.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3..], [4, 0, 0, 0, 0, 0], "SETTINGS");
}

#[test]
fn an_exchange_ends_with_its_client() {
    let (url, requests) = upstream();
    let gateway = Gateway::start(&["--upstream", &url]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    let mut client = connect(gateway.api);
    client.write_all(head("GET", "/v1/x", &[("authorization", &bearer)]).as_bytes()).unwrap();
    let (_, mut upstream) = requests.recv().unwrap();
    drop(client);
    assert_eq!(upstream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn http2_over_tls_is_agreed_on_only_if_that_is_asked_for() {
    let authority = Authority::new();
    for (args, protocol) in [(&[][..], "http/1.1"), (&["--http2"], "h2")] {
        let gateway = authority.gateway(args);
        assert_eq!(authority.protocol(gateway.api, None), protocol);
    }
}

/// A connection may be without a request for 30 s, and a request may take longer.
#[test]
fn a_connection_ends_without_a_request_and_not_under_one() {
    const IDLE: Duration = Duration::from_secs(30);
    let (url, requests) = upstream();
    let gateway = Gateway::start(&["--upstream", &url]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    let mut slow = connect(gateway.api);
    let more = [("authorization", bearer.as_str()), ("connection", "close")];
    slow.write_all(head("GET", "/v1/slow", &more).as_bytes()).unwrap();
    let (_, mut upstream) = requests.recv().unwrap();

    // A request that is refused at once, and another that is never whole.
    let mut idle = connect(gateway.api);
    idle.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let begun = Instant::now();
    idle.write_all((head("GET", "/v1/x", &[]) + "G").as_bytes()).unwrap();
    while idle
        .read(&mut [0; 1000])
        .map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |count| count > 0)
    {
        assert!(begun.elapsed() < IDLE * 2, "it is still open");
        // What comes late changes nothing.
        let _ = idle.write_all(b"E");
    }
    assert!(begun.elapsed() >= IDLE, "{:?}", begun.elapsed());

    upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let answer = read_to_end(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

/// More than is read ahead, with and without bodies.
#[test]
fn what_is_sent_ahead_is_answered_in_turn() {
    const REQUESTS: usize = 500;
    let gateway = Gateway::start(&[]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    let authorization = ("authorization", bearer.as_str());
    let chunk = "1\r\nx\r\n";
    let kinds = [
        (head("GET", "/v1/x", &[authorization]), 0),
        (head("POST", "/v1/x", &[authorization, ("content-length", "5")]) + "12345", 5),
        (head("POST", "/v1/x", &[authorization, ("transfer-encoding", "chunked")]) + chunk + "0\r\n\r\n", 1),
    ];
    for (request, body) in kinds {
        let mut client = connect(gateway.api);
        let mut sender = client.try_clone().unwrap();
        let last = head("GET", "/v1/last", &[authorization, ("connection", "close")]);
        let sending = std::thread::spawn(move || {
            sender.write_all((request.repeat(REQUESTS) + &last).as_bytes()).unwrap();
        });
        let answers = read_to_end(&mut client);
        sending.join().unwrap();
        let counted = answers.matches(&format!("\"bodyBytes\":{body}}}")).count();
        assert_eq!(counted, REQUESTS + usize::from(body == 0));
        assert_eq!(answers.matches("HTTP/1.1 200").count(), REQUESTS + 1);
    }

    // What is read of a body is more than its bytes.
    let mut client = connect(gateway.api);
    let more = [authorization, ("transfer-encoding", "chunked"), ("connection", "close")];
    let request = head("POST", "/v1/x", &more) + &chunk.repeat(10_000) + "0\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let answer = read_to_end(&mut client);
    assert!(answer.contains("\"bodyBytes\":10000}"), "{answer}");
}

/// More than a head may have is not waited for, nor kept.
#[test]
fn a_head_has_room_and_no_more() {
    const KIB: usize = 1024;
    let gateway = Gateway::start(&[]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    let large = "x".repeat(30 * KIB);
    let mut client = connect(gateway.api);
    // Behind one another, and so that none begins where there is still credit of another.
    let request = head("GET", "/v1/x", &[("authorization", &bearer), ("x-large", &large)]);
    let mut sender = client.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all(request.repeat(10).as_bytes()).unwrap());
    for _ in 0..10 {
        let head = read_head(&mut client);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        client.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
    }
    sending.join().unwrap();
    let begun = Instant::now();
    let endless = "GET /v1/x HTTP/1.1\r\nhost: localhost\r\nx-endless: ".to_owned() + &"x".repeat(60 * KIB);
    client.write_all(endless.as_bytes()).unwrap();
    let answer = read_to_end(&mut client);
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// The rest of an upload is read, so that its client sees why it was refused, and it is no head that is too large.
#[test]
fn a_refused_upload_has_one_answer() {
    let gateway = Gateway::start(&[]);
    let mut client = connect(gateway.api);
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    client.write_all(head("POST", "/v1/x", &[("transfer-encoding", "chunked")]).as_bytes()).unwrap();
    let answer = read_head(&mut client);
    assert!(answer.starts_with("http/1.1 401 "), "{answer}");
    for _ in 0..100 {
        client.write_all(chunk.as_bytes()).unwrap();
    }
    let rest = read_to_end(&mut client);
    assert!(rest.contains("missing_token") && !rest.contains("HTTP/1.1"), "{rest}");
}

#[test]
fn sigterm_ends_websockets_at_once() {
    let (url, requests) = upstream();
    let mut gateway = Gateway::start(&["--upstream", &url]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    let handshake = [
        ("authorization", bearer.as_str()),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut client = connect(gateway.api);
    client.write_all(head("GET", "/v1/ws", &handshake).as_bytes()).unwrap();
    let (_, mut upstream) = requests.recv().unwrap();
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    upstream.write_all(agreed.as_bytes()).unwrap();
    assert!(read_head(&mut client).starts_with("http/1.1 101 "));

    let begun = Instant::now();
    gateway.terminate();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!(upstream.read(&mut [0]).unwrap(), 0);
    assert!(gateway.process.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
