use std::sync::{Arc, Mutex};

use actix_cors::Cors;
use actix_web::dev::Service;
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, HeaderValue};
use actix_web::middleware::{ErrorHandlerResponse, ErrorHandlers};
use actix_web::{App, HttpRequest, HttpResponse, error, web};
use voicegain_auth_actix::Rejected;
use voicegain_auth_core::{Policy, Reason, Rejection};

use crate::support::{Served, World, all_sources, serve};

#[test]
fn e_the_application_replaces_the_body_and_nothing_else() {
    let world = World::new();
    let auth = world
        .auth(Policy::builder())
        .refusal_body(|rejection| (ContentType::xml(), format!("<no why='{}'/>", rejection.reason())));
    let server = serve!(App::new().wrap(auth.clone()));
    let plain = world.auth(Policy::builder());
    let reference = serve!(App::new().wrap(plain.clone()));
    let answer = server.send("GET /v1/x", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (401, "<no why='missing_token'/>"));
    assert_eq!(answer.header("content-type").unwrap(), "text/xml");
    for name in ["www-authenticate", "cache-control", "vary"] {
        assert!(answer.header(name).is_some(), "{name}");
        assert_eq!(answer.header(name), reference.send("GET /v1/x", &[]).header(name), "{name}");
    }
    let answer = server.send("GET /v1/x", &[("Content-Type", "application/grpc")]);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""), "gRPC has no body to replace");
}

#[test]
fn e_outer_middlewares_see_the_rejection() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&seen);
    let server = serve!({
        let seen = Arc::clone(&writer);
        App::new().wrap(auth.clone()).wrap_fn(move |request, service| {
            let seen = Arc::clone(&seen);
            let answer = service.call(request);
            async move {
                let answer = answer.await?;
                let error = answer.response().error().and_then(|error| error.as_error::<Rejected>());
                let extension = answer.response().extensions().get::<Rejection>().map(Rejection::reason);
                seen.lock().unwrap().push((error.map(|error| error.rejection().reason()), extension));
                Ok(answer)
            }
        })
    });
    server.send("GET /v1/x", &[]).refused(401, "missing_token");
    server.bearer("GET /v1/x", "x").refused(401, "invalid_token");
    assert_eq!(server.bearer("GET /v1/x", world.token()).status, 404);
    let both = |reason| (Some(reason), Some(reason));
    assert_eq!(*seen.lock().unwrap(), [both(Reason::MissingToken), both(Reason::InvalidToken), (None, None)]);
}

#[test]
fn e_actixs_error_handlers_see_a_refusal() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(App::new().wrap(auth.clone()).wrap(ErrorHandlers::new().handler(
        StatusCode::UNAUTHORIZED,
        |mut answer| {
            let name = actix_web::http::header::HeaderName::from_static("x-handled");
            answer.headers_mut().insert(name, HeaderValue::from_static("yes"));
            Ok(ErrorHandlerResponse::Response(answer.map_into_left_body()))
        }
    )));
    let answer = server.send("GET /v1/x", &[]);
    answer.refused(401, "missing_token");
    assert_eq!(answer.header("x-handled").as_deref(), Some("yes"));
}

/// The route `/v1/{what}` says `Cache-Control: {what}`, or fails in a middleware.
fn caching(world: &World) -> Served {
    async fn handler(what: web::Path<String>) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        if *what != "nothing" {
            answer.insert_header(("cache-control", what.into_inner()));
        }
        answer.finish()
    }
    let auth = world.auth(all_sources());
    serve!(
        App::new()
            .route("/v1/{what}", web::to(handler))
            .wrap_fn(|request, service| {
                let fails = request.path() == "/v1/error";
                let answer = service.call(request);
                async move { if fails { Err(error::ErrorGone("gone")) } else { answer.await } }
            })
            .wrap(auth.clone())
    )
}

