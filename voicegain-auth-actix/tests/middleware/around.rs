//! What applications put around `Auth`, and inside of it: what must hold whichever way.

use std::future::{Ready, ready};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, mpsc};
use std::time::Duration;

use actix_cors::Cors;
use actix_web::error::ErrorGatewayTimeout;
use actix_web::middleware::{Compress, Condition, Logger, from_fn};
use actix_web::{App, FromRequest, HttpRequest, HttpResponse, dev, guard, web};
use voicegain_auth_actix::{Auth, Caller, Identity};
use voicegain_auth_core::{Issuer, MemoryStore, Policy, SecretCache, Verifier};

use crate::support::{Answer, Served, World, all_sources, serve};

async fn account(identity: Identity) -> String {
    identity.account_id().to_string()
}

#[test]
fn o9_with_cors_inside_preflights_are_answered_and_refusals_are_not_readable() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let cors = || Cors::default().allowed_origin("https://page.test").allowed_methods(["PUT", "GET"]);
    let server = serve!(App::new().wrap(cors()).wrap(auth.clone()).default_service(web::to(account)));
    let origin = ("Origin", "https://page.test");
    let answer = server.send("OPTIONS /v1/x", &[origin, ("Access-Control-Request-Method", "PUT")]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("access-control-allow-methods").unwrap().contains("PUT"));

    let bearer = format!("Bearer {}", world.mint("aud=https://page.test"));
    let answer = server.send("GET /v1/x", &[origin, ("Authorization", &bearer)]);
    assert_eq!(answer.accepted(), "acc-1");
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://page.test"));

    let answer = server.send("GET /v1/x", &[origin]);
    answer.refused(401, "missing_token");
    assert_eq!(answer.header("access-control-allow-origin"), None, "which is why it belongs outside");
    for headers in [&[][..], &[origin], &[("Access-Control-Request-Method", "GET")]] {
        server.send("OPTIONS /v1/x", headers).refused(401, "missing_token");
    }
}

#[test]
fn e_compression_outside_changes_neither_a_refusal_nor_what_it_varies_by() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let serve = |packs: bool| {
        let auth = auth.clone();
        // Large enough for actix to pack it.
        let auth = auth.refusal_body(|rejection| {
            let body = format!("{}{}", rejection.reason(), " ".repeat(2000));
            (actix_web::http::header::ContentType::plaintext(), body)
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
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&unchunked(&bytes)[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, body);
}

/// An answer's head, and its body that is no text.
fn split(bytes: &[u8]) -> (Answer, Vec<u8>) {
    let at = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    (Answer::parse(&bytes[..at]), bytes[at..].to_vec())
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

/// The lines of actix's `Logger`.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "around" {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn v1_a_logger_inside_logs_no_token_and_one_outside_needs_a_format_without_the_query() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
    let world = World::new();
    let auth = world.auth(all_sources());
    let logger = |format: &str| Logger::new(format).log_target("around");
    let token = world.token();
    let send = |server: Served| {
        let same = ("Sec-Fetch-Site", "same-origin");
        server.bearer("GET /v1/x?a=1", token).accepted();
        server.send(&format!("GET /v1/x?a=1&access_token={token}"), &[same]).accepted();
        server.send("GET /v1/x?a=1", &[same, ("Cookie", &format!("token={token}"))]).accepted();
        drop(server);
        std::mem::take(&mut *LINES.lock().unwrap())
    };
    let within = auth.clone();
    let inside = send(serve!(
        App::new()
            .wrap(logger("%r %{Cookie}i %{Authorization}i"))
            .wrap(within.clone())
            .default_service(web::to(account))
    ));
    assert_eq!(
        inside.iter().filter(|line| line.starts_with("GET /v1/x?a=1 HTTP/1.1")).count(),
        3,
        "{inside:?}"
    );
    assert!(!inside.concat().contains(token), "{inside:?}");
    let outside = |format: &'static str| {
        let auth = auth.clone();
        send(serve!(App::new().wrap(auth.clone()).wrap(logger(format)).default_service(web::to(account))))
    };
    assert!(outside("%r").concat().contains(token), "the README need not warn of this any longer");
    let lines = outside("%U %s");
    assert_eq!(lines, ["/v1/x 200"; 3]);
}

/// A world whose feed and look-ups stand still when told to.
fn stalling() -> (World, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).runtime(runtime.handle().clone());
    let cache = cache.build().unwrap();
    let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
    let config = World::create(&issuer);
    (World { cache, issuer, config }, runtime)
}

