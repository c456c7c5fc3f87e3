use std::time::Duration;

use crate::subject::PathForm;

/// A setting that cannot work. Settings fail when something is built, never while requests are decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `max_revocation_delay` is out of range (rule C1).
    #[error("max_revocation_delay must be 2 s to 1 h, not {0:?}")]
    RevocationDelay(Duration),
    /// The cache would hold nothing.
    #[error("the cache must have room for at least one web config")]
    Capacity,
    /// There is no tokio runtime for the feed and the look-ups.
    #[error("no tokio runtime is current here: build inside one, or give a handle with `runtime`")]
    NoRuntime,
    /// The leeway is out of range (rule V4).
    #[error("leeway must be at most 5 minutes, not {0:?}")]
    Leeway(Duration),
    /// No token could ever be found (rule V1).
    #[error("at least one token source must be enabled")]
    NoTokenSource,
    /// The name of the cookie is no cookie name (RFC 6265).
    #[error("`{0}` is no cookie name: use letters, digits, `-` and `_`")]
    CookieName(String),
    /// The base path is none (rule P1).
    #[error("the base path is not usable: {0}")]
    BasePath(#[from] PathForm),
    /// The realm cannot stand in a challenge (RFC 9110).
    #[error("the realm must be printable ASCII without quotes and backslashes")]
    Realm,
    /// The API URL cannot be the audience of a long-lived token (rule W2).
    #[error("`{0}` is no API URL: write http(s)://host[:port]/path")]
    ApiUrl(String),
}
