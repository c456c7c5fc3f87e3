//! `CorsLayer` inside: where it does not belong.

use axum::Router;
use axum::routing::get;
use http::{Method, StatusCode};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::common::{World, header, reason, text};
use crate::{account, request, send};

#[tokio::test]
async fn o9_with_cors_inside_preflights_are_answered_and_refusals_are_not_readable() {
    let world = World::new().await;
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods([Method::PUT]);
    let app = Router::new().route("/v1/x", get(account)).layer(cors).layer(world.layer());
    let origin = ("origin", "https://app.test");

    let mut preflight = request("/v1/x", &[origin, ("access-control-request-method", "PUT")]);
    *preflight.method_mut() = Method::OPTIONS;
    let answer = send(&app, preflight).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "access-control-allow-methods"), Some("PUT"));

    let token = world.short_lived(&world.long_lived().await, "aud=https://app.test").await;
    let answer = send(&app, request("/v1/x", &[origin, ("authorization", &format!("Bearer {token}"))])).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
    assert_eq!(text(answer).await, "acc-1");

    let answer = send(&app, request("/v1/x", &[origin])).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&answer, "access-control-allow-origin"), None, "which is why it belongs outside");
}

#[tokio::test]
async fn an_options_that_is_no_preflight_needs_a_token_whatever_cors_is_inside() {
    let world = World::new().await;
    let app = Router::new().route("/v1/x", get(account)).layer(CorsLayer::permissive()).layer(world.layer());
    for headers in [&[][..], &[("origin", "https://app.test")], &[("access-control-request-method", "GET")]] {
        let mut options = request("/v1/x", headers);
        *options.method_mut() = Method::OPTIONS;
        assert_eq!(reason(send(&app, options).await).await, "missing_token", "{headers:?}");
    }
}
