//! The smallest useful warp application with Voicegain tokens.
//!
//! ```text
//! cargo run -p warp-app
//! ```
//!
//! It prints a line `TOKEN=...`. Paste it into another terminal, and then:
//!
//! ```text
//! curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/v1/hello
//! curl -i http://127.0.0.1:3000/v1/hello   # 401
//! ```

use std::env;
use std::error::Error;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tower_layer::Layer as _;
use voicegain_auth_core::{
    Caller, CreateRequest, Identity, Issuer, MemoryStore, Policy, SecretCache, Verifier,
};
use voicegain_auth_tower::AuthLayer;
use warp::Filter;

/// Extracts the identity. A preflight, and with `Mode::Optional` an anonymous caller, goes to the next route; so does
/// everything if the layer is missing.
fn identity() -> impl Filter<Extract = (Identity,), Error = warp::Rejection> + Clone {
    warp::ext::get().and_then(|caller: Caller| async move {
        match caller {
            Caller::Identified(identity) => Ok(identity),
            Caller::Anonymous | Caller::Preflight => Err(warp::reject::not_found()),
        }
    })
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

    let hello = warp::path!("v1" / "hello").and(identity()).map(|identity: Identity| {
        format!("Hello, context {} of account {}!\n", identity.context_id(), identity.account_id())
    });

    // `warp::serve` takes filters alone. A layer goes around the service that they make, and hyper serves it. Nothing in
    // front of the layer changes a path, so that tokens limited to an API path can be judged.
    let auth = AuthLayer::new(Verifier::new(cache, Policy::default())).outermost();
    let service = TowerToHyperService::new(auth.layer(warp::service(hello)));

    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("a connection has failed: {error}");
            }
        });
    }
}
