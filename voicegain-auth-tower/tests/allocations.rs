//! How many allocations the layer adds to a request, exactly, and what each of them is.
//!
//! Counted on the thread that the request is on, so that the feed's thread is none of it, and over the same service
//! without the layer. Of the decision itself nothing is allocated but what an API path takes.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy takes only what is marked as a test for one"
)]

mod common;

use std::convert::Infallible;
use std::fmt::Debug;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::{World, bearer, tell};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use voicegain_auth_core::clock::{Reading, SystemClock};
use voicegain_auth_core::{Caller, Clock, Policy, SecretCache, Verifier};
use voicegain_auth_tower::AuthLayer;

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

    fn request<B: Default>(&self) -> Request<B> {
        let mut request = Request::get(PATH).header("host", "api.test");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(origin) = self.origin {
            request = request.header("origin", origin);
        }
        request.body(B::default()).unwrap()
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
    async fn make(world: &World) -> Self {
        let long_lived = world.long_lived().await;
        let short_lived = world.short_lived(&long_lived, "aud=https://app.test").await;
        let api_limited = world.short_lived(&long_lived, "aud=https://app.test&api=/data-prep").await;
        Self {
            expired: Sent::new(expired(world, &long_lived).await, APP),
            malformed: Sent::new("rubbish".to_owned(), None),
            missing: Sent::new(None, None),
            long_lived: Sent::new(long_lived, None),
            short_lived: Sent::new(short_lived, APP),
            api_limited: Sent::new(api_limited, APP),
        }
    }
}

/// What a process an hour behind has minted for five minutes.
async fn expired(world: &World, long_lived: &str) -> String {
    #[derive(Debug)]
    struct HourAgo;

    impl Clock for HourAgo {
        fn read(&self) -> Reading {
            let mut now = SystemClock::default().read();
            now.wall -= Duration::from_secs(3_600);
            now
        }
    }

    let cache = SecretCache::builder(world.store.clone()).clock(HourAgo).build().unwrap();
    let issuer = voicegain_auth_core::Issuer::new(cache.clone(), common::API_URL).unwrap();
    let layer = AuthLayer::new(Verifier::new(cache, Policy::default()));
    let response = layer.layer(service_fn(tell)).oneshot(bearer(PATH, long_lived)).await.unwrap();
    let Some(Caller::Identified(identity)) = response.extensions().get() else { panic!("refused") };
    issuer.mint(identity, Some("aud=https://app.test")).unwrap()
}

/// How many allocations it takes to send this, once hundreds like it have been sent, and what the status is. Now and then
/// moka keeps house on the thread that asks it, so what most requests take is what counts.
fn allocations<S, B, ResB>(mut service: S, sent: &Sent) -> (u64, u16)
where
    S: Service<Request<B>, Response = Response<ResB>, Error: Debug>,
    B: Default,
{
    let mut counts = Vec::new();
    let mut status = 0;
    for round in 0..600 {
        let request = sent.request::<B>();
        let counted = allocation_counter::measure(|| {
            let response = ready(black_box(&mut service).call(request)).unwrap();
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

fn with_world(test: impl FnOnce(&World, &Tokens)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (world, tokens) = runtime.block_on(async {
        let world = World::new().await;
        let tokens = Tokens::make(&world).await;
        (world, tokens)
    });
    test(&world, &tokens);
}

/// What a request's extensions take: a map, its table, and what is put into it, boxed.
const EXTENSIONS: u64 = 3;
/// An API path and the `Arc` that it is shared by, in the identity.
const API_PATH: u64 = 2;
/// What a refusal's body takes: a text that grows once, and how `Bytes` shares it.
const BODY: u64 = 2 + 1;
/// A refusal's headers: the text of `WWW-Authenticate` and how `Bytes` shares it, and a map, which is indices and entries.
const HEADERS: u64 = 2 + 2;
const REFUSED: u64 = BODY + HEADERS + EXTENSIONS;

#[test]
fn what_the_layer_adds_to_a_service() {
    with_world(|world, tokens| {
        let plain = service_fn(async |_: Request<String>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let layered = world.layer().outermost().layer(plain);
        for (what, sent, status, added) in [
            ("long-lived", &tokens.long_lived, 200, EXTENSIONS),
            ("short-lived", &tokens.short_lived, 200, EXTENSIONS),
            ("api-limited", &tokens.api_limited, 200, EXTENSIONS + API_PATH),
            ("expired", &tokens.expired, 401, REFUSED),
            ("malformed", &tokens.malformed, 401, REFUSED),
            ("missing", &tokens.missing, 401, REFUSED),
        ] {
            assert_eq!(allocations(plain, sent), (0, 200), "{what}, without the layer");
            assert_eq!(allocations(layered.clone(), sent), (added, status), "{what}");
        }
    });
}

/// Over a layer that does nothing: axum boxes what it does for any layer.
#[cfg(feature = "axum")]
#[test]
fn what_the_layer_adds_to_an_axum_router() {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::layer::util::Identity;

    with_world(|world, tokens| {
        let app = || Router::new().route(PATH, get(async || ()));
        let (plain, idle, layered) = (app(), app().layer(Identity::new()), app().layer(world.layer()));
        // The caller, boxed; axum's own map of extensions has room. And axum keeps a copy of the layer in a box of its own,
        // which one of no size needs not.
        let accepted = 1 + 1;
        // As without axum, in a boxed body and with a `Content-Length` that has a value; and neither handler nor headers of
        // the application's answer.
        let refused = REFUSED + 1 + 1 + 1 - 2 - 2;
        for (what, sent, status, added) in [
            ("long-lived", &tokens.long_lived, 200, accepted),
            ("short-lived", &tokens.short_lived, 200, accepted),
            ("api-limited", &tokens.api_limited, 200, accepted + API_PATH),
            ("expired", &tokens.expired, 401, refused),
            ("malformed", &tokens.malformed, 401, refused),
            ("missing", &tokens.missing, 401, refused),
        ] {
            let of = |app: &Router| allocations::<_, Body, _>(app.clone(), sent);
            let (without, idle, with) = (of(&plain), of(&idle), of(&layered));
            // What axum boxes for a layer: how to make the layered route, the route, its future.
            assert_eq!(idle, (without.0 + 3, 200), "{what}, with a layer that does nothing");
            assert_eq!(with, (idle.0 + added, status), "{what}");
        }
    });
}
