//! Uses the core with its second opinion, whatever crypto this crate has chosen for its own jsonwebtoken: none, one or
//! both. With none or both, jsonwebtoken's process-wide provider panics when used; the core must never use it.

use voicegain_auth_core::{
    CreateRequest, Field, Issuer, MemoryStore, Policy, Reason, RequestHead, SecretCache, Verifier,
};

struct Head(String);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/v1/x"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        (field == Field::Authorization).then_some(self.0.as_bytes()).into_iter()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
    let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
    let verifier = Verifier::new(cache, Policy::default());
    let request = CreateRequest::new("account".parse().unwrap(), "context".parse().unwrap(), "user");
    let issued = issuer.create(request).await.unwrap();

    let head = Head(format!("Bearer {}", issued.jwt));
    verifier.authorize(&head).await.expect("a good token is accepted");
    issuer.regenerate(issued.config.id).await.unwrap();
    let refused = verifier.authorize(&head).await.expect_err("the old token is refused");
    assert_eq!(refused.reason(), Reason::InvalidToken);

    // The user's own jsonwebtoken still is the user's own choice.
    std::panic::set_hook(Box::new(|_| {}));
    let own = std::panic::catch_unwind(|| {
        let key = jsonwebtoken::EncodingKey::from_secret(b"the user's own key, 32 bytes long");
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &(), &key)
    });
    println!("the core decided; jsonwebtoken's own encode {}", if own.is_ok() { "works" } else { "panics" });
}
