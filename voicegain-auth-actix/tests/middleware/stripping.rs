use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::cookie::Cookie;
use actix_web::dev::Service;
use actix_web::{App, HttpRequest, web};
use voicegain_auth_actix::Caller;
use voicegain_auth_core::{Mode, PolicyBuilder};

use crate::support::{Answer, Served, World, all_sources, serve};

/// Everything of a request that a handler can get at.
fn everything(request: &HttpRequest) -> String {
    let text = |cookies: &[Cookie<'_>]| {
        let pairs = cookies.iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value()));
        pairs.collect::<Vec<_>>().join(";")
    };
    let cookies = text(&request.cookies().unwrap());
    let raw_cookies = text(&request.cookies_raw().unwrap());
    let headers: Vec<_> = request.headers().iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!(
        "uri {} routed {} headers {} cookies {cookies} raw {raw_cookies} debug {request:?}",
        request.uri(),
        request.match_info().get_ref().uri(),
        headers.join(" "),
    )
}

async fn show(request: HttpRequest, query: web::Query<BTreeMap<String, String>>, _: Caller) -> String {
    format!("{} query {:?}", everything(&request), query.into_inner())
}

fn served(world: &World, policy: PolicyBuilder) -> Served {
    let auth = world.auth(policy);
    serve!(App::new().service(web::scope("/v1/{a}").wrap(auth.clone()).route("/{b}", web::to(show))))
}

const SAME_ORIGIN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

/// Start line, header lines, and what a handler must still find of them.
type Case = (String, Vec<(&'static str, String)>, &'static str);

/// One request for each way of sending a token.
fn requests(token: &str) -> Vec<Case> {
    let same_origin = (SAME_ORIGIN.0, SAME_ORIGIN.1.to_owned());
    let websocket = |protocols: String| {
        vec![
            ("Connection", "close, Upgrade".to_owned()),
            ("Upgrade", "websocket".to_owned()),
            ("Sec-WebSocket-Protocol", protocols),
        ]
    };
    vec![
        (
            "GET /v1/x/y?k=1".to_owned(),
            vec![("Authorization", format!("Bearer {token}"))],
            "uri /v1/x/y?k=1 ",
        ),
        (
            format!("GET /v1/x/y?access_token={token}"),
            vec![same_origin.clone()],
            "uri /v1/x/y routed /v1/x/y ",
        ),
        (
            format!("GET /v1/x/%79?k=%26&access%5Ftoken={token}&l=2"),
            vec![same_origin.clone()],
            "uri /v1/x/%79?k=%26&l=2 routed /v1/x/%79?k=%26&l=2 ",
        ),
        (
            "GET /v1/x/y".to_owned(),
            vec![same_origin.clone(), ("Cookie", format!("a=b; token={token}; c=d"))],
            "cookie=\"a=b; c=d\"",
        ),
        ("GET /v1/x/y".to_owned(), vec![same_origin, ("Cookie", format!("token={token}"))], "uri /v1/x/y "),
        (
            "GET /v1/x/y".to_owned(),
            websocket(format!("chat, bearer.{token}, log")),
            "sec-websocket-protocol=\"chat, log\"",
        ),
    ]
}

fn send(server: &Served, start: &str, headers: &[(&str, String)]) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.send(start, &headers)
}

#[test]
fn v1_no_source_is_left_for_the_application() {
    let world = World::new();
    let server = served(&world, all_sources());
    for (start, headers, left) in requests(world.token()) {
        let answer = send(&server, &start, &headers);
        assert!(answer.accepted().contains(left), "{left}: {answer:?}");
        assert!(!answer.body.contains(world.token()), "{start} {headers:?}");
        assert!(!answer.body.contains("access_token") && !answer.body.contains("bearer."), "{answer:?}");
    }
}

#[test]
fn v1_the_other_sources_go_too_whichever_counted() {
    let world = World::new();
    let server = served(&world, all_sources());
    let cookie = format!("token={}; a=b", world.token());
    let bearer = format!("Bearer {}", world.token());
    let answer = server.send("GET /v1/x/y", &[("Authorization", &bearer), ("Cookie", &cookie)]);
    assert!(answer.accepted().contains("cookie=\"a=b\""), "{answer:?}");
    assert!(!answer.body.contains(world.token()));
}

