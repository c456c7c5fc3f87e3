//! The smallest useful axum application with Voicegain tokens.
//!
//! ```text
//! cargo run -p axum-app
//! ```
//!
//! It prints a line `TOKEN=...`. Paste it into another terminal, and then:
//!
//! ```text
//! curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/v1/hello
//! curl -i http://127.0.0.1:3000/v1/hello                                # 401: its handler needs an identity
//! curl -i http://127.0.0.1:3000/v1/maybe                                # 200: this one does not
//! curl -i -H "Authorization: Bearer x" http://127.0.0.1:3000/v1/maybe   # 401: the token is bad
//! ```

use std::env;
use std::error::Error;

use axum::{Router, routing::get};
use voicegain_auth_core as core;
use voicegain_auth_core::{CreateRequest, Issuer, MemoryStore, Mode, Policy, SecretCache, Verifier};
use voicegain_auth_tower::{AuthLayer, Caller, Identity};

/// Asks for an identity: a request without a token is refused before this runs.
async fn hello(identity: Identity) -> String {
    format!("Hello, context {} of account {}!\n", identity.context_id(), identity.account_id())
}

/// Is for everybody, and has to say what it does for whom.
async fn maybe(caller: Caller) -> String {
    match caller.into_inner() {
        core::Caller::Identified(identity) => format!("Hello, account {}!\n", identity.account_id()),
        core::Caller::Anonymous => "Hello, whoever you are!\n".to_owned(),
        core::Caller::Preflight => String::new(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; name another address: cargo run -p axum-app -- IP:PORT")
    })?;

    // Where the secrets live: here in memory, and gone with the process. For a file, see
    // `voicegain-auth-store`.
    let cache = SecretCache::builder(MemoryStore::new()?).build()?;

    // A real application leaves creating web configs to its operators, and shows a token only to them.
    let issuer = Issuer::new(cache.clone(), format!("http://{address}/v1"))?;
    let request = CreateRequest::new("my-account".parse()?, "my-context".parse()?, "example");
    let issued = issuer.create(request).await?;
    println!("A token to try it with, good until this process ends:\nTOKEN={}", issued.jwt);
    println!("Listening on http://{}", listener.local_addr()?);

    // `Mode::Optional` lets requests without a token in; leave it out if no handler is for everybody.
    let policy = Policy::builder().mode(Mode::Optional).build()?;
    let auth = AuthLayer::new(Verifier::new(cache, policy));

    let app = Router::new().route("/v1/hello", get(hello)).route("/v1/maybe", get(maybe)).layer(auth);

    axum::serve(listener, app).await?;
    Ok(())
}
