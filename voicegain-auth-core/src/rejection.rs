//! Refusals: one table from reason to status, challenge and body (rule E).

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::claims::JsonString;
use crate::ids::WebConfigId;

/// Why a request was refused: the fixed strings of rule E.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No token, another scheme, or an empty token.
    MissingToken,
    /// The request contradicts itself, as with a token in two places.
    InvalidRequest,
    /// The token is malformed, of an unknown web config, wrongly signed, superseded, or not yet valid.
    InvalidToken,
    /// The token was good and has expired.
    TokenExpired,
    /// The page's origin may not use this token.
    OriginNotAllowed,
    /// The token is not good for this path, or may not do this.
    InsufficientScope,
    /// A parameter is wrong, unknown or repeated.
    InvalidParameter,
    /// It cannot be decided now (rule V6).
    TemporarilyUnavailable,
    /// A gateway has nothing there.
    NotFound,
    /// A gateway's own route does not know this method.
    MethodNotAllowed,
    /// The body is larger than a gateway takes.
    RequestTooLarge,
    /// The header block is larger than a gateway takes.
    HeadersTooLarge,
    /// A gateway cannot reach what it protects.
    UpstreamUnavailable,
    /// What a gateway protects did not answer in time.
    UpstreamTimeout,
}

/// The `code` and `description` of a challenge.
struct Challenge {
    error: Option<&'static str>,
    description: Option<&'static str>,
}

impl Reason {
    /// Every reason, in the order of the table.
    pub const ALL: [Self; 14] = [
        Self::MissingToken,
        Self::InvalidRequest,
        Self::InvalidToken,
        Self::TokenExpired,
        Self::OriginNotAllowed,
        Self::InsufficientScope,
        Self::InvalidParameter,
        Self::TemporarilyUnavailable,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTooLarge,
        Self::HeadersTooLarge,
        Self::UpstreamUnavailable,
        Self::UpstreamTimeout,
    ];

    /// The fixed string that stands in the answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::TokenExpired => "token_expired",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidParameter => "invalid_parameter",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTooLarge => "request_too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamTimeout => "upstream_timeout",
        }
    }

    /// The HTTP status code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidParameter => 400,
            Self::MissingToken | Self::InvalidToken | Self::TokenExpired => 401,
            Self::OriginNotAllowed | Self::InsufficientScope => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTooLarge => 413,
            Self::HeadersTooLarge => 431,
            Self::UpstreamUnavailable => 502,
            Self::TemporarilyUnavailable => 503,
            Self::UpstreamTimeout => 504,
        }
    }

    /// The gRPC status code for `application/grpc*` requests.
    #[must_use]
    pub const fn grpc_status(self) -> u32 {
        match self.status() {
            400 => 3,        // INVALID_ARGUMENT
            401 => 16,       // UNAUTHENTICATED
            403 => 7,        // PERMISSION_DENIED
            404 | 405 => 12, // UNIMPLEMENTED
            413 | 431 => 8,  // RESOURCE_EXHAUSTED
            504 => 4,        // DEADLINE_EXCEEDED
            _ => 14,         // UNAVAILABLE
        }
    }

    const fn challenge(self) -> Option<Challenge> {
        let (error, description) = match self {
            Self::MissingToken => (None, None),
            Self::InvalidRequest => (Some("invalid_request"), None),
            Self::InvalidToken => (Some("invalid_token"), None),
            Self::TokenExpired => (Some("invalid_token"), Some("The access token expired")),
            Self::InsufficientScope => (Some("insufficient_scope"), None),
            _ => return None,
        };
        Some(Challenge { error, description })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal. What a client may be told is in its headers and body; what only the operator may know is in
/// [`cause`](Self::cause).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    reason: Reason,
    detail: Cow<'static, str>,
    cause: &'static str,
    web_config_id: Option<WebConfigId>,
    realm: Option<Arc<str>>,
}

impl Rejection {
    /// The media type of [`body`](Self::body).
    pub const CONTENT_TYPE: &'static str = "application/json";
    /// The cause of refusing to mint (rule M3).
    pub(crate) const RIGHT_TO_MINT: &'static str = "right to mint";
    /// What `temporarily_unavailable` says in `Retry-After`, in seconds.
    const RETRY_AFTER: u64 = 1;

