//! Every accept confirmed by another implementation (feature `second-opinion`).
//!
//! The verifier is taken from a provider's own factory, never from jsonwebtoken's process-wide choice, which panics when
//! the features of other crates in the build add up to none or to both.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::secret::Secret;

/// How often the two have disagreed since the process began.
static DISAGREEMENTS: AtomicU64 = AtomicU64::new(0);

#[derive(Clone)]
pub(crate) struct SecondOpinion(DecodingKey);

impl SecondOpinion {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(DecodingKey::from_secret(secret.expose()))
    }

    /// Whether the other implementation accepts the token's signature too. Disagreement is counted and logged; whoever
    /// asks refuses the token.
    pub(crate) fn agrees(&self, token: &[u8]) -> bool {
        let agrees = self.verifies(token).unwrap_or(false);
        if !agrees {
            let total = DISAGREEMENTS.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            tracing::error!(total, "the second opinion disagrees about a signature; the token is refused");
        }
        agrees
    }

    /// Takes the token apart by itself, so that it is an opinion of its own. `None`: it cannot.
    fn verifies(&self, token: &[u8]) -> Option<bool> {
        let dot = token.iter().rposition(|byte| *byte == b'.')?;
        let (message, signature) = token.split_at_checked(dot)?;
        let signature = URL_SAFE_NO_PAD.decode(signature.get(1..)?).ok()?;
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&Algorithm::HS256, &self.0).ok()?;
        Some(verifier.verify(message, &signature).is_ok())
    }
}

impl fmt::Debug for SecondOpinion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecondOpinion(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jws::sign;
    use crate::mac::MacKey;

    #[test]
    fn it_agrees_with_what_is_signed_and_with_nothing_else() {
        let secret = Secret::generate().unwrap();
        let token = sign(&MacKey::new(&secret), r#"{"sub":"x"}"#);
        let opinion = SecondOpinion::new(&secret);
        assert!(opinion.agrees(token.as_bytes()));
        assert!(!SecondOpinion::new(&Secret::generate().unwrap()).agrees(token.as_bytes()));
        for bad in ["", "..", "a.b", token.get(..token.len() - 1).unwrap(), &format!("x{token}")] {
            assert!(!opinion.agrees(bad.as_bytes()), "{bad}");
        }
    }
}
