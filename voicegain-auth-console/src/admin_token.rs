use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The token of the admin API. Only a digest of it is kept, and `Debug` shows nothing.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

/// The text cannot be sent as a Bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an admin token must be visible ASCII characters, at least one, without spaces")]
#[non_exhaustive]
pub struct InvalidAdminToken;

impl AdminToken {
    /// The token with this text. Choose a long random one: it is the key to all web configs.
    ///
    /// # Errors
    /// If it is empty or holds anything but visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, InvalidAdminToken> {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(digest(text.as_bytes()))) } else { Err(InvalidAdminToken) }
    }

    /// Whether this is the token. Digests are compared, in constant time, so that not even the length shows.
    pub(crate) fn is(&self, candidate: &[u8]) -> bool {
        self.0.ct_eq(&digest(candidate)).into()
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_is_the_token() {
        let token = AdminToken::new("correct-horse").unwrap();
        assert!(token.is(b"correct-horse"));
        for other in ["", "correct-hors", "correct-horse ", "Correct-horse", "correct-horsf"] {
            assert!(!token.is(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn a_token_can_be_sent_as_a_bearer_token() {
        for bad in ["", " ", "a b", "a\n", "é"] {
            assert_eq!(AdminToken::new(bad).unwrap_err(), InvalidAdminToken, "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", AdminToken::new("correct-horse").unwrap()), "AdminToken(…)");
    }
}