    /// A refusal with one sentence for a person that says what to do. The sentence holds no secret and no token.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), cause: reason.as_str(), web_config_id: None, realm: None }
    }

    /// The refusal of a request that has no token where one is needed (rule V1).
    #[must_use]
    pub fn missing_token() -> Self {
        Self::new(Reason::MissingToken, "There is no token; send one as Authorization: Bearer <token>.")
    }

    /// Names what only the operator's log may tell.
    pub(crate) fn because(mut self, cause: &'static str) -> Self {
        self.cause = cause;
        self
    }

    /// Names the web config that the token says it is of, for the operator.
    #[must_use]
    pub fn about(mut self, id: WebConfigId) -> Self {
        self.web_config_id = Some(id);
        self
    }

    /// Names the realm of the challenge. What a [`Verifier`](crate::Verifier) refuses names its policy's already.
    #[must_use]
    pub fn in_realm(mut self, realm: impl Into<Arc<str>>) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// One sentence for a person, saying what to do.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What the operator's log and metrics may tell and a client may not: which of the things that look the same to the
    /// client it was (rule V5).
    #[must_use]
    pub fn cause(&self) -> &'static str {
        self.cause
    }

    /// The web config that the token says it is of, for the operator; nothing vouches for it.
    #[must_use]
    pub fn web_config_id(&self) -> Option<WebConfigId> {
        self.web_config_id
    }

    /// The HTTP status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.reason.status()
    }

    /// The value of `WWW-Authenticate` (RFC 6750), if there is one.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<String> {
        let challenge = self.reason.challenge()?;
        // Enough for every challenge in a realm of usual length.
        let mut value = String::with_capacity(128);
        // Writing into a String cannot fail.
        let _ = write!(value, "Bearer realm=\"{}\"", self.realm.as_deref().unwrap_or("voicegain"));
        for (name, text) in [("error", challenge.error), ("error_description", challenge.description)] {
            if let Some(text) = text {
                let _ = write!(value, ", {name}=\"{text}\"");
            }
        }
        Some(value)
    }

    /// The value of `Retry-After` in seconds, if there is one.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        (self.reason == Reason::TemporarilyUnavailable).then_some(Self::RETRY_AFTER)
    }

    /// The header fields of the answer, `Content-Type` aside: challenge, `Retry-After`, `Cache-Control`, `Vary`. Names are
    /// in lower case; values are valid field values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        let challenge = self.www_authenticate().map(|value| ("www-authenticate", Cow::Owned(value)));
        let retry_after = self.retry_after().map(|seconds| ("retry-after", Cow::Owned(seconds.to_string())));
        let fixed = [("cache-control", Cow::Borrowed("no-store")), ("vary", Cow::Borrowed("Origin"))];
        challenge.into_iter().chain(retry_after).chain(fixed)
    }

    /// The API's error body, JSON.
    #[must_use]
    pub fn body(&self) -> String {
        let detail = JsonString(&self.detail);
        format!(r#"{{"error":{{"reason":"{}","detail":{detail}}}}}"#, self.reason)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(Reason, &str, u16, u32, Option<&str>); 14] = [
        (Reason::MissingToken, "missing_token", 401, 16, Some(r#"Bearer realm="r""#)),
        (
            Reason::InvalidRequest,
            "invalid_request",
            400,
            3,
            Some(r#"Bearer realm="r", error="invalid_request""#),
        ),
        (Reason::InvalidToken, "invalid_token", 401, 16, Some(r#"Bearer realm="r", error="invalid_token""#)),
        (
            Reason::TokenExpired,
            "token_expired",
            401,
            16,
            Some(r#"Bearer realm="r", error="invalid_token", error_description="The access token expired""#),
        ),
        (Reason::OriginNotAllowed, "origin_not_allowed", 403, 7, None),
        (
            Reason::InsufficientScope,
            "insufficient_scope",
            403,
            7,
            Some(r#"Bearer realm="r", error="insufficient_scope""#),
        ),
        (Reason::InvalidParameter, "invalid_parameter", 400, 3, None),
        (Reason::TemporarilyUnavailable, "temporarily_unavailable", 503, 14, None),
        (Reason::NotFound, "not_found", 404, 12, None),
        (Reason::MethodNotAllowed, "method_not_allowed", 405, 12, None),
        (Reason::RequestTooLarge, "request_too_large", 413, 8, None),
        (Reason::HeadersTooLarge, "headers_too_large", 431, 8, None),
        (Reason::UpstreamUnavailable, "upstream_unavailable", 502, 14, None),
        (Reason::UpstreamTimeout, "upstream_timeout", 504, 4, None),
    ];

    #[test]
    fn e_the_table_is_as_the_rule_has_it() {
        assert_eq!(ALL.map(|(reason, ..)| reason), Reason::ALL);
        for (reason, name, status, grpc, challenge) in ALL {
            let rejection = Rejection::new(reason, "d").in_realm("r");
            assert_eq!((reason.as_str(), rejection.status(), reason.grpc_status()), (name, status, grpc));
            assert_eq!(rejection.to_string(), format!("{name}: d"));
            assert_eq!(rejection.www_authenticate().as_deref(), challenge, "{reason}");
            assert_eq!(rejection.retry_after().is_some(), status == 503, "{reason}");
        }
    }

    #[test]
    fn e_the_body_is_json_whatever_the_sentence_holds() {
        let detail = "a \"quote\", a \\, a \u{7}, a \u{2028} and </script>";
        let body = Rejection::new(Reason::InvalidParameter, detail).body();
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value, serde_json::json!({"error": {"reason": "invalid_parameter", "detail": detail}}));
    }

    #[test]
    fn e_every_refusal_is_kept_out_of_caches() {
        for (reason, ..) in ALL {
            let headers: Vec<_> = Rejection::new(reason, "d").headers().collect();
            assert!(headers.contains(&("cache-control", "no-store".into())), "{reason}");
            assert!(headers.contains(&("vary", "Origin".into())), "{reason}");
        }
    }
}
