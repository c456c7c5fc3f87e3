//! An axum application with the layer around all of it.

use super::echo;
use super::in_process::{IssuerAdmin, verifier};
use super::library::LibraryStack;
use super::log;
use crate::stack::{BoxFuture, Guard, Running, Variant};
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use voicegain_auth_core as core;
use voicegain_auth_tower::{AuthLayer, Caller};

/// axum, with `AuthLayer` from `voicegain-auth-tower`.
pub fn axum() -> LibraryStack {
    LibraryStack::new("axum", true, start)
}

async fn start(variant: Variant) -> Result<Running, String> {
    let (verifier, issuer) = verifier(variant)?;
    let app = Router::new().fallback(handler).layer(AuthLayer::new(verifier));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    let server = tokio::spawn(async move {
        let _ = axum::serve(listener, app).await;
    });
    Ok(Running {
        addr,
        admin: Box::new(IssuerAdmin(issuer)),
        admin_port: None,
        upstream: None,
        guard: Box::new(Server(server)),
    })
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

struct Server(JoinHandle<()>);

impl Guard for Server {
    fn stop(self: Box<Self>) -> BoxFuture<'static, Vec<u8>> {
        self.0.abort();
        Box::pin(async { log::take() })
    }
}
