//! Verification by jsonwebtoken, as its README has it: the key prepared once, the claims a type of the
//! application's.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

use crate::tokens::SECRET;

/// The claims as an application would write them down.
#[derive(Debug, Clone, Deserialize)]
#[allow(dead_code, reason = "an application reads them")]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) aud: String,
    pub(crate) exp: Option<u64>,
}

/// HS256; `exp` is checked where there is one, `aud` is not.
pub(crate) fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_aud = false;
    validation
}

/// One secret, ready to verify.
pub(crate) struct Jsonwebtoken {
    key: DecodingKey,
    validation: Validation,
}

impl Jsonwebtoken {
    pub(crate) fn new() -> Self {
        Self { key: DecodingKey::from_secret(SECRET.as_bytes()), validation: validation() }
    }

    /// The claims of a token that is good.
    pub(crate) fn claims(&self, token: &str) -> Option<Claims> {
        Some(decode::<Claims>(token, &self.key, &self.validation).ok()?.claims)
    }
}
