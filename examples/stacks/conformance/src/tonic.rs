//! tonic, with the layer around its server. What is asked for in plain HTTP goes to a route beside its services.

use std::convert::Infallible;

use ::tonic::body::Body;
use ::tonic::service::Routes;
use ::tonic::transport::Server;
use ::tonic::transport::server::TcpIncoming;
use bytes::Bytes;
use conformance::stacks::in_process;
use conformance::stacks::library::LibraryStack;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tonic_app::Talk;
use tonic_app::talk_server::TalkServer;
use tower::service_fn;
use voicegain_auth_core::Rejection;
use voicegain_auth_tower::{AuthLayer, rejection_body_fn};

use crate::answer::answer;

/// tonic, with `AuthLayer`.
pub fn tonic() -> LibraryStack {
    LibraryStack::new("tonic", true, |variant| async move {
        let (verifier, issuer) = in_process::verifier(variant)?;
        // Whoever asks in gRPC is refused in gRPC, whatever the body for the others is.
        let json = |rejection: &Rejection| {
            let body = Body::new(Full::<Bytes>::from(rejection.body()));
            (body, HeaderValue::from_static(Rejection::CONTENT_TYPE))
        };
        let auth = AuthLayer::new(verifier).outermost().rejection_body(rejection_body_fn(json));
        let routes = Routes::new(TalkServer::new(Talk));
        let routes = Routes::from(routes.into_axum_router().fallback_service(service_fn(handler)));
        let incoming = "127.0.0.1:0".parse().map(TcpIncoming::bind).map_err(|_| "no address")?;
        let incoming = incoming.map_err(|error| error.to_string())?;
        let addr = incoming.local_addr().map_err(|error| error.to_string())?;
        let server = Server::builder().accept_http1(true).layer(auth).add_routes(routes);
        let server = tokio::spawn(async move {
            let _ = server.serve_with_incoming(incoming).await;
        });
        Ok(in_process::running(addr, issuer, server))
    })
}

async fn handler<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        let mut refusal = Response::default();
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    };
    let (caller, length) = (head.extensions.get(), body.to_bytes().len());
    Ok(answer(caller, &head.method, &head.uri, &head.headers, length).map(Full::new))
}
