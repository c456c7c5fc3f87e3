//! Tokens in logs: `TraceLayer` on either side.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use tower_http::trace::TraceLayer;

use crate::common::{Log, World};
use crate::{account, all_sources, request, send};

#[tokio::test]
async fn v1_a_trace_layer_inside_logs_no_token_and_one_outside_logs_the_query_as_it_came() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let (log, _guard) = Log::begin();
    let routes = || Router::new().route("/v1/x", get(account));
    let trace = || {
        TraceLayer::new_for_http()
            .make_span_with(tower_http::trace::DefaultMakeSpan::new().include_headers(true))
    };
    let by_header = || request("/v1/x?a=1", &[("authorization", &format!("Bearer {token}"))]);
    let by_query = || request(&format!("/v1/x?a=1&access_token={token}"), &[("sec-fetch-site", "none")]);
    let by_cookie =
        || request("/v1/x?a=1", &[("cookie", &format!("vg={token}")), ("sec-fetch-site", "none")]);

    let inside = routes().layer(trace()).layer(all_sources(&world));
    for request in [by_header(), by_query(), by_cookie()] {
        assert_eq!(send(&inside, request).await.status(), StatusCode::OK);
    }
    assert_eq!(log.text().matches("uri=/v1/x?a=1 ").count(), log.text().matches("uri=").count());
    assert!(log.text().contains("started processing request"), "or this shows nothing: {}", log.text());
    assert!(!log.text().contains(&token), "{}", log.text());

    // Outside, the layer cannot help it: hence the README's word on where to put it, and this with `path` alone.
    let outside = routes().layer(all_sources(&world));
    send(&outside.clone().layer(TraceLayer::new_for_http()), by_query()).await;
    assert!(log.text().contains(&token), "the README need not warn of this any longer");
    log.clear();
    let path = |request: &Request<Body>| tracing::info_span!("request", path = request.uri().path());
    let path = outside.layer(TraceLayer::new_for_http().make_span_with(path));
    for request in [by_header(), by_query(), by_cookie()] {
        assert_eq!(send(&path, request).await.status(), StatusCode::OK);
    }
    assert!(log.text().contains("path=\"/v1/x\"") && !log.text().contains(&token), "{}", log.text());
}
