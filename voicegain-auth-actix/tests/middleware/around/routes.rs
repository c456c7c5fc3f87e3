//! CORS inside, where it does not belong; guards, scopes and methods.

use actix_cors::Cors;
use actix_web::{App, HttpResponse, guard, web};
use voicegain_auth_core::Policy;

use super::account;
use crate::support::{World, serve};

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
