//! What fails closed, and what Rocket keeps to itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rocket::fairing::AdHoc;
use rocket::http::{Header, Status};
use rocket::local::asynchronous::Client;
use rocket::{Build, Rocket, State, get, options, routes, uri};
use rocket_app::{Auth, Caller, Identity};
use voicegain_auth_core::{CreateRequest, Issuer, MemoryStore, Mode, Policy, SecretCache, Verifier};

/// Whether a handler has run that may not.
type Ran = State<Arc<AtomicBool>>;

#[get("/caller")]
fn caller(caller: Caller) -> String {
    format!("{}", caller.0.identity().is_some())
}

#[get("/identity")]
fn identity(identity: Identity) -> String {
    identity.account_id().to_string()
}

#[options("/identity")]
fn preflight(identity: Identity) -> String {
    identity.account_id().to_string()
}

#[get("/maybe")]
fn maybe(identity: Option<Identity>) -> String {
    identity.map_or("nobody".to_owned(), |identity| identity.account_id().to_string())
}

#[get("/<_..>", rank = 99)]
fn all(ran: &Ran) -> &'static str {
    ran.store(true, Ordering::Relaxed);
    "reached"
}

struct World {
    verifier: Verifier,
    token: Header<'static>,
}

async fn world(mode: Mode) -> World {
    let policy = Policy::builder().mode(mode).build().unwrap();
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
    let issuer = Issuer::new(cache.clone(), "https://api.example.org/v1").unwrap();
    let request = CreateRequest::new("acc-1".parse().unwrap(), "ctx-1".parse().unwrap(), "test");
    let token = issuer.create(request).await.unwrap().jwt;
    World {
        verifier: Verifier::new(cache, policy),
        token: Header::new("Authorization", format!("Bearer {token}")),
    }
}

fn app(ran: &Arc<AtomicBool>) -> Rocket<Build> {
    rocket::build().manage(Arc::clone(ran)).mount("/", routes![caller, identity, preflight, maybe, all])
}

async fn get(client: &Client, path: &'static str, headers: &[&Header<'static>]) -> (u16, String) {
    let mut request = client.get(path);
    for header in headers {
        request.add_header((*header).clone());
    }
    let response = request.dispatch().await;
    (response.status().code, response.into_string().await.unwrap_or_default())
}

#[rocket::async_test]
async fn without_the_fairing_the_guards_fail() {
    let world = world(Mode::Required).await;
    let client = Client::tracked(app(&Arc::default())).await.unwrap();
    assert_eq!(get(&client, "/caller", &[&world.token]).await.0, 500);
    assert_eq!(get(&client, "/identity", &[&world.token]).await.0, 500);
    // Rocket makes `None` of it, which is why `Caller` is there.
    assert_eq!(get(&client, "/maybe", &[&world.token]).await, (200, "nobody".to_owned()));
}

#[rocket::async_test]
async fn a_refused_request_reaches_no_route() {
    let (world, ran) = (world(Mode::Required).await, Arc::default());
    let client = Client::tracked(app(&ran).attach(Auth(world.verifier))).await.unwrap();
    for path in ["/anything", "/", "/.voicegain-auth/refused", "/caller"] {
        let (status, body) = get(&client, path, &[]).await;
        assert_eq!(status, 401, "{path}");
        assert!(body.contains("missing_token"), "{body}");
    }
    assert!(!ran.load(Ordering::Relaxed));
    assert_eq!(get(&client, "/anything", &[&world.token]).await, (200, "reached".to_owned()));
    assert_eq!(get(&client, "/identity", &[&world.token]).await, (200, "acc-1".to_owned()));
    // The path of the refusals is nobody's: for those who are let in it is the application's.
    assert_eq!(get(&client, "/.voicegain-auth/refused", &[&world.token]).await, (200, "reached".to_owned()));
}

#[rocket::async_test]
async fn a_fairing_behind_cannot_send_a_refused_request_elsewhere() {
    let (world, ran) = (world(Mode::Required).await, Arc::default());
    let elsewhere = AdHoc::on_request("elsewhere", |request, _| {
        Box::pin(async move { request.set_uri(uri!("/identity")) })
    });
    let client = Client::tracked(app(&ran).attach(Auth(world.verifier)).attach(elsewhere)).await.unwrap();
    let (status, body) = get(&client, "/x", &[]).await;
    assert_eq!(status, 401);
    assert!(body.contains("missing_token"), "{body}");
    assert_eq!(get(&client, "/x", &[&world.token]).await, (200, "acc-1".to_owned()));
}

#[rocket::async_test]
async fn who_is_anonymous_has_no_identity() {
    let world = world(Mode::Optional).await;
    let client = Client::tracked(app(&Arc::default()).attach(Auth(world.verifier))).await.unwrap();
    assert_eq!(get(&client, "/caller", &[]).await, (200, "false".to_owned()));
    assert_eq!(get(&client, "/maybe", &[]).await, (200, "nobody".to_owned()));
    let response = client.get("/identity").dispatch().await;
    assert_eq!(response.status(), Status::Unauthorized);
    let challenge = response.headers().get_one("www-authenticate").unwrap().to_owned();
    assert!(challenge.starts_with("Bearer realm="), "{challenge}");
    // Rocket's own headers are still there.
    assert!(response.headers().contains("x-content-type-options"));
    assert!(response.into_string().await.unwrap().contains("missing_token"));
}

#[rocket::async_test]
async fn a_preflight_is_let_in_and_has_no_identity() {
    let world = world(Mode::Required).await;
    let client = Client::tracked(app(&Arc::default()).attach(Auth(world.verifier))).await.unwrap();
    let lines = [("Origin", "https://page.example.com"), ("Access-Control-Request-Method", "GET")];
    let preflight = |path: &'static str| {
        lines.iter().fold(client.options(path), |request, line| request.header(Header::new(line.0, line.1)))
    };
    // As in the example: nothing has a route for it.
    assert_eq!(preflight("/caller").dispatch().await.status(), Status::NotFound);
    assert_eq!(preflight("/identity").dispatch().await.status(), Status::Unauthorized);
}
