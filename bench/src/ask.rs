//! Requests whose every part can be chosen, and tokens of any size for them.

use voicegain_auth_core::{Field, RequestHead};

use crate::tokens::{HOST, ORIGIN, PATH, SECRET, sign};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) authorization: Vec<Vec<u8>>,
    pub(crate) origin: Vec<Vec<u8>>,
    /// What a preflight asks for.
    pub(crate) asked_method: Vec<Vec<u8>>,
    host: Vec<Vec<u8>>,
}

impl Ask {
    /// Without a token and without an `Origin`.
    pub(crate) fn new() -> Self {
        Self {
            method: "GET",
            path: PATH.into(),
            query: None,
            authorization: Vec::new(),
            origin: Vec::new(),
            asked_method: Vec::new(),
            host: vec![HOST.into()],
        }
    }

    /// With a token, from the page that tokens are for.
    pub(crate) fn with(token: &str) -> Self {
        Self::new().authorization(format!("Bearer {token}")).origin(ORIGIN)
    }

    /// With one more such line.
    pub(crate) fn authorization(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.authorization.push(value.into());
        self
    }

    /// With one more such line.
    pub(crate) fn origin(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.origin.push(value.into());
        self
    }

    /// From this page alone.
    pub(crate) fn only_from(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.origin = vec![value.into()];
        self
    }

    pub(crate) fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    pub(crate) fn query(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
        self
    }

    /// A browser's question whether it may ask.
    pub(crate) fn preflight(origin: impl Into<Vec<u8>>) -> Self {
        Self { method: "OPTIONS", asked_method: vec![b"GET".to_vec()], ..Self::new() }.origin(origin)
    }
}

impl RequestHead for Ask {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let lines = match field {
            Field::Authorization => self.authorization.as_slice(),
            Field::Origin => &self.origin,
            Field::Host => &self.host,
            Field::AccessControlRequestMethod => &self.asked_method,
            _ => &[],
        };
        lines.iter().map(Vec::as_slice)
    }
}

/// How long a token is but for its payload: header, signature, two dots.
const AROUND: usize = 36 + 43 + 2;

/// How many bytes the payload of a token of this size has.
pub(crate) fn payload_bytes(size: usize) -> usize {
    size.saturating_sub(AROUND) * 3 / 4
}

/// A token of the one secret with these members.
pub(crate) fn token(members: &str) -> String {
    sign(SECRET.as_bytes(), &format!("{{{members}}}"))
}

/// The same in this size, filled up by one unknown member, a string. Where the size is none that a token can have, or there
/// is no room for a member, it is the nearest below, or the token without one.
pub(crate) fn padded(members: &str, size: usize) -> String {
    token(&filled(members, payload_bytes(size).saturating_sub(2), |room| "a".repeat(room)))
}

/// These members and one more, a string with this in it, in so many bytes all together. `fill` is told how much room there is
/// in it.
pub(crate) fn filled(members: &str, size: usize, fill: impl Fn(usize) -> String) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    match size.checked_sub(members.len() + comma.len() + r#""x":"""#.len()) {
        Some(room) => format!(r#"{members}{comma}"x":"{}""#, fill(room)),
        None => members.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_token_has_the_size_that_was_asked_for() {
        for size in [200, 500, 1_000, 2_000, 4_000, 8_192, 8_193] {
            assert_eq!(padded(r#""aud":"*""#, size).len(), size);
        }
        // No base64 has this length.
        assert_eq!(padded(r#""aud":"*""#, 202).len(), 201);
        assert_eq!(padded(r#""aud":"*""#, 90), token(r#""aud":"*""#));
    }
}
