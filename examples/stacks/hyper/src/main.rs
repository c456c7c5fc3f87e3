//! The smallest useful hyper server with Voicegain tokens, without any framework.
//!
//! ```text
//! cargo run -p hyper-app
//! ```
//!
//! It prints a line `TOKEN=...`. Paste it into another terminal, and then:
//!
//! ```text
//! curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/v1/hello
//! curl -i http://127.0.0.1:3000/v1/hello   # 401
//! ```

use std::convert::Infallible;
use std::env;
use std::error::Error;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tower::{ServiceBuilder, service_fn};
use voicegain_auth_core::{Caller, CreateRequest, Issuer, MemoryStore, Policy, SecretCache, Verifier};
use voicegain_auth_tower::AuthLayer;

/// Comes to see the requests that were let in, each with its caller. The refused are answered by the layer.
async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    match request.extensions().get() {
        Some(Caller::Identified(identity)) => {
            let (context, account) = (identity.context_id(), identity.account_id());
            *response.body_mut() = format!("Hello, context {context} of account {account}!\n").into();
        }
        // A browser asks whether a page may call. This page may not: nothing is said but that we heard.
        Some(Caller::Preflight) => *response.status_mut() = StatusCode::NO_CONTENT,
        // Only with `Mode::Optional` is there anybody without a token.
        Some(Caller::Anonymous) => *response.body_mut() = "Hello, whoever you are!\n".into(),
        // The layer is missing.
        None => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;

    // Here in memory; for a file, see `voicegain-auth-store`.
    let cache = SecretCache::builder(MemoryStore::new()?).build()?;
    let issuer = Issuer::new(cache.clone(), format!("http://{address}/v1"))?;
    let request = CreateRequest::new("my-account".parse()?, "my-context".parse()?, "example");
    println!("TOKEN={}", issuer.create(request).await?.jwt);

    // Nothing in front of the layer changes a path, so that tokens limited to an API path can be judged.
    let auth = AuthLayer::new(Verifier::new(cache, Policy::default())).outermost();
    let service = ServiceBuilder::new().layer(auth).service(service_fn(hello));

    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("a connection has failed: {error}");
            }
        });
    }
}
