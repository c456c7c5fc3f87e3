//! Handlers that panic, caught or not.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, web};
use voicegain_auth_actix::{Caller, Identity};
use voicegain_auth_core::{Mode, Policy};

use super::account;
use crate::support::{World, all_sources, serve};

async fn panics(_: Identity) -> HttpResponse {
    panic!("as a handler might")
}

#[test]
fn v8_a_panic_that_nobody_catches_leaves_nothing_behind_for_the_next_request() {
    async fn who(caller: Caller) -> String {
        caller.identity().map_or_else(|| "nobody".to_owned(), |it| it.account_id().to_string())
    }
    let world = World::new();
    let auth = world.auth(Policy::builder().mode(Mode::Optional));
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

/// As other crates have it for actix.
async fn catching(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut answer = pin!(next.call(request));
    poll_fn(|cx| {
        let progress = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)));
        progress.unwrap_or_else(|_| Poll::Ready(Err(ErrorInternalServerError("panicked"))))
    })
    .await
}

/// The connection stays open, and what was caught comes through `Auth`: the answer to a token in the query is
/// private.
#[test]
fn v8_a_panic_that_is_caught_inside_leaves_nothing_behind_for_the_next_request() {
    let world = World::new();
    let auth = world.auth(all_sources());
    let server = serve!(
        App::new()
            .wrap(from_fn(catching))
            .wrap(auth.clone())
            .route("/v1/panics", web::to(panics))
            .default_service(web::to(account))
    );
    let page = [("Sec-Fetch-Site", "same-origin")];
    for _ in 0..3 {
        let answer = server.send(&format!("GET /v1/panics?access_token={}", world.token()), &page);
        assert_eq!((answer.status, answer.body.as_str()), (500, "panicked"));
        assert_eq!(answer.header("cache-control").as_deref(), Some("private"));
        server.send("GET /v1/x", &page).refused(401, "missing_token");
        server.send("GET /v1/panics", &page).refused(401, "missing_token");
        assert_eq!(server.bearer("GET /v1/x", world.token()).accepted(), "acc-1");
    }
}