#[test]
fn v1_an_anonymous_request_and_a_preflight_are_stripped_as_well() {
    let world = World::new();
    let server = served(&world, all_sources().mode(Mode::Optional));
    let answer = server.send("GET /v1/x/y?access_token=&k=1", &[("Authorization", "Bearer ")]);
    assert!(answer.accepted().contains("uri /v1/x/y?k=1 "), "{answer:?}");
    assert!(!answer.body.contains("authorization"), "{answer:?}");
    let preflight = [("Origin", "https://page.test"), ("Access-Control-Request-Method", "GET")];
    let answer = server.send("OPTIONS /v1/x/y?access_token=secret", &preflight);
    assert!(answer.accepted().contains("uri /v1/x/y ") && !answer.body.contains("secret"), "{answer:?}");
}

#[test]
fn v8_the_token_is_passed_on_when_told_to() {
    let world = World::new();
    let server = served(&world, all_sources().pass_token_on(true));
    for (start, headers, _) in requests(world.token()) {
        assert!(send(&server, &start, &headers).accepted().contains(world.token()), "{start}");
    }
}

#[test]
fn v1_what_is_not_a_token_source_stays() {
    let world = World::new();
    let server = served(&world, voicegain_auth_core::Policy::builder());
    let bearer = format!("Bearer {}", world.token());
    let answer =
        server.send("GET /v1/x/y?access_token=z", &[("Authorization", &bearer), ("Cookie", "token=c")]);
    assert!(answer.accepted().contains("uri /v1/x/y?access_token=z "), "{answer:?}");
    assert!(answer.body.contains("cookie=\"token=c\""), "{answer:?}");
}

#[test]
fn v1_routes_and_parameters_are_the_same_after_the_query_is_rewritten() {
    async fn parameters(path: web::Path<(String, String)>, request: HttpRequest) -> String {
        let (a, b) = path.into_inner();
        format!("{a} {b} {:?}", request.match_pattern())
    }
    let world = World::new();
    let auth = world.auth(all_sources());
    let server = serve!(
        App::new().service(web::scope("/v1/{a}").wrap(auth.clone()).route("/{b}/end", web::to(parameters)))
    );
    let target = format!("GET /v1/%C3%A9%20x/y%2Fz/end?access_token={}", world.token());
    assert_eq!(server.send(&target, &[SAME_ORIGIN]).accepted(), "\u{e9} x y/z Some(\"/v1/{a}/{b}/end\")");
}

/// Outer middlewares get the request back with the answer.
#[test]
fn v1_a_refused_request_is_stripped_as_well() {
    let world = World::new();
    let auth = world.auth(all_sources());
    let seen = Arc::new(Mutex::new(String::new()));
    let writer = Arc::clone(&seen);
    let server = serve!({
        let seen = Arc::clone(&writer);
        App::new().wrap(auth.clone()).default_service(web::to(show)).wrap_fn(move |request, service| {
            let seen = Arc::clone(&seen);
            let answer = service.call(request);
            async move {
                let answer = answer.await?;
                *seen.lock().unwrap() = everything(answer.request());
                Ok(answer)
            }
        })
    });
    for (start, headers, _) in requests("no-such-token") {
        assert_eq!(send(&server, &start, &headers).status, 401, "{start}");
        let seen = seen.lock().unwrap();
        assert!(seen.contains("uri /v1/x/") && !seen.contains("no-such-token"), "{seen}");
    }
}

/// actix keeps parsed cookies where nobody else can reach them. The README says what follows from that.
#[test]
fn v1_cookies_that_an_outer_middleware_has_parsed_stay_in_actixs_cache() {
    let world = World::new();
    let auth = world.auth(all_sources());
    let server =
        serve!(App::new().wrap(auth.clone()).default_service(web::to(show)).wrap_fn(|request, service| {
            drop(request.cookie("other"));
            service.call(request)
        }));
    let cookie = format!("token={}", world.token());
    let answer = server.send("GET /v1/x/y", &[SAME_ORIGIN, ("Cookie", &cookie)]);
    assert!(!answer.accepted().contains("cookie=\""), "the header is gone: {answer:?}");
    assert!(answer.body.contains(&format!("cookies {cookie} raw  ")), "{answer:?}");
}
