//! The layer in every position that axum has for one.

#![allow(clippy::unwrap_used, reason = "clippy takes only what is marked as a test for one")]

mod common;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::get;
use common::{World, header, reason};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode, Uri};
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use voicegain_auth_core::{Issuer, Policy, Reason, Rejection, TokenSources};
use voicegain_auth_tower::{AuthLayer, Identity, Rejected};

async fn call(app: &Router, path: &str, token: Option<&str>) -> Response<Body> {
    send(app, Method::GET, path, token).await
}

async fn send(app: &Router, method: Method, path: &str, token: Option<&str>) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn status(app: &Router, path: &str, token: Option<&str>) -> u16 {
    call(app, path, token).await.status().as_u16()
}

async fn account(identity: Identity) -> String {
    identity.account_id().to_string()
}

#[tokio::test]
async fn router_layer_asks_for_a_token_before_it_says_404_or_405() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let app = Router::new().route("/v1/x", get(account)).layer(world.layer());
    for (path, without, with) in [("/v1/x", 401, 200), ("/v1/nothing", 401, 404)] {
        assert_eq!(status(&app, path, None).await, without, "{path}");
        assert_eq!(status(&app, path, Some(&token)).await, with, "{path}");
    }
    assert_eq!(send(&app, Method::POST, "/v1/x", None).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        send(&app, Method::POST, "/v1/x", Some(&token)).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn route_layer_says_404_to_everybody_and_asks_for_a_token_before_it_says_405() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let app = Router::new().route("/v1/x", get(account)).route_layer(world.layer());
    for (path, without, with) in [("/v1/x", 401, 200), ("/v1/nothing", 404, 404)] {
        assert_eq!(status(&app, path, None).await, without, "{path}");
        assert_eq!(status(&app, path, Some(&token)).await, with, "{path}");
    }
    assert_eq!(send(&app, Method::POST, "/v1/x", None).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        send(&app, Method::POST, "/v1/x", Some(&token)).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn routes_added_after_the_layer_are_open() {
    let world = World::new().await;
    let app =
        Router::new().route("/v1/x", get(account)).layer(world.layer()).route("/health", get(async || "ok"));
    assert_eq!(status(&app, "/v1/x", None).await, 401);
    assert_eq!(status(&app, "/health", None).await, 200);
}

#[tokio::test]
async fn a_fallback_is_covered_by_layer_and_not_by_route_layer() {
    let world = World::new().await;
    let app = || Router::new().route("/v1/x", get(account)).fallback(async || "fallback");
    assert_eq!(status(&app().layer(world.layer()), "/v1/nothing", None).await, 401);
    assert_eq!(status(&app().route_layer(world.layer()), "/v1/nothing", None).await, 200);
}

#[tokio::test]
async fn method_router_layers_protect_one_route() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let app = Router::new()
        .route("/v1/layer", get(account).layer(world.layer()))
        .route("/v1/route-layer", get(account).route_layer(world.layer()))
        .route("/v1/one-method", get(account).layer(world.layer()).post(async || "open"))
        .route("/open", get(async || "ok"));
    assert_eq!(status(&app, "/open", None).await, 200);
    for path in ["/v1/layer", "/v1/route-layer", "/v1/one-method"] {
        assert_eq!(status(&app, path, None).await, 401, "{path}");
        assert_eq!(status(&app, path, Some(&token)).await, 200, "{path}");
    }
    assert_eq!(send(&app, Method::POST, "/v1/layer", None).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        send(&app, Method::POST, "/v1/route-layer", None).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(send(&app, Method::POST, "/v1/one-method", None).await.status(), StatusCode::OK);
}

/// Rule P1: what counts is the path the client sent, wherever the layer is. The deployment's base path is
/// `/`.
#[tokio::test]
async fn p1_the_clients_path_counts_in_every_position() {
    let world = World::new().await;
    let limited = world.data_prep().await;
    let policy = Policy::builder().base_path("/").build().unwrap();
    let layer = || AuthLayer::new(world.verifier(policy.clone()));
    let open = || Router::new().route("/data-prep", get(async || "ok"));
    let mounted = |inner: Router| {
        Router::new().nest("/admin", inner.clone()).nest("/data-prep/below", inner.clone()).merge(inner)
    };
    let positions: [(&str, Router); 8] = [
        ("layer on the outer router", mounted(open()).layer(layer())),
        ("route_layer on the outer router", mounted(open()).route_layer(layer())),
        ("layer inside the nest", mounted(open().layer(layer()))),
        ("route_layer inside the nest", mounted(open().route_layer(layer()))),
        ("layer on a route", mounted(Router::new().route("/data-prep", get(async || "ok").layer(layer())))),
        (
            "route_layer on a route",
            mounted(Router::new().route("/data-prep", get(async || "ok").route_layer(layer()))),
        ),
        ("around a router that is nested as a service", {
            let service = layer().layer(open());
            Router::new()
                .nest_service("/admin", service.clone())
                .nest_service("/data-prep/below", service)
                .merge(open().layer(layer()))
        }),
        ("around the whole application, which is said", {
            let service = layer().outermost().layer(mounted(open()));
            Router::new().fallback_service(service)
        }),
    ];
    for (position, app) in positions {
        for (path, expected) in [
            ("/data-prep", 200),
            ("/data-prep/below/data-prep", 200),
            ("/admin/data-prep", 403),
            ("/admin/data-prep?path=/data-prep", 403),
        ] {
            assert_eq!(status(&app, path, Some(&limited)).await, expected, "{path}, {position}");
        }
    }
}

#[tokio::test]
async fn p1_nests_in_nests_and_the_base_path() {
    let world = World::new().await;
    let limited = world.data_prep().await;
    let app = |prefix: &str| {
        let inner = Router::new().route("/job/{id}", get(account)).layer(world.layer());
        Router::new().nest(prefix, Router::new().nest("/data-prep", inner))
    };
    assert_eq!(status(&app("/v1"), "/v1/data-prep/job/7", Some(&limited)).await, 200);
    assert_eq!(status(&app("/v2"), "/v2/data-prep/job/7", Some(&limited)).await, 403);
    assert_eq!(status(&app("/admin/v1"), "/admin/v1/data-prep/job/7", Some(&limited)).await, 403);
}

#[tokio::test]
async fn p1_around_a_whole_application_a_limited_token_is_refused_unless_the_layer_is_said_to_be_outermost() {
    let world = World::new().await;
    let (limited, long_lived) = (world.data_prep().await, world.long_lived().await);
    let request = |token: &str| {
        let request = Request::get("/v1/data-prep").header("authorization", format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    let app = Router::new().route("/v1/data-prep", get(account));
    for (layer, token, expected) in [
        (world.layer(), &limited, StatusCode::FORBIDDEN),
        (world.layer(), &long_lived, StatusCode::OK),
        (world.layer().outermost(), &limited, StatusCode::OK),
    ] {
        assert_eq!(layer.layer(app.clone()).oneshot(request(token)).await.unwrap().status(), expected);
    }
}

#[tokio::test]
async fn v1_a_query_token_reaches_no_handler_by_way_of_the_original_uri() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let mut sources = TokenSources::default();
    sources.query = true;
    let policy = Policy::builder().token_sources(sources).build().unwrap();
    let uris = async |uri: Uri, OriginalUri(original): OriginalUri| format!("{uri} {original}");
    let inner = Router::new().route("/x", get(uris)).layer(AuthLayer::new(world.verifier(policy)));
    let app = Router::new().nest("/v1", inner);
    let request = Request::get(format!("/v1/x?access_token={token}&a=1"))
        .header("sec-fetch-site", "same-origin")
        .body(Body::empty())
        .unwrap();
    assert_eq!(common::text(app.oneshot(request).await.unwrap()).await, "/x?a=1 /v1/x?a=1");
}

#[tokio::test]
async fn with_cors_outside_a_page_can_read_the_refusal_and_asks_before_it_needs_a_token() {
    let world = World::new().await;
    let expose = [http::header::WWW_AUTHENTICATE, http::header::RETRY_AFTER];
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods(Any)
        .expose_headers(expose);
    let app = Router::new().route("/v1/x", get(account)).layer(world.layer()).layer(cors);
    let request = Request::get("/v1/x").header("origin", "https://app.test").body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&response, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&response, "access-control-expose-headers"), Some("www-authenticate,retry-after"));
    assert_eq!(reason(response).await, "missing_token");

    let preflight = Request::options("/v1/x")
        .header("origin", "https://app.test")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization")
        .body(Body::empty())
        .unwrap();
    let response = app.oneshot(preflight).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "access-control-allow-headers"), Some("authorization"));
}