#[test]
fn v6_a_timeout_outside_ends_the_wait_for_a_proof_and_lets_nobody_in() {
    let (world, runtime) = stalling();
    let auth = Auth::new(Verifier::new(world.cache.clone(), Policy::default()));
    let calls = Arc::new(AtomicUsize::new(0));
    let server = {
        let calls = calls.clone();
        serve!({
            let calls = calls.clone();
            App::new()
                .wrap(auth.clone())
                .wrap(from_fn(async |request, next: actix_web::middleware::Next<_>| {
                    let limit = Duration::from_millis(100);
                    let answer = actix_web::rt::time::timeout(limit, next.call(request)).await;
                    answer.unwrap_or_else(|_| Err(ErrorGatewayTimeout("too slow")))
                }))
                .default_service(web::to(move |_: Identity| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    async { "ok" }
                }))
        })
    };
    server.bearer("GET /v1/x", world.token()).accepted();
    let (go_on, stopped) = mpsc::channel::<()>();
    let (stands, standing) = mpsc::channel();
    runtime.spawn(async move {
        stands.send(()).unwrap();
        let _ = stopped.recv();
    });
    standing.recv().unwrap();
    let (begin, end) = world.token().split_at(world.token().len() - 9);
    let another = if end.starts_with('A') { 'B' } else { 'A' };
    let wrong: String = begin.chars().chain([another]).chain(end.chars().skip(1)).collect();
    assert_eq!(server.bearer("GET /v1/x", &wrong).status, 504);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    drop(go_on);
    let mut answers = (0..100).map(|_| server.bearer("GET /v1/x", &wrong));
    answers.find(|answer| answer.status != 504).expect("the feed goes on").refused(401, "invalid_token");
    server.bearer("GET /v1/x", world.token()).accepted();
}

/// Reads a body of at most ten bytes, and counts how often it was asked to.
struct Short;

static READ: AtomicUsize = AtomicUsize::new(0);

impl FromRequest for Short {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(_: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        READ.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Self))
    }
}

#[test]
fn no_extractor_of_the_body_runs_for_a_refused_request_and_limits_stay_in_force() {
    async fn length(_: Short, _: Identity, body: web::Bytes) -> String {
        body.len().to_string()
    }
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(
        App::new().wrap(auth.clone()).app_data(web::PayloadConfig::new(10)).default_service(web::to(length))
    );
    let post = |token: &str, body: &str| {
        let head = "POST /v1/x HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\nContent-Length:";
        let request = format!("{head} {}\r\nAuthorization: Bearer {token}\r\n\r\n{body}", body.len());
        Answer::parse(&server.raw(request))
    };
    post("x", "hello").refused(401, "invalid_token");
    post("x", "hello, all of you").refused(401, "invalid_token");
    assert_eq!(READ.load(Ordering::SeqCst), 0);
    assert_eq!(post(world.token(), "hello").accepted(), "5");
    assert_eq!(post(world.token(), "hello, all of you").status, 413);
}

