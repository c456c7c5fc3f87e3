//! The smallest useful poem application with Voicegain tokens.
//!
//! ```text
//! cargo run -p poem-app
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

use poem::http::StatusCode;
use poem::listener::TcpListener;
use poem::web::Data;
use poem::{EndpointExt as _, IntoResponse, Response, Route, Server, handler};
use poem_app::Auth;
use voicegain_auth_core::{Caller, CreateRequest, Issuer, MemoryStore, Policy, SecretCache, Verifier};
use voicegain_auth_tower::AuthLayer;

/// Comes to see the requests that were let in. Without the middleware, `Data` answers 500.
#[handler]
fn hello(Data(caller): Data<&Caller>) -> Response {
    match caller {
        Caller::Identified(identity) => {
            format!("Hello, context {} of account {}!\n", identity.context_id(), identity.account_id())
                .into_response()
        }
        // Only with `Mode::Optional` is there anybody without a token.
        Caller::Anonymous => "Hello, whoever you are!\n".into_response(),
        Caller::Preflight => StatusCode::NO_CONTENT.into_response(),
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

    let auth = Auth(AuthLayer::new(Verifier::new(cache, Policy::default())));
    let app = Route::new().at("/v1/hello", hello).with(auth);
    Server::new(TcpListener::bind(address)).run(app).await?;
    Ok(())
}
