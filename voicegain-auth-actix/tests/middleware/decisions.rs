use actix_web::{App, HttpResponse, web};
use voicegain_auth_actix::{Caller, Identity};
use voicegain_auth_core::{self as core, Mode, Policy, PolicyBuilder};

use crate::support::{Answer, RUNTIME, Served, World, serve};

async fn who(caller: Caller) -> String {
    match &*caller {
        core::Caller::Identified(identity) => {
            format!("{} {} {}", identity.account_id(), identity.context_id(), identity.token_kind())
        }
        core::Caller::Anonymous => "anonymous".to_owned(),
        core::Caller::Preflight => "preflight".to_owned(),
    }
}

fn served(world: &World, policy: PolicyBuilder) -> Served {
    let auth = world.auth(policy);
    serve!(App::new().wrap(auth.clone()).default_service(web::to(who)))
}

#[test]
fn v1_a_bearer_token_identifies_its_caller() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    assert_eq!(server.bearer("GET /v1/x", world.token()).accepted(), "acc-1 ctx-1 long-lived");
    let short = world.mint("aud=https://page.test");
    assert_eq!(server.bearer("POST /v1/x", &short).accepted(), "acc-1 ctx-1 short-lived");
}

#[test]
fn e_a_refusal_is_the_tables() {
    let world = World::new();
    let server = served(&world, Policy::builder().realm("here"));
    let answer = server.send("GET /v1/x", &[]);
    answer.refused(401, "missing_token");
    for (name, value) in [
        ("www-authenticate", r#"Bearer realm="here""#),
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("vary", "Origin"),
    ] {
        assert_eq!(answer.header(name).as_deref(), Some(value), "{name}");
    }
    let answer = server.bearer("GET /v1/x", "no.such.token");
    answer.refused(401, "invalid_token");
    assert_eq!(answer.header("www-authenticate").unwrap(), r#"Bearer realm="here", error="invalid_token""#);
}

#[test]
fn v5_a_wrong_signature_is_refused_after_the_wait_for_a_proof() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let (signed, signature) = world.token().rsplit_once('.').unwrap();
    let forged: String = signature.chars().rev().collect();
    server.bearer("GET /v1/x", &format!("{signed}.{forged}")).refused(401, "invalid_token");
    server.bearer("GET /v1/x", world.token()).accepted();
}

#[test]
fn m1_the_old_token_is_refused_and_the_new_one_accepted_after_regenerate() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    server.bearer("GET /v1/x", world.token()).accepted();
    let regenerated = RUNTIME.block_on(world.issuer.regenerate(world.config.config.id)).unwrap();
    server.bearer("GET /v1/x", world.token()).refused(401, "invalid_token");
    server.bearer("GET /v1/x", &regenerated.jwt).accepted();
}

#[test]
fn v2_two_authorization_headers_are_refused() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let bearer = format!("Bearer {}", world.token());
    server
        .send("GET /v1/x", &[("Authorization", &bearer), ("authorization", &bearer)])
        .refused(400, "invalid_request");
    server.send("GET /v1/x", &[("Authorization", &bearer)]).accepted();
}

#[test]
fn o2_origin_must_be_one_serialised_origin_to_the_byte() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let token = world.mint("aud=https://page.test");
    let send = |origins: &[&[u8]]| {
        let mut request = format!(
            "GET /v1/x HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        )
        .into_bytes();
        for origin in origins {
            request.extend_from_slice(b"Origin: ");
            request.extend_from_slice(origin);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        Answer::parse(&server.raw(request))
    };
    send(&[b"https://page.test"]).accepted();
    send(&[]).accepted();
    for origins in [
        &[b"https://page.test".as_slice(), b"https://page.test"][..],
        &[b"https://page.test".as_slice(), b"https://other.test"],
        &[b"https://page.test, https://page.test"],
        &[b"https://page.test\xff"],
        &[b"https://other.test"],
        &[b""],
    ] {
        send(origins).refused(403, "origin_not_allowed");
    }
}

#[test]
fn o8_the_own_authority_is_the_targets_or_hosts_and_never_a_forwarding_headers() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let bearer = format!("Bearer {}", world.token());
    let send = |start: &str, host: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("Host", host), ("Origin", "http://own.test"), ("Authorization", &bearer)];
        headers.extend_from_slice(more);
        server.send(start, &headers)
    };
    send("GET /v1/x", "own.test", &[]).accepted();
    send("GET http://own.test/v1/x", "other.test", &[]).accepted();
    send("GET http://other.test/v1/x", "own.test", &[]).refused(403, "origin_not_allowed");
    for forwarding in [
        &[][..],
        &[("X-Forwarded-Host", "own.test")],
        &[("Forwarded", "host=own.test")],
        &[("X-Host", "own.test")],
    ] {
        send("GET /v1/x", "other.test", forwarding).refused(403, "origin_not_allowed");
    }
}

