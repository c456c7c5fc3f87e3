//! An axum application with the layer around all of it.

use super::echo;
use super::in_process;
use super::library::LibraryStack;
use crate::stack::{Running, Variant};
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use voicegain_auth_core as core;
use voicegain_auth_tower::{AuthLayer, Caller};

/// axum, with `AuthLayer` from `voicegain-auth-tower`.
pub fn axum() -> LibraryStack {
    LibraryStack::new("axum", true, start)
}

async fn start(variant: Variant) -> Result<Running, String> {
    let (verifier, issuer) = in_process::verifier(variant)?;
    let app = Router::new().fallback(handler).layer(AuthLayer::new(verifier));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    let server = tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    });
    Ok(in_process::running(addr, issuer, server))
}

async fn handler(caller: Caller, request: Request<axum::body::Body>) -> Response {
    if matches!(*caller, core::Caller::Preflight) {
        return (StatusCode::NO_CONTENT, [("x-caller", "preflight")]).into_response();
    }
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, 1 << 20).await {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], answer(&caller, &parts, &body)).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn answer(caller: &core::Caller, parts: &Parts, body: &Bytes) -> String {
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    echo::answer(caller, parts.method.as_str(), parts.uri.path(), parts.uri.query(), headers, body.len())
}