#[test]
fn guards_scopes_and_default_services_are_covered_by_what_is_around_them() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(
        App::new()
            .service(
                web::scope("/v1")
                    .wrap(auth.clone())
                    .service(
                        web::scope("/inner")
                            .guard(guard::Header("x-which", "one"))
                            .route("/x", web::get().to(account))
                            .default_service(web::to(async || HttpResponse::ImATeapot()))
                    )
                    .default_service(web::to(async || HttpResponse::Gone()))
            )
            .default_service(web::to(async || "open"))
    );
    let which = ("x-which", "one");
    for (path, headers) in
        [("/v1/inner/x", &[which][..]), ("/v1/inner/y", &[which]), ("/v1/inner/x", &[]), ("/v1/nothing", &[])]
    {
        server.send(&format!("GET {path}"), headers).refused(401, "missing_token");
    }
    let bearer = format!("Bearer {}", world.token());
    let authorization = ("Authorization", bearer.as_str());
    server.send("GET /v1/inner/x", &[which, authorization]).accepted();
    assert_eq!(server.send("GET /v1/inner/y", &[which, authorization]).status, 418);
    assert_eq!(server.send("GET /v1/inner/x", &[authorization]).status, 410);
    assert_eq!(server.send("GET /elsewhere", &[]).accepted(), "open");
}

#[test]
fn v1_a_websocket_of_actix_ws_takes_a_token_as_a_protocol_and_is_refused_before_the_upgrade() {
    async fn open(
        identity: Identity,
        request: HttpRequest,
        body: web::Payload,
    ) -> actix_web::Result<HttpResponse> {
        let (answer, mut session, _) = actix_ws::handle(&request, body)?;
        let account = identity.account_id().to_string();
        actix_web::rt::spawn(async move {
            let _ = session.text(account).await;
            let _ = session.close(None).await;
        });
        Ok(answer)
    }
    let world = World::new();
    let auth = world.auth(all_sources());
    let server = serve!(App::new().wrap(auth.clone()).default_service(web::get().to(open)));
    let token = world.mint("aud=https://page.test");
    let shake = |protocols: &str, origin: &str| {
        split(&server.raw(format!(
            "GET /v1/socket HTTP/1.1\r\nHost: own.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n\
             Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
        )))
    };
    let both = format!("bearer.{token}, chat");
    let (answer, frames) = shake(&both, "https://page.test");
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some("chat".to_owned())));
    assert!(frames.is_empty() || b"\x81\x05acc-1\x88\0".starts_with(&frames), "{frames:?}");
    for (protocols, origin, status, reason) in [
        (&*both, "https://evil.test", 403, "origin_not_allowed"),
        (&*format!("bearer.{token}"), "https://page.test", 400, "invalid_request"),
        ("bearer.x, chat", "https://page.test", 401, "invalid_token"),
        ("chat", "https://page.test", 401, "missing_token"),
    ] {
        let (answer, body) = shake(protocols, origin);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(String::from_utf8(body).unwrap().contains(&format!("{reason:?}")), "{answer:?}");
    }
}

#[test]
fn a_head_is_decided_about_as_its_get_would_be() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(App::new().wrap(auth.clone()).default_service(web::to(account)));
    let (head, get) = (server.send("HEAD /v1/x", &[]), server.send("GET /v1/x", &[]));
    assert_eq!((head.status, get.status), (401, 401));
    assert_eq!(head.header("www-authenticate"), get.header("www-authenticate"));
    let head = server.bearer("HEAD /v1/x", world.token());
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn v8_a_panic_in_a_handler_leaves_nothing_behind_for_the_next_request() {
    async fn panics(_: Identity) -> HttpResponse {
        panic!("as a handler might")
    }
    async fn who(caller: Caller) -> String {
        caller.identity().map_or_else(|| "nobody".to_owned(), |it| it.account_id().to_string())
    }
    let world = World::new();
    let auth = world.auth(Policy::builder().mode(voicegain_auth_core::Mode::Optional));
    let server = serve!(
        App::new().wrap(auth.clone()).route("/v1/panics", web::to(panics)).default_service(web::to(who))
    );
    let panicking = format!(
        "GET /v1/panics HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        world.token()
    );
    for _ in 0..3 {
        assert_eq!(server.raw(&panicking), b"", "actix closes the connection");
        assert_eq!(server.send("GET /v1/x", &[]).accepted(), "nobody");
        assert_eq!(server.bearer("GET /v1/x", world.token()).accepted(), "acc-1");
    }
}
