//! How many allocations the middleware adds to a request, exactly, and what each of them is.
//!
//! Counted on the thread that the request is on, so that the feed's thread is none of it, and over the same app without
//! the middleware. Of the decision itself nothing is allocated but what an API path takes.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy takes only what is marked as a test for one"
)]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, HttpResponse, web};
use tokio::runtime::Runtime;
use voicegain_auth_actix::Auth;
use voicegain_auth_core::clock::{Reading, SystemClock};
use voicegain_auth_core::{
    Clock, CreateRequest, Field, Issuer, MemoryStore, Policy, RequestHead, SecretCache, SecretCacheBuilder,
    Verifier,
};

const API_URL: &str = "https://api.voicegain.ai/v1";
const PATH: &str = "/v1/data-prep/x";
const APP: &str = "https://app.test";

/// What a request is made from: who sends it, and from which page.
struct Sent {
    token: Option<String>,
    origin: Option<&'static str>,
}

impl Sent {
    fn new(token: impl Into<Option<String>>, origin: impl Into<Option<&'static str>>) -> Self {
        Self { token: token.into(), origin: origin.into() }
    }

    fn request(&self) -> TestRequest {
        let mut request = TestRequest::with_uri(PATH).insert_header(("host", "api.test"));
        if let Some(token) = &self.token {
            request = request.insert_header(("authorization", format!("Bearer {token}")));
        }
        if let Some(origin) = self.origin {
            request = request.insert_header(("origin", origin));
        }
        request
    }
}

/// All that is sent here, by name.
struct Tokens {
    long_lived: Sent,
    short_lived: Sent,
    api_limited: Sent,
    expired: Sent,
    malformed: Sent,
    missing: Sent,
}

impl Tokens {
    fn make(runtime: &Runtime, store: &MemoryStore, cache: &SecretCache) -> Self {
        let issuer = Issuer::new(cache.clone(), API_URL).unwrap();
        let request = CreateRequest::new("acc-1".parse().unwrap(), "ctx-1".parse().unwrap(), "test");
        let long_lived = runtime.block_on(issuer.create(request)).unwrap().jwt;
        let mint = |cache, query| mint(runtime, cache, &long_lived, query);
        let hour_ago = builder(runtime, store).clock(HourAgo).build().unwrap();
        Self {
            short_lived: Sent::new(mint(cache, "aud=https://app.test"), APP),
            api_limited: Sent::new(mint(cache, "aud=https://app.test&api=/data-prep"), APP),
            // By a process that is an hour behind, for five minutes.
            expired: Sent::new(mint(&hour_ago, "aud=https://app.test"), APP),
            malformed: Sent::new("rubbish".to_owned(), None),
            missing: Sent::new(None, None),
            long_lived: Sent::new(long_lived, None),
        }
    }
}

#[derive(Debug)]
struct HourAgo;

impl Clock for HourAgo {
    fn read(&self) -> Reading {
        let mut now = SystemClock::default().read();
        now.wall -= Duration::from_secs(3_600);
        now
    }
}

fn builder(runtime: &Runtime, store: &MemoryStore) -> SecretCacheBuilder {
    SecretCache::builder(store.clone()).runtime(runtime.handle().clone())
}

fn mint(runtime: &Runtime, cache: &SecretCache, long_lived: &str, query: &str) -> String {
    let issuer = Issuer::new(cache.clone(), API_URL).unwrap();
    let verifier = Verifier::new(cache.clone(), Policy::default());
    let admitted = runtime.block_on(verifier.authorize(&Bearer(format!("Bearer {long_lived}")))).unwrap();
    issuer.mint(admitted.caller().identity().unwrap(), Some(query)).unwrap()
}

struct Bearer(String);

impl RequestHead for Bearer {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/v1/security/jwt"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        (field == Field::Authorization).then_some(self.0.as_bytes()).into_iter()
    }
}

/// How many allocations it takes to answer a request, once hundreds like it have been answered, and what the status is. Now
/// and then moka keeps house on the thread that asks it, so what most requests take is what counts.
fn allocations<S, R, B>(app: &S, request: impl Fn() -> R) -> (u64, u16)
where
    S: Service<R, Response = ServiceResponse<B>, Error = Error>,
{
    let mut counts = Vec::new();
    let mut status = 0;
    for round in 0..600 {
        let request = request();
        let counted = allocation_counter::measure(|| {
            let response = ready(app.call(request)).unwrap();
            status = response.status().as_u16();
            black_box(response);
        });
        if round >= 400 {
            counts.push(counted.count_total);
        }
    }
    counts.sort_unstable();
    (counts[counts.len() / 2], status)
}

/// Where nothing has to be waited for, one poll is enough.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it should not wait"),
    }
}

async fn ok() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// The caller, boxed. The map of the request's extensions is actix's own, and gets its table a little earlier.
const CALLER: u64 = 1;
/// An API path and the `Arc` that it is shared by, in the identity.
const API_PATH: u64 = 2;
/// What actix takes for a route and a handler, which a refused request does not get to: what guards look at, boxed, with a
/// place for it in the request's extensions and their table, and the futures of the handler and its route.
const ROUTE: u64 = 1 + 2 + 2;
/// What a refusal takes but for the text of its challenge: actix's error, boxed; in the response's extensions the rejection
/// and a table; the values of `WWW-Authenticate`, `Cache-Control` and `Vary`; the body, a text that grows once, and how
/// `Bytes` shares it.
const REFUSAL: u64 = 1 + 2 + 3 + 2 + 1;

#[test]
fn what_the_middleware_adds_to_an_app() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = MemoryStore::new().unwrap();
    let cache = builder(&runtime, &store).build().unwrap();
    let tokens = Tokens::make(&runtime, &store, &cache);

    let auth = Auth::new(Verifier::new(cache, Policy::default()));
    let plain = ready(init_service(App::new().route(PATH, web::get().to(ok))));
    let wrapped = ready(init_service(App::new().wrap(auth).route(PATH, web::get().to(ok))));
    for (what, sent, status, added, spared) in [
        ("long-lived", &tokens.long_lived, 200, CALLER, 0),
        ("short-lived", &tokens.short_lived, 200, CALLER, 0),
        ("api-limited", &tokens.api_limited, 200, CALLER + API_PATH, 0),
        ("expired", &tokens.expired, 401, REFUSAL + 1, ROUTE),
        ("malformed", &tokens.malformed, 401, REFUSAL + 1, ROUTE),
        ("missing", &tokens.missing, 401, REFUSAL + 1, ROUTE),
    ] {
        let (without, _) = allocations(&plain, || sent.request().to_request());
        let with = allocations(&wrapped, || sent.request().to_request());
        assert_eq!(with, (without + added - spared, status), "{what}, {without} without the middleware");
    }
}
