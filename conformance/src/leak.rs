//! The search for secrets and tokens where none may be.

use crate::template::hex;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::collections::HashMap;

/// How many bytes of a needle find it.
const KEY: usize = 16;

/// Everything that must not come to light.
#[derive(Default)]
pub struct Needles {
    by_end: HashMap<[u8; KEY], Vec<Needle>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Needle {
    bytes: Vec<u8>,
    what: &'static str,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Needles").field("keys", &self.by_end.len()).finish_non_exhaustive()
    }
}

impl Needles {
    /// A secret, in every notation a careless program would print.
    pub fn secret(&mut self, secret: &[u8]) {
        let numbers = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        self.add(secret.to_vec(), "a secret");
        self.add(URL_SAFE_NO_PAD.encode(secret).into_bytes(), "a secret in base64url");
        self.add(STANDARD.encode(secret).into_bytes(), "a secret in base64");
        self.add(hex(secret).into_bytes(), "a secret in hexadecimal");
        self.add(hex(secret).to_uppercase().into_bytes(), "a secret in hexadecimal");
        self.add(numbers.into_bytes(), "a secret as a list of numbers");
    }

    /// A token. Its signature alone is as good as the whole, the rest being no secret; what has not three parts has
    /// nothing to hide.
    pub fn token(&mut self, token: &[u8]) {
        if token.iter().filter(|byte| **byte == b'.').count() < 2 {
            return;
        }
        let signature = token.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        if signature.len() >= KEY {
            self.add(signature.to_vec(), "a token's signature");
        } else {
            self.add(token.to_vec(), "a token");
        }
    }

    /// Any other text that is a secret.
    pub fn text(&mut self, text: &[u8]) {
        self.add(text.to_vec(), "a secret");
    }

    fn add(&mut self, bytes: Vec<u8>, what: &'static str) {
        // What is short, or one byte repeated, would be found where it is not.
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return;
        }
        let Some(key) = bytes.last_chunk::<KEY>() else { return };
        let needle = Needle { what, bytes: bytes.clone() };
        let list = self.by_end.entry(*key).or_default();
        if !list.contains(&needle) {
            list.push(needle);
        }
    }

    /// What of it is in `text`, apart from the `allowed`.
    pub fn find(&self, text: &[u8], allowed: &[&[u8]]) -> Option<&'static str> {
        for (start, window) in text.windows(KEY).enumerate() {
            let Some(needles) = window.first_chunk().and_then(|key: &[u8; KEY]| self.by_end.get(key)) else {
                continue;
            };
            let hit = needles.iter().find(|needle| {
                text[..start + KEY].ends_with(&needle.bytes)
                    && !allowed.iter().any(|allowed| allowed.ends_with(&needle.bytes))
            });
            if let Some(needle) = hit {
                return Some(needle.what);
            }
        }
        None
    }

    /// `text` with every needle in it replaced.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for needle in self.by_end.values().flatten() {
            let Ok(bytes) = std::str::from_utf8(&needle.bytes) else { continue };
            let shown = if needle.what.contains("token") { "‹token›" } else { "‹secret›" };
            text = text.replace(bytes, shown);
        }
        // A signature was found; the header and payload before it go with it.
        let mut pieces = text.split("‹token›").peekable();
        let mut redacted = String::new();
        while let Some(piece) = pieces.next() {
            let token = |c: char| c.is_ascii_alphanumeric() || "-_.=+/".contains(c);
            match pieces.peek() {
                Some(_) => redacted += &(piece.trim_end_matches(token).to_owned() + "‹token›"),
                None => redacted += piece,
            }
        }
        redacted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_secret_in_any_notation() {
        let secret: Vec<u8> = (100..132).collect();
        let mut needles = Needles::default();
        needles.secret(&secret);
        for text in [
            format!("{secret:?}"),
            format!("key={}", hex(&secret)),
            format!("\"{}\"", URL_SAFE_NO_PAD.encode(&secret)),
            format!("{}\n", STANDARD.encode(&secret)),
        ] {
            assert!(needles.find(text.as_bytes(), &[]).is_some(), "{text}");
            assert!(needles.redact(&text).contains("‹secret›"));
        }
        assert_eq!(needles.find(b"nothing of the kind, at any length at all", &[]), None);
    }

    #[test]
    fn finds_a_signature_without_its_token() {
        let token = crate::token::long_lived("id", "url", b"secret");
        let mut needles = Needles::default();
        needles.token(token.as_bytes());
        let signature = token.rsplit('.').next().unwrap();
        assert!(needles.find(format!("sig {signature} end").as_bytes(), &[]).is_some());
        assert_eq!(needles.find(token.as_bytes(), &[token.as_bytes()]), None, "allowed");
        assert_eq!(needles.redact(&format!("Bearer {token}, {token}\n")), "Bearer ‹token›, ‹token›\n");
        assert_eq!(needles.find(b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30", &[]), None, "no secret");
    }

    #[test]
    fn short_and_dull_texts_are_no_needles() {
        let mut needles = Needles::default();
        needles.token(b"a.b.c");
        needles.token(b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30");
        assert_eq!(needles.find(b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln", &[]), None);
        needles.token(&[b'.'; 100]);
        assert_eq!(needles.find(b"a.b.c ....................................", &[]), None);
    }
}
