use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex};

use actix_web::test::TestRequest;
use actix_web::{App, FromRequest, HttpResponse, web};
use voicegain_auth_actix::{Caller, Identity, MissingAuth, Rejected};
use voicegain_auth_core::{Mode, Policy, Reason};

use crate::support::{Served, World, serve};

async fn identity(identity: Identity) -> String {
    identity.context_id().to_string()
}

async fn optional_identity(identity: Option<Identity>) -> String {
    identity.map_or("none".to_owned(), |identity| identity.context_id().to_string())
}

async fn caller(caller: Caller) -> String {
    caller.identity().map_or("nobody".to_owned(), |identity| identity.context_id().to_string())
}

fn served(world: &World, mode: Mode) -> Served {
    let auth = world.auth(Policy::builder().mode(mode));
    serve!(
        App::new()
            .service(
                web::scope("/v1")
                    .wrap(auth.clone())
                    .route("/identity", web::to(identity))
                    .route("/optional", web::to(optional_identity))
                    .route("/caller", web::to(caller))
            )
            .service(
                web::scope("/bare")
                    .route("/identity", web::to(identity))
                    .route("/optional", web::to(optional_identity))
                    .route("/caller", web::to(caller))
            )
    )
}

#[test]
fn v8_the_extractors_give_what_was_verified() {
    let world = World::new();
    let server = served(&world, Mode::Required);
    for route in ["identity", "optional", "caller"] {
        assert_eq!(server.bearer(&format!("GET /v1/{route}"), world.token()).accepted(), "ctx-1");
    }
}

#[test]
fn v8_a_missing_layer_is_a_500_that_tells_the_client_nothing() {
    let world = World::new();
    let server = served(&world, Mode::Required);
    for route in ["identity", "caller"] {
        let answer = server.bearer(&format!("GET /bare/{route}"), world.token());
        assert_eq!((answer.status, answer.body.as_str()), (500, ""), "{route}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    }
}

/// actix's own `Option` extractor forgets every error. The documentation says to use `Caller` instead.
#[test]
fn v8_option_of_identity_cannot_tell_a_missing_layer_from_nobody() {
    let world = World::new();
    let server = served(&world, Mode::Optional);
    assert_eq!(server.send("GET /v1/optional", &[]).accepted(), "none");
    assert_eq!(server.bearer("GET /bare/optional", world.token()).accepted(), "none");
    assert_eq!(server.bearer("GET /bare/caller", world.token()).status, 500);
}

#[test]
fn v1_in_optional_mode_an_identity_is_still_asked_for() {
    let world = World::new();
    let server = served(&world, Mode::Optional);
    assert_eq!(server.send("GET /v1/caller", &[]).accepted(), "nobody");
    let answer = server.send("GET /v1/identity", &[]);
    answer.refused(401, "missing_token");
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer realm="));
    assert_eq!(server.bearer("GET /v1/identity", world.token()).accepted(), "ctx-1");
}

#[test]
fn o9_a_preflight_has_no_identity() {
    let world = World::new();
    let server = served(&world, Mode::Required);
    let preflight = [("Origin", "https://page.test"), ("Access-Control-Request-Method", "PUT")];
    server.send("OPTIONS /v1/identity", &preflight).refused(401, "missing_token");
    assert_eq!(server.send("OPTIONS /v1/caller", &preflight).accepted(), "nobody");
}

#[test]
fn e_the_extractors_refusal_has_the_applications_body_and_grpcs_form_too() {
    let world = World::new();
    let auth = world.auth(Policy::builder().mode(Mode::Optional)).refusal_body(|rejection| {
        (actix_web::http::header::ContentType::plaintext(), rejection.reason().as_str())
    });
    let server = serve!(App::new().wrap(auth.clone()).default_service(web::to(identity)));
    let answer = server.send("GET /v1/x", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (401, "missing_token"));
    let answer = server.send("POST /v1/x", &[("Content-Type", "application/grpc")]);
    assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("16")));
}

#[test]
fn a_handler_can_see_why_extraction_failed() {
    async fn handler(identity: Result<Identity, actix_web::Error>) -> HttpResponse {
        let error = identity.unwrap_err();
        let rejected = error.as_error::<Rejected>().unwrap();
        assert_eq!(rejected.rejection().reason(), Reason::MissingToken);
        let why = rejected.rejection().to_string();
        assert_eq!((rejected.to_string(), rejected.source().unwrap().to_string()), (why.clone(), why));
        HttpResponse::NoContent().finish()
    }
    let world = World::new();
    let auth = world.auth(Policy::builder().mode(Mode::Optional));
    let server = serve!(App::new().wrap(auth.clone()).default_service(web::to(handler)));
    assert_eq!(server.send("GET /v1/x", &[]).status, 204);
}

#[test]
fn v8_a_missing_layer_is_an_error_in_the_log() {
    // So that no thread without a subscriber is the first that `tracing` asks about an event, and the last.
    _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    tracing::subscriber::with_default(subscriber.finish(), || {
        let request = TestRequest::get().to_http_request();
        let caller = Caller::extract(&request).into_inner().unwrap_err();
        let identity = Identity::extract(&request).into_inner().unwrap_err();
        assert!(caller.as_error::<MissingAuth>().is_some() && identity.as_error::<MissingAuth>().is_some());
        assert!(caller.to_string().contains("`Auth`"), "{caller}");
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().all(|line| line.contains("ERROR") && line.contains("no `Auth` wraps it")), "{text}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
