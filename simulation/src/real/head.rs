//! Requests and tokens, as clients make them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use voicegain_auth_core::{Field, RequestHead, Secret, WebConfigId};

pub(super) const API_URL: &str = "https://api.voicegain.ai/v1";

/// The head of a request.
#[derive(Debug, Clone)]
pub(super) struct Head {
    authorization: String,
    origin: Option<&'static str>,
}

impl Head {
    pub(super) fn new(jwt: &str, origin: Option<&'static str>) -> Self {
        Self { authorization: format!("Bearer {jwt}"), origin }
    }
}

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
        let value = match field {
            Field::Authorization => Some(self.authorization.as_bytes()),
            Field::Origin => self.origin.map(str::as_bytes),
            _ => None,
        };
        value.into_iter()
    }
}

/// The long-lived token of a secret (rule W2), also of one whose answer never came.
pub(super) fn long_lived(id: WebConfigId, secret: &Secret) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"aud":"{API_URL}","sub":"{id}"}}"#));
    let input = format!("{header}.{payload}");
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose()).unwrap_or_else(|_| unreachable!("any length"));
    mac.update(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}
