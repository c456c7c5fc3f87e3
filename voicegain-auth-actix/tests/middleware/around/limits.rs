//! Limits of time.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorGatewayTimeout;
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::time::{sleep, timeout};
use actix_web::{App, Error, HttpRequest, rt, web};
use tokio::runtime::{Builder, Runtime};
use voicegain_auth_actix::Identity;
use voicegain_auth_core::{Issuer, MemoryStore, Policy, SecretCache};

use crate::support::{World, serve};

const LIMIT: Duration = Duration::from_millis(100);

async fn limited(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let answer = timeout(LIMIT, next.call(request)).await;
    answer.unwrap_or_else(|_| Err(ErrorGatewayTimeout("too slow")))
}

/// A world whose feed and look-ups run on this runtime alone.
fn stalling() -> (World, Runtime) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).runtime(runtime.handle().clone());
    let cache = cache.wait_limit(Duration::from_secs(20)).build().unwrap();
    let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
    let config = World::create(&issuer);
    (World { cache, issuer, config }, runtime)
}

/// The runtime stands still, and with it every look-up, until this is dropped.
fn hold(runtime: &Runtime) -> mpsc::Sender<()> {
    let (go_on, stopped) = mpsc::channel::<()>();
    let (stands, standing) = mpsc::channel();
    runtime.spawn(async move {
        stands.send(()).unwrap();
        let _ = stopped.recv();
    });
    standing.recv().unwrap();
    go_on
}

#[test]
fn v6_a_timeout_outside_ends_the_wait_for_the_store_and_lets_nobody_in() {
    let (world, runtime) = stalling();
    let auth = world.auth(Policy::builder());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = serve!({
        let calls = Arc::clone(&counted);
        App::new().wrap(auth.clone()).wrap(from_fn(limited)).default_service(web::to(move |_: Identity| {
            calls.fetch_add(1, Ordering::SeqCst);
            async { "ok" }
        }))
    });
    server.bearer("GET /v1/x", world.token()).accepted();
    let unknown = World::create(&world.issuer).jwt;
    let held = hold(&runtime);
    assert_eq!(server.bearer("GET /v1/x", &unknown).status, 504);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    drop(held);
    let mut answers = (0..100).map(|_| server.bearer("GET /v1/x", &unknown));
    answers.find(|answer| answer.status != 504).expect("the store is back").accepted();
    assert_eq!(calls.load(Ordering::SeqCst), 2, "whoever was given up is not let in later");
}

#[test]
fn v6_a_timeout_inside_limits_the_handler_alone_and_not_the_wait_for_the_store() {
    let (world, runtime) = stalling();
    let auth = world.auth(Policy::builder());
    let held = Arc::new(Mutex::new(Some(hold(&runtime))));
    let server = serve!({
        let (by_handler, by_time) = (Arc::clone(&held), Arc::clone(&held));
        App::new()
            .wrap(from_fn(limited))
            .wrap(auth.clone())
            .wrap(from_fn(move |request, next: Next<_>| {
                let held = Arc::clone(&by_time);
                rt::spawn(async move {
                    sleep(3 * LIMIT).await;
                    held.lock().unwrap().take();
                });
                next.call(request)
            }))
            .default_service(web::to(move |_: Identity, request: HttpRequest| {
                let waited = by_handler.lock().unwrap().is_none();
                async move {
                    if request.path() == "/v1/never" { pending().await } else { waited.to_string() }
                }
            }))
    });
    assert_eq!(server.bearer("GET /v1/x", world.token()).accepted(), "true", "or the decision was not slow");
    assert_eq!(server.bearer("GET /v1/never", world.token()).status, 504);
    server.send("GET /v1/never", &[]).refused(401, "missing_token");
}
