//! The smallest useful Rocket application with Voicegain tokens.
//!
//! ```text
//! cargo run -p rocket-app
//! ```
//!
//! It prints a line `TOKEN=...`. Paste it into another terminal, and then:
//!
//! ```text
//! curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/v1/hello
//! curl -i http://127.0.0.1:8000/v1/hello   # 401
//! ```

use std::error::Error;

use rocket::{Config, get, routes};
use rocket_app::{Auth, Identity};
use voicegain_auth_core::{CreateRequest, Issuer, MemoryStore, Policy, SecretCache, Verifier};

/// Asks for an identity: a request without a token is refused before this runs.
#[get("/hello")]
fn hello(identity: Identity) -> String {
    format!("Hello, context {} of account {}!\n", identity.context_id(), identity.account_id())
}

#[rocket::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rocket = rocket::build();
    // Where Rocket listens by itself, unless `ROCKET_ADDRESS`, `ROCKET_PORT` or a `Rocket.toml` say otherwise.
    let Config { address, port, .. } = rocket.figment().extract()?;

    // Here in memory; for a file, see `voicegain-auth-store`.
    let cache = SecretCache::builder(MemoryStore::new()?).build()?;
    let issuer = Issuer::new(cache.clone(), format!("http://{address}:{port}/v1"))?;
    let request = CreateRequest::new("my-account".parse()?, "my-context".parse()?, "example");
    println!("TOKEN={}", issuer.create(request).await?.jwt);

    // Every request goes through it, whether or not it has a route.
    let auth = Auth(Verifier::new(cache, Policy::default()));
    rocket.attach(auth).mount("/v1", routes![hello]).launch().await?;
    Ok(())
}
