//! The smallest useful tonic server with Voicegain tokens, for gRPC clients and browsers.
//!
//! ```text
//! cargo run -p tonic-app
//! ```
//!
//! It prints a line `TOKEN=...`. Paste it into another terminal, and then, with the empty message of five zero bytes:
//!
//! ```text
//! printf '\0\0\0\0\0' | curl -si --data-binary @- -H "Authorization: Bearer $TOKEN" \
//!   -H "Content-Type: application/grpc-web" http://127.0.0.1:3000/example.Talk/Hello --output -
//! printf '\0\0\0\0\0' | curl -si --data-binary @- -H "Content-Type: application/grpc-web" \
//!   http://127.0.0.1:3000/example.Talk/Hello   # grpc-status: 16
//! ```

use std::env;
use std::error::Error;

use tonic_app::{Talk, server, talk_server::TalkServer};
use voicegain_auth_core::{CreateRequest, Issuer, MemoryStore, Policy, SecretCache, Verifier};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());

    // Here in memory; for a file, see `voicegain-auth-store`.
    let cache = SecretCache::builder(MemoryStore::new()?).build()?;
    let issuer = Issuer::new(cache.clone(), format!("http://{address}/v1"))?;
    let request = CreateRequest::new("my-account".parse()?, "my-context".parse()?, "example");
    println!("TOKEN={}", issuer.create(request).await?.jwt);

    let verifier = Verifier::new(cache, Policy::default());
    server(verifier).add_service(TalkServer::new(Talk)).serve(address.parse()?).await?;
    Ok(())
}
