//! hyper alone, with the layer around a function.

use ::hyper::body::Incoming;
use ::hyper::{Request, Response};
use bytes::Bytes;
use conformance::stack::Running;
use conformance::stacks::in_process;
use conformance::stacks::library::LibraryStack;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, service_fn};
use voicegain_auth_core::Issuer;
use voicegain_auth_tower::AuthLayer;

use crate::answer::answer;

/// hyper, with `AuthLayer`.
pub fn hyper() -> LibraryStack {
    LibraryStack::new("hyper", true, |variant| async move {
        let (verifier, issuer) = in_process::verifier(variant)?;
        let auth = AuthLayer::new(verifier).outermost();
        serve(ServiceBuilder::new().layer(auth).service(service_fn(handler)), issuer).await
    })
}

async fn handler(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, ::hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let caller = head.extensions.get();
    Ok(answer(caller, &head.method, &head.uri, &head.headers, body.len()).map(Full::new))
}

/// Serves a Tower service with hyper, on a free port.
///
/// # Errors
/// If there is none.
pub async fn serve<S, B>(service: S, issuer: Issuer) -> Result<Running, String>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: std::error::Error + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: ::hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(in_process::running(addr, issuer, server))
}
