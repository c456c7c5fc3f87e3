//! Which token is wanted.

use std::time::Duration;

/// What a short-lived token is to be good for: the parameters of `GET <api>/security/jwt` (rule M2). What fits is for the
/// API to judge.
///
/// A bare audience will do where a request is asked for: the token then lives for [`TokenRequest::LIFETIME`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    pub(crate) audience: String,
    pub(crate) lifetime: Duration,
    pub(crate) api_path: Option<String>,
}

impl TokenRequest {
    /// How long a token lives unless the request says otherwise.
    pub const LIFETIME: Duration = Duration::from_secs(300);

    /// A token for the pages of these origins, as in `https://app.example.com` or `*.example.com`.
    pub fn new(audience: impl Into<String>) -> Self {
        Self { audience: audience.into(), lifetime: Self::LIFETIME, api_path: None }
    }

    /// How long it is to live, 1 second to 1 hour. A fraction of a second is dropped.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Duration::from_secs(lifetime.as_secs());
        self
    }

    /// Limits it to an API path and what is below it, as in `/data`.
    #[must_use]
    pub fn api_path(mut self, path: impl Into<String>) -> Self {
        self.api_path = Some(path.into());
        self
    }
}

impl From<&str> for TokenRequest {
    fn from(audience: &str) -> Self {
        Self::new(audience)
    }
}

impl From<String> for TokenRequest {
    fn from(audience: String) -> Self {
        Self::new(audience)
    }
}

impl From<&Self> for TokenRequest {
    fn from(request: &Self) -> Self {
        request.clone()
    }
}
