use actix_web::middleware::NormalizePath;
use actix_web::{App, web};
use voicegain_auth_actix::{Caller, Identity};
use voicegain_auth_core::Policy;

use crate::support::{World, serve};

async fn ok(_: Caller) -> &'static str {
    "ok"
}

#[test]
fn around_an_app_it_hides_every_404() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(App::new().wrap(auth.clone()).route("/v1/x", web::get().to(ok)));
    server.send("GET /v1/x", &[]).refused(401, "missing_token");
    server.send("GET /nowhere", &[]).refused(401, "missing_token");
    server.bearer("GET /v1/x", world.token()).accepted();
    assert_eq!(server.bearer("GET /nowhere", world.token()).status, 404);
}

#[test]
fn around_a_scope_it_hides_the_scopes_404s() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server =
        serve!(App::new().service(web::scope("/v1").wrap(auth.clone()).route("/x", web::get().to(ok))));
    server.send("GET /v1/x", &[]).refused(401, "missing_token");
    server.send("GET /v1/nowhere", &[]).refused(401, "missing_token");
    assert_eq!(server.send("GET /nowhere", &[]).status, 404);
    assert_eq!(server.send("GET /v1x", &[]).status, 404);
    server.bearer("GET /v1/x", world.token()).accepted();
    assert_eq!(server.bearer("GET /v1/nowhere", world.token()).status, 404);
}

#[test]
fn around_a_resource_it_hides_its_405_and_no_404() {
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server =
        serve!(App::new().service(web::resource("/v1/x").wrap(auth.clone()).route(web::get().to(ok))));
    server.send("GET /v1/x", &[]).refused(401, "missing_token");
    server.send("PUT /v1/x", &[]).refused(401, "missing_token");
    assert_eq!(server.send("GET /v1/y", &[]).status, 404);
    server.bearer("GET /v1/x", world.token()).accepted();
    assert_eq!(server.bearer("PUT /v1/x", world.token()).status, 405);
}

/// `/data-prep` behind Auth on an inner scope: below `/v1/admin`, and below `/v1` itself.
#[test]
fn p1_counts_the_path_the_client_sent_whatever_a_scope_strips() {
    async fn rest(path: web::Path<String>, _: Identity) -> String {
        path.into_inner()
    }
    let world = World::new();
    let auth = world.auth(Policy::builder());
    let server = serve!(
        App::new().service(
            web::scope("/v1")
                .service(web::scope("/admin").wrap(auth.clone()).route("/{rest:.*}", web::to(rest)))
                .service(web::scope("").wrap(auth.clone()).route("/{rest:.*}", web::to(rest)))
        )
    );
    let token = world.mint("aud=*&api=/data-prep");
    for (target, handler_sees) in [
        ("/v1/data-prep", "data-prep"),
        ("/v1/data-prep/a?x=/admin", "data-prep/a"),
        ("/v1/data%2Dprep/", "data-prep/"),
        ("/v1/data-prep/b%20c", "data-prep/b c"),
    ] {
        assert_eq!(server.bearer(&format!("GET {target}"), &token).accepted(), handler_sees, "{target}");
    }
    for target in [
        "/v1/admin/data-prep",
        "/v1/admin/data-prep/a",
        "/v1/data-prepared",
        "/v1/x?path=/v1/data-prep",
        "/v1/data-prep/../admin/x",
        "/v1/data-prep/%2e%2e/admin/x",
        "/v1/data-prep/..%2fadmin",
        "/v1//data-prep",
        "/v1/data-prep/%252e",
    ] {
        server.bearer(&format!("GET {target}"), &token).refused(403, "insufficient_scope");
        server.bearer(&format!("GET {target}"), world.token()).accepted();
    }
}

/// With a base path that a scope's rest could be taken for.
#[test]
fn p1_a_token_for_data_prep_is_no_good_below_another_scope() {
    let world = World::new();
    let auth = world.auth(Policy::builder().base_path("/"));
    let server = serve!(
        App::new()
            .service(web::scope("/admin").wrap(auth.clone()).route("/data-prep", web::to(ok)))
            .service(web::resource("/data-prep").wrap(auth.clone()).to(ok))
    );
    let token = world.mint("aud=*&api=/data-prep");
    server.bearer("GET /data-prep", &token).accepted();
    server.bearer("GET /admin/data-prep", &token).refused(403, "insufficient_scope");
    server.bearer("GET /admin/data-prep", world.token()).accepted();
}

/// What is registered last is outermost: a path that is tidied before `Auth` sees it is not the one the client sent.
#[test]
fn p1_a_middleware_that_rewrites_paths_belongs_inside() {
    let world = World::new();
    let token = world.mint("aud=*&api=/data-prep");
    let auth = world.auth(Policy::builder());
    let inside = serve!(
        App::new().wrap(NormalizePath::trim()).wrap(auth.clone()).route("/v1/data-prep", web::get().to(ok))
    );
    let auth = world.auth(Policy::builder());
    let outside = serve!(
        App::new().wrap(auth.clone()).wrap(NormalizePath::trim()).route("/v1/data-prep", web::get().to(ok))
    );
    for server in [&inside, &outside] {
        server.bearer("GET /v1/data-prep/", &token).accepted();
        server.bearer("GET /v1//data-prep", world.token()).accepted();
    }
    inside.bearer("GET /v1//data-prep", &token).refused(403, "insufficient_scope");
    outside.bearer("GET /v1//data-prep", &token).accepted();
}

#[test]
fn v1_an_auth_inside_another_finds_no_token_unless_the_outer_one_passes_it_on() {
    let world = World::new();
    for pass in [false, true] {
        let outer = world.auth(Policy::builder().pass_token_on(pass));
        let inner = world.auth(Policy::builder());
        let server = serve!(
            App::new()
                .wrap(outer.clone())
                .service(web::scope("/v1").wrap(inner.clone()).route("/x", web::get().to(ok)))
        );
        let answer = server.bearer("GET /v1/x", world.token());
        if pass { drop(answer.accepted().to_owned()) } else { answer.refused(401, "missing_token") }
    }
}
