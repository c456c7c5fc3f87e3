//! What packs, limits or reads bodies.

use std::future::{Ready, ready};
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::header::ContentType;
use actix_web::middleware::{Compress, Condition};
use actix_web::{App, FromRequest, HttpRequest, dev, web};
use flate2::read::GzDecoder;
use voicegain_auth_actix::Identity;
use voicegain_auth_core::Policy;

use super::{account, begin, read_until, split};
use crate::support::{Answer, World, serve};

#[test]
fn e_compression_outside_changes_neither_a_refusal_nor_what_it_varies_by() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let serve = |packs: bool| {
        let auth = auth.clone();
        // Large enough for actix to pack it.
        let auth = auth.refusal_body(|rejection| {
            let body = format!("{}{}", rejection.reason(), " ".repeat(2000));
            (ContentType::plaintext(), body)
        });
        serve!(
            App::new()
                .wrap(auth.clone())
                .wrap(Condition::new(packs, Compress::default()))
                .default_service(web::to(account))
        )
    };
    let request =
        "GET /v1/x HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n";
    let (plain, body) = split(&serve(false).raw(request));
    let (packed, bytes) = split(&serve(true).raw(request));
    assert_eq!((plain.status, plain.header("content-encoding")), (401, None));
    assert_eq!((packed.status, packed.header("content-encoding").as_deref()), (401, Some("gzip")));
    for name in ["www-authenticate", "cache-control"] {
        assert!(plain.header(name).is_some());
        assert_eq!(packed.header(name), plain.header(name), "{name}");
    }
    let vary = packed.header("vary").unwrap().to_lowercase();
    assert!(vary.contains("origin") && vary.contains("accept-encoding"), "{vary}");
    assert_eq!(unpacked(&bytes), body);
}

#[test]
fn with_compression_inside_a_caller_gets_what_the_handler_said() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    // Large enough for actix to pack it.
    let handler = async |caller: Identity| caller.account_id().as_str().repeat(400);
    let server =
        serve!(App::new().wrap(Compress::default()).wrap(auth.clone()).default_service(web::to(handler)));
    let request = |token: &str| {
        let (answer, body) = split(&server.raw(format!(
            "GET /v1/x HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        )));
        (answer.status, answer.header("content-encoding"), body)
    };
    let (status, encoding, body) = request(world.token());
    assert_eq!((status, encoding.as_deref()), (200, Some("gzip")));
    assert_eq!(String::from_utf8(unpacked(&body)).unwrap(), "acc-1".repeat(400));
    let (status, encoding, body) = request("x");
    assert_eq!((status, encoding), (401, None));
    assert!(String::from_utf8(body).unwrap().contains("\"invalid_token\""));
}

/// What a packed and chunked body says.
fn unpacked(body: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    GzDecoder::new(&unchunked(body)[..]).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// A chunked body's bytes.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let end = body.windows(2).position(|it| it == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&body[end + 2..][..size]);
        body = &body[end + 2 + size + 2..];
    }
}

/// An extractor that counts how often it is asked.
struct Counted;

static EXTRACTED: AtomicUsize = AtomicUsize::new(0);

impl FromRequest for Counted {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(_: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        EXTRACTED.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Self))
    }
}

/// Of the refused ones only the head is ever sent: whoever reads from the body waits for ever.
#[test]
fn no_body_of_a_refused_request_is_read_no_extractor_runs_and_limits_stay_in_force() {
    async fn length(_: Counted, _: Identity, body: web::Bytes) -> String {
        body.len().to_string()
    }
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(
        App::new().wrap(auth.clone()).app_data(web::PayloadConfig::new(10)).default_service(web::to(length))
    );
    let head = |token: &str, framing: &str| {
        format!(
            "POST /v1/x HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\n{framing}\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        )
    };
    for framing in ["Content-Length: 5", "Content-Length: 17", "Transfer-Encoding: chunked"] {
        let mut stream = begin(server.address, &head("x", framing));
        Answer::parse(&read_until(&mut stream, "}}")).refused(401, "invalid_token");
    }
    assert_eq!(EXTRACTED.load(Ordering::SeqCst), 0);

    let mut stream = begin(server.address, &head(world.token(), "Content-Length: 5"));
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let early = stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(ErrorKind::WouldBlock), "or a handler's reading does not wait either");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(Answer::parse(&answer).accepted(), "5");
    let too_long = head(world.token(), "Content-Length: 17") + "hello, all of you";
    assert_eq!(Answer::parse(&server.raw(too_long)).status, 413);
}
