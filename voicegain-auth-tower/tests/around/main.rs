//! What applications put around the layer, and inside of it: what must hold whichever way.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy takes only what is marked as a test for one"
)]

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod cors;
mod limits;
mod methods;
mod panics;
mod trace;
mod websockets;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use voicegain_auth_core::{Policy, TokenSources};
use voicegain_auth_tower::{AuthLayer, Identity};

use crate::common::World;

pub(crate) async fn account(identity: Identity) -> String {
    identity.account_id().to_string()
}

pub(crate) fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

pub(crate) fn all_sources(world: &World) -> AuthLayer {
    let mut sources = TokenSources::default();
    (sources.query, sources.protocol, sources.cookie) = (true, true, Some("vg".to_owned()));
    AuthLayer::new(world.verifier(Policy::builder().token_sources(sources).build().unwrap()))
}

/// Serves an application over a real socket.
pub(crate) async fn serve(app: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// What comes back until it ends with `end`, or until the server closes.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