#[test]
fn o8_in_http_2_the_own_authority_is_the_pseudo_header() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let status = |origin: &'static str| {
        let (address, bearer) = (server.address, format!("Bearer {}", world.token()));
        RUNTIME.block_on(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let request = http::Request::get("http://own.test/v1/x")
                .header("authorization", bearer)
                .header("origin", origin)
                .header("x-forwarded-host", "page.test")
                .body(())
                .unwrap();
            let (response, _) = client.send_request(request, true).unwrap();
            response.await.unwrap().status().as_u16()
        })
    };
    assert_eq!(status("http://own.test"), 200);
    assert_eq!(status("http://page.test"), 403);
}

#[test]
fn o9_a_preflight_passes_without_an_identity_and_another_options_does_not() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let preflight = [("Origin", "https://page.test"), ("Access-Control-Request-Method", "PUT")];
    assert_eq!(server.send("OPTIONS /v1/x", &preflight).accepted(), "preflight");
    for headers in [
        &preflight[..1],
        &preflight[1..],
        &[("Origin", "https://page.test"), ("Access-Control-Request-Method", "")],
        &[],
    ] {
        server.send("OPTIONS /v1/x", headers).refused(401, "missing_token");
    }
    server.send("GET /v1/x", &preflight).refused(401, "missing_token");
    let token = [preflight[0], preflight[1], ("Authorization", &format!("Bearer {}", world.token()))];
    assert_eq!(
        server.send("OPTIONS /v1/x", &token).accepted(),
        "preflight",
        "credentials of a preflight are none"
    );
}

#[test]
fn v1_optional_mode_lets_nobody_in_and_no_bad_token() {
    let world = World::new();
    let server = served(&world, Policy::builder().mode(Mode::Optional));
    assert_eq!(server.send("GET /v1/x", &[]).accepted(), "anonymous");
    assert_eq!(server.send("GET /v1/x", &[("Authorization", "Basic YTpi")]).accepted(), "anonymous");
    assert_eq!(server.bearer("GET /v1/x", world.token()).accepted(), "acc-1 ctx-1 long-lived");
    server.bearer("GET /v1/x", "x").refused(401, "invalid_token");
}

#[test]
fn e_a_grpc_refusal_is_trailers_only() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let answer = server.send("POST /v1/x", &[("Content-Type", "application/grpc+proto")]);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("grpc-status", "16"),
        ("grpc-message", "There is no token; send one as Authorization: Bearer <token>."),
        ("voicegain-reason", "missing_token"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name).as_deref(), Some(value), "{name}");
    }
    server.send("POST /v1/x", &[("Content-Type", "application/json")]).refused(401, "missing_token");
}

#[test]
fn e_a_refused_head_request_has_no_body() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let answer = server.send("HEAD /v1/x", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (401, ""));
    assert!(answer.header("content-length").is_some_and(|length| length != "0"), "{answer:?}");
}

/// What actix answers by itself, as the README lists it.
#[test]
fn e_what_actix_answers_before_any_middleware() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    let text = |request: &str| String::from_utf8(server.raw(request)).unwrap();
    let expecting = "POST /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    let answer = text(expecting);
    let (first, second) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(first, "HTTP/1.1 100 Continue");
    Answer::parse(second.as_bytes()).refused(401, "missing_token");
    for malformed in [
        "GET /v1/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let answer = Answer::parse(text(malformed).as_bytes());
        assert_eq!((answer.status, answer.body.as_str()), (400, ""), "{malformed}");
    }
}

#[test]
fn w6_a_huge_token_is_refused_like_any_other() {
    let world = World::new();
    let server = served(&world, Policy::builder());
    server.bearer("GET /v1/x", &".".repeat(20_000)).refused(401, "invalid_token");
}

#[test]
fn v8_a_client_cannot_set_the_identity() {
    async fn handler(identity: Identity) -> HttpResponse {
        HttpResponse::Ok().body(identity.account_id().to_string())
    }
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(App::new().wrap(auth.clone()).default_service(web::to(handler)));
    let headers =
        [("X-Voicegain-Account-Id", "acc-2"), ("Authorization", &format!("Bearer {}", world.token()))];
    assert_eq!(server.send("GET /v1/x", &headers).accepted(), "acc-1");
    server.send("GET /v1/x", &headers[..1]).refused(401, "missing_token");
}
