//! The smallest useful salvo application with Voicegain tokens.
//!
//! ```text
//! cargo run -p salvo-app
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

use salvo::prelude::*;
use voicegain_auth_core::{Caller, CreateRequest, Issuer, MemoryStore, Policy, SecretCache, Verifier};
use voicegain_auth_tower::AuthLayer;

/// Comes to see the requests that were let in, each with its caller. The refused are answered by the layer.
#[handler]
async fn hello(request: &mut Request, response: &mut Response) {
    match request.extensions().get() {
        Some(Caller::Identified(identity)) => {
            let (context, account) = (identity.context_id(), identity.account_id());
            response.render(format!("Hello, context {context} of account {account}!\n"));
        }
        // Only with `Mode::Optional` is there anybody without a token.
        Some(Caller::Anonymous) => response.render("Hello, whoever you are!\n"),
        Some(Caller::Preflight) => drop(response.status_code(StatusCode::NO_CONTENT)),
        // The layer is missing.
        None => drop(response.status_code(StatusCode::INTERNAL_SERVER_ERROR)),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());

    // Here in memory; for a file, see `voicegain-auth-store`.
    let cache = SecretCache::builder(MemoryStore::new()?).build()?;
    let issuer = Issuer::new(cache.clone(), format!("http://{address}/v1"))?;
    let request = CreateRequest::new("my-account".parse()?, "my-context".parse()?, "example");
    println!("TOKEN={}", issuer.create(request).await?.jwt);

    // salvo never changes the path that the layer sees, so that tokens limited to an API path can be judged.
    let auth = AuthLayer::new(Verifier::new(cache, Policy::default())).outermost();
    let router = Router::with_path("v1/hello").goal(hello);
    // A hoop of the service runs in front of every route, and of none: what has no route is refused without a token too.
    let service = Service::new(router).hoop(auth.compat());

    let acceptor = TcpListener::new(address).bind().await;
    Server::new(acceptor).serve(service).await;
    Ok(())
}
