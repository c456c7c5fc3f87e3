//! The long-lived token.

use std::fmt;

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::error::InvalidToken;

/// No token is longer (rule W6).
const MAX_BYTES: usize = 8_192;

/// A web config's long-lived token. It is wiped from memory when it is dropped, and `Debug` does not show it.
///
/// The copy that goes out with a request belongs to the HTTP client, which does not wipe it.
pub struct LongLivedToken(Zeroizing<String>);

impl LongLivedToken {
    /// Takes a token as it was shown when it was made. White space around it, such as the end of a file's line, is
    /// dropped.
    ///
    /// # Errors
    /// If that has not the form of a token.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidToken> {
        let text = Zeroizing::new(text.into());
        let trimmed = text.trim();
        if !is_token(trimmed.as_bytes()) {
            return Err(InvalidToken);
        }
        Ok(Self(Zeroizing::new(trimmed.to_owned())))
    }

    /// What `Authorization` says, marked so that HTTP libraries neither log nor index it.
    pub(crate) fn header(&self) -> Result<HeaderValue, InvalidToken> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| InvalidToken)?;
        value.set_sensitive(true);
        Ok(value)
    }

    pub(crate) fn is_in(&self, text: &str) -> bool {
        text.contains(self.0.as_str())
    }
}

impl fmt::Debug for LongLivedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LongLivedToken(..)")
    }
}

/// Whether these bytes are three parts of base64url (rule W1). What they say is for the API to judge.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut parts = 0_u32;
    let all_fit = bytes.split(|&byte| byte == b'.').all(|part| {
        parts = parts.saturating_add(1);
        !part.is_empty() && part.iter().all(in_alphabet)
    });
    all_fit && parts == 3 && bytes.len() <= MAX_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_token_is_one() {
        for good in ["a.b.c", "  a-_.b.c\n"] {
            assert!(LongLivedToken::new(good).is_ok(), "{good:?}");
        }
        let too_long = format!("a.b.{}", "c".repeat(MAX_BYTES));
        for bad in ["", "a", "a.b", "a.b.c.d", "a..c", "a.b.c=", "a.b c.d", "Bearer a.b.c", &too_long] {
            assert!(LongLivedToken::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn it_is_not_shown() {
        let token = LongLivedToken::new("aaaa.bbbb.cccc").unwrap();
        assert_eq!(format!("{token:?}"), "LongLivedToken(..)");
        assert_eq!(format!("{:?}", token.header().unwrap()), "Sensitive");
    }
}