async fn mint(
    identity: Identity,
    State(issuer): State<Issuer>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, Rejected> {
    let token = issuer.mint(&identity, query.as_deref())?;
    Ok(([(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-store")], token))
}

#[tokio::test]
async fn m2_m3_a_mint_route_of_the_applications_own() {
    let world = World::new().await;
    let app = Router::new()
        .route("/v1/security/jwt", get(mint))
        .with_state(world.issuer.clone())
        .route("/v1/x", get(account))
        .layer(world.layer());
    let token = world.long_lived().await;
    let path = "/v1/security/jwt?aud=https://app.test";

    let minted = call(&app, path, Some(&token)).await;
    assert_eq!(minted.status(), StatusCode::OK);
    assert_eq!(header(&minted, "content-type"), Some("text/plain"));
    assert_eq!(header(&minted, "cache-control"), Some("no-store"));
    let short_lived = common::text(minted).await;
    assert_eq!(status(&app, "/v1/x", Some(&short_lived)).await, 200);

    for (path, token, expected, said) in [
        ("/v1/security/jwt", &token, 400, Reason::InvalidParameter),
        (path, &short_lived, 403, Reason::InsufficientScope),
    ] {
        let refused = call(&app, path, Some(token)).await;
        assert_eq!(refused.status().as_u16(), expected, "{path}");
        assert_eq!(header(&refused, "content-type"), Some("application/json"), "{path}");
        assert_eq!(header(&refused, "cache-control"), Some("no-store"), "{path}");
        let challenge = header(&refused, "www-authenticate").unwrap_or_default();
        assert_eq!(
            challenge.contains("insufficient_scope"),
            said == Reason::InsufficientScope,
            "{challenge}"
        );
        assert_eq!(refused.extensions().get::<Rejection>().map(Rejection::reason), Some(said));
        assert_eq!(reason(refused).await, said.as_str(), "{path}");
    }
    assert_eq!(status(&app, path, None).await, 401);
    assert_eq!(send(&app, Method::POST, path, Some(&token)).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}
