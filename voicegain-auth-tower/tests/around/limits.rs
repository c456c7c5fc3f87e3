//! Limits of time and of how many run at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use http::StatusCode;
use tokio::time::{Instant, sleep, timeout};
use tower::limit::ConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use voicegain_auth_tower::Identity;

use crate::common::World;
use crate::{account, request, send};

#[tokio::test(start_paused = true)]
async fn v6_a_timeout_outside_ends_the_wait_for_the_store_and_lets_nobody_in() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let handler = async move |_: Identity| {
        counted.fetch_add(1, Ordering::SeqCst);
        "ok"
    };
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
    let app = Router::new().route("/v1/x", get(handler)).layer(world.layer()).layer(timeout);
    let bearer = || request("/v1/x", &[("authorization", &format!("Bearer {token}"))]);
    world.park_loads().await;
    assert_eq!(send(&app, bearer()).await.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    world.release_loads();
    assert_eq!(send(&app, bearer()).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn v6_a_timeout_inside_limits_the_handler_alone_and_not_the_wait_for_the_store() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let limit = Duration::from_secs(1);
    let takes = async |_: Identity, Path(millis): Path<u64>| {
        sleep(Duration::from_millis(millis)).await;
        "ok"
    };
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit);
    let app = Router::new().route("/v1/{millis}", get(takes)).layer(timeout).layer(world.layer());
    let bearer = |path| request(path, &[("authorization", &format!("Bearer {token}"))]);
    world.park_loads().await;
    let begin = Instant::now();
    let (answer, ()) = tokio::join!(send(&app, bearer("/v1/900")), async {
        sleep(3 * limit).await;
        world.release_loads();
    });
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(begin.elapsed() >= Duration::from_millis(3_900), "or the decision was not slow");
    assert_eq!(send(&app, bearer("/v1/1100")).await.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(send(&app, request("/v1/1100", &[])).await.status(), StatusCode::UNAUTHORIZED);
}

/// On a clock that jumps ahead when there is nothing left to do: whoever waits for a place for ever fails at once.
#[tokio::test(start_paused = true)]
async fn a_refusal_gives_the_place_it_held_back_to_a_limit_on_either_side() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let routes = || Router::new().route("/v1/x", get(account));
    let limit = || ConcurrencyLimitLayer::new(1);
    let bearer = |token: &str| request("/v1/x", &[("authorization", &format!("Bearer {token}"))]);
    for (side, app) in [
        ("outside", routes().layer(world.layer()).layer(limit())),
        ("inside", routes().layer(limit()).layer(world.layer())),
    ] {
        let send = async |token: &str| {
            let answer = timeout(Duration::from_secs(60), send(&app, bearer(token))).await;
            answer.unwrap_or_else(|_| panic!("no place was given back, limit {side}")).status()
        };
        for _ in 0..3 {
            assert_eq!(send("x").await, StatusCode::UNAUTHORIZED);
            assert_eq!(tokio::join!(send(&token), send(&token)), (StatusCode::OK, StatusCode::OK));
        }
    }
}