#[test]
fn v1_an_answer_to_a_query_or_cookie_token_is_private() {
    let world = World::new();
    let server = caching(&world);
    let bearer = format!("Bearer {}", world.token());
    let cookie = format!("token={}", world.token());
    for (what, private, header) in [
        ("nothing", Some("private"), None),
        ("public,%20max-age=60", Some("private, max-age=60"), Some("public, max-age=60")),
        ("no-store", Some("no-store"), Some("no-store")),
        ("private", Some("private"), Some("private")),
        ("error", Some("private"), None),
    ] {
        let target = format!("GET /v1/{what}?access_token={}", world.token());
        let status = if what == "error" { 410 } else { 200 };
        for answer in [
            server.send(&target, &[("Sec-Fetch-Site", "same-origin")]),
            server
                .send(&format!("GET /v1/{what}"), &[("Sec-Fetch-Site", "same-origin"), ("Cookie", &cookie)]),
        ] {
            assert_eq!(
                (answer.status, answer.header("cache-control").as_deref()),
                (status, private),
                "{what}"
            );
        }
        let answer = server.send(&format!("GET /v1/{what}"), &[("Authorization", &bearer)]);
        assert_eq!((answer.status, answer.header("cache-control").as_deref()), (status, header), "{what}");
    }
}

#[test]
fn v1_a_websocket_answer_names_the_first_other_protocol_unless_the_application_chose() {
    async fn handler(request: HttpRequest) -> HttpResponse {
        let mut answer = HttpResponse::build(match request.path() {
            "/v1/plain" => StatusCode::OK,
            _ => StatusCode::SWITCHING_PROTOCOLS,
        });
        if request.path() == "/v1/chooses" {
            answer.insert_header(("sec-websocket-protocol", "log"));
        }
        answer.upgrade("websocket").finish()
    }
    let world = World::new();
    let auth = world.auth(all_sources());
    let server = serve!(App::new().wrap(auth.clone()).default_service(web::to(handler)));
    let send = |path: &str, protocols: &str, bearer: &str| {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Protocol", protocols),
            ("Authorization", bearer),
        ];
        let headers = if bearer.is_empty() { &headers[..3] } else { &headers[..] };
        let answer = server.send(&format!("GET {path}"), headers);
        (answer.status, answer.header("sec-websocket-protocol"))
    };
    let protocols = format!("bearer.{}, chat, log", world.token());
    assert_eq!(send("/v1/silent", &protocols, ""), (101, Some("chat".to_owned())));
    assert_eq!(send("/v1/chooses", &protocols, ""), (101, Some("log".to_owned())));
    let bearer = format!("Bearer {}", world.token());
    assert_eq!(send("/v1/silent", "chat", &bearer), (101, None), "the token was no protocol");
}

/// With actix-cors outside, the page can read why it was refused, and its preflights need no token.
#[test]
fn o10_refusals_are_readable_by_the_page_with_cors_outside() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(
        App::new()
            .wrap(auth.clone())
            .wrap(
                Cors::default()
                    .allowed_origin("https://page.test")
                    .allowed_methods(["GET"])
                    .expose_any_header()
            )
            .default_service(web::to(HttpResponse::Ok))
    );
    let origin = ("Origin", "https://page.test");
    for answer in [
        server.send("GET /v1/x", &[origin]),
        server.send("GET /v1/x", &[origin, ("Authorization", "Bearer x")]),
    ] {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.verdict().1.is_some(), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://page.test"));
        assert!(answer.header("www-authenticate").is_some());
    }
    let bearer = format!("Bearer {}", world.mint("aud=https://page.test"));
    let answer = server.send("GET /v1/x", &[origin, ("Authorization", &bearer)]);
    assert_eq!((answer.status, answer.header("access-control-allow-origin").is_some()), (200, true));
    let answer = server.send("OPTIONS /v1/x", &[origin, ("Access-Control-Request-Method", "GET")]);
    assert_eq!((answer.status, answer.header("access-control-allow-methods").as_deref()), (200, Some("GET")));
}
