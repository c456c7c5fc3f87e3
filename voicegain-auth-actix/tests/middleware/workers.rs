use std::collections::HashSet;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use actix_web::{App, web};
use voicegain_auth_actix::Identity;
use voicegain_auth_core::Policy;

use crate::support::{RUNTIME, World, serve};

const WORKERS: usize = 3;

/// The workers are runtimes of their own, and share one cache that lives on none of them.
#[test]
fn c6_all_workers_share_one_cache_that_outlives_them() {
    let world = World::new();
    let workers = Arc::new(Mutex::new(HashSet::new()));
    let first = {
        let (auth, workers) = (world.auth(Policy::builder()), Arc::clone(&workers));
        serve!(WORKERS, {
            let workers = Arc::clone(&workers);
            App::new().wrap(auth.clone()).default_service(web::to(move |_: Identity| {
                workers.lock().unwrap().insert(thread::current().id());
                async { "ok" }
            }))
        })
    };
    // All at once and with nothing cached: look-ups are begun by several workers.
    let start = Barrier::new(WORKERS * 4);
    thread::scope(|scope| {
        for _ in 0..WORKERS * 4 {
            scope.spawn(|| {
                start.wait();
                first.bearer("GET /v1/x", world.token()).accepted();
            });
        }
    });
    assert_eq!(workers.lock().unwrap().len(), WORKERS, "every worker served");

    // Every worker hears of a change.
    let regenerated = RUNTIME.block_on(world.issuer.regenerate(world.config.config.id)).unwrap();
    for _ in 0..WORKERS * 2 {
        first.bearer("GET /v1/x", world.token()).refused(401, "invalid_token");
        first.bearer("GET /v1/x", &regenerated.jwt).accepted();
    }
    drop(first);

    // Its workers are gone; feed and look-ups go on.
    let auth = world.auth(Policy::builder());
    let second = serve!(App::new().wrap(auth.clone()).default_service(web::to(async |_: Identity| "ok")));
    let another = World::create(&world.issuer);
    second.bearer("GET /v1/x", &another.jwt).accepted();
    second.bearer("GET /v1/x", &regenerated.jwt).accepted();
    second.bearer("GET /v1/x", world.token()).refused(401, "invalid_token");
    assert!(world.cache.status().ready);
}
