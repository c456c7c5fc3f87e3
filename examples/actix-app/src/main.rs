//! An actix-web application whose callers need a Voicegain token.
//!
//! ```text
//! cargo run -p actix-app
//! ```
//!
//! It prints a line `TOKEN=...`. Paste it into another terminal, and then:
//!
//! ```text
//! curl -i http://127.0.0.1:3001/v1/hello -H "Authorization: Bearer $TOKEN"    # 200, with the printed token
//! curl -i http://127.0.0.1:3001/v1/hello                                      # 401, missing_token
//! curl -i http://127.0.0.1:3001/v1/maybe                                      # 200, hello to nobody
//! curl -i http://127.0.0.1:3001/v1/maybe -H "Authorization: Bearer nonsense"  # 401, invalid_token
//! ```

use std::env;
use std::error::Error;
use std::net::TcpListener;

use actix_web::{App, HttpServer, get, web};
use voicegain_auth_actix::{Auth, Caller, Identity};
use voicegain_auth_core::{CreateRequest, Issuer, MemoryStore, Mode, Policy, SecretCache, Verifier};

/// For identified callers only.
#[get("/hello")]
async fn hello(caller: Identity) -> String {
    format!("Hello, account {} in context {}.\n", caller.account_id(), caller.context_id())
}

/// For everybody, but not for bad tokens.
#[get("/maybe")]
async fn maybe(caller: Caller) -> String {
    match caller.identity() {
        Some(identity) => format!("Hello, account {}.\n", identity.account_id()),
        None => "Hello, whoever you are.\n".to_owned(),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3001".to_owned());
    let listener = TcpListener::bind(&address).map_err(|error| {
        format!(
            "cannot listen on {address}: {error}; name another address: cargo run -p actix-app -- IP:PORT"
        )
    })?;

    // The secrets of this example are gone when it ends; voicegain-auth-store has stores that keep them. The
    // feed that keeps the cache current runs here, on the main thread, not on a worker's.
    let cache = SecretCache::builder(MemoryStore::new()?).build()?;

    // Only so that there is something to try it with: an application never shows tokens.
    let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1")?;
    let request = CreateRequest::new("example-account".parse()?, "example-context".parse()?, "example");
    let issued = issuer.create(request).await?;
    println!("A token to try it with, good until this process ends:\nTOKEN={}", issued.jwt);
    println!("Listening on http://{}", listener.local_addr()?);

    // In optional mode a handler says itself that it needs an identity, by asking for one.
    let policy = Policy::builder().mode(Mode::Optional).build()?;
    let auth = Auth::new(Verifier::new(cache, policy));

    HttpServer::new(move || {
        App::new().service(web::scope("/v1").wrap(auth.clone()).service(hello).service(maybe))
    })
    .listen(listener)?
    .run()
    .await?;
    Ok(())
}
