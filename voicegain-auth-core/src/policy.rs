//! The middleware's settings.

use std::sync::Arc;
use std::time::Duration;

use crate::config_error::ConfigError;
use crate::subject::BasePath;

/// What happens to a request without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// It is refused with `missing_token`.
    #[default]
    Required,
    /// It goes on as [`Caller::Anonymous`](crate::Caller::Anonymous). A token that is there and bad is refused all the
    /// same.
    Optional,
}

/// Where tokens are looked for (rule V1). `Authorization: Bearer` alone by default.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenSources {
    /// `Authorization: Bearer <token>`.
    pub header: bool,
    /// The `access_token` query parameter.
    pub query: bool,
    /// For WebSocket upgrades, a `Sec-WebSocket-Protocol` entry `bearer.<token>` beside at least one other.
    pub protocol: bool,
    /// The cookie of this name, looked at only if no other source has a token.
    pub cookie: Option<String>,
}

impl Default for TokenSources {
    fn default() -> Self {
        Self { header: true, query: false, protocol: false, cookie: None }
    }
}

impl TokenSources {
    /// No source at all, to start from.
    #[must_use]
    pub const fn none() -> Self {
        Self { header: false, query: false, protocol: false, cookie: None }
    }
}

/// How requests are decided: what the rules leave to the operator.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) mode: Mode,
    pub(crate) sources: TokenSources,
    pub(crate) leeway: Duration,
    pub(crate) base_path: BasePath,
    pub(crate) realm: Arc<str>,
    pub(crate) long_lived_from_any_origin: bool,
    pub(crate) pass_token_on: bool,
}

impl Policy {
    /// Begins with the defaults.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// The base path that API paths are relative to (rule P1).
    #[must_use]
    pub fn base_path(&self) -> &BasePath {
        &self.base_path
    }

    /// Where tokens are looked for.
    #[must_use]
    pub fn token_sources(&self) -> &TokenSources {
        &self.sources
    }

    /// What happens to a request without a token.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The realm named in challenges.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Whether the token is passed on to the application (rule V8).
    #[must_use]
    pub fn passes_token_on(&self) -> bool {
        self.pass_token_on
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            sources: TokenSources::default(),
            leeway: Duration::ZERO,
            base_path: BasePath::default(),
            realm: "voicegain".into(),
            long_lived_from_any_origin: false,
            pass_token_on: false,
        }
    }
}

/// Sets up a [`Policy`].
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct PolicyBuilder {
    policy: Policy,
    base_path: Option<String>,
}

impl PolicyBuilder {
    /// What happens to a request without a token: refused by default.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.policy.mode = mode;
        self
    }

    /// Where tokens are looked for: `Authorization: Bearer` by default.
    pub fn token_sources(mut self, sources: TokenSources) -> Self {
        self.policy.sources = sources;
        self
    }

    /// By how much clocks may differ when `exp` and `nbf` are judged (rule V4): zero by default, 5 minutes at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.policy.leeway = leeway;
        self
    }

    /// The path that API paths are relative to (rule P1): `/v1` by default, as in the cloud; `/ascalon-web-api` on an Edge.
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        self.base_path = Some(path.into());
        self
    }

    /// The realm named in challenges: `voicegain` by default.
    pub fn realm(mut self, realm: impl Into<Arc<str>>) -> Self {
        self.policy.realm = realm.into();
        self
    }

    /// Passes the token on to the application. By default every enabled source is taken out of the request (rule V8).
    pub fn pass_token_on(mut self, pass: bool) -> Self {
        self.policy.pass_token_on = pass;
        self
    }

    /// Lets long-lived tokens be used by any origin's pages. This switches off the part of rule O8 that keeps an API's
    /// everlasting key from working once it has leaked into a web page. Tokens in cookies are not affected.
    pub fn dangerously_allow_long_lived_tokens_from_any_origin(mut self, allow: bool) -> Self {
        self.policy.long_lived_from_any_origin = allow;
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    /// If a setting cannot work; the error says which.
    pub fn build(mut self) -> Result<Policy, ConfigError> {
        if let Some(path) = self.base_path {
            self.policy.base_path = path.parse()?;
        }
        let policy = self.policy;
        if policy.leeway > Duration::from_secs(300) {
            return Err(ConfigError::Leeway(policy.leeway));
        }
        let sources = &policy.sources;
        if !(sources.header || sources.query || sources.protocol || sources.cookie.is_some()) {
            return Err(ConfigError::NoTokenSource);
        }
        if let Some(name) = &sources.cookie {
            let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if name.is_empty() || !name.bytes().all(usual) {
                return Err(ConfigError::CookieName(name.clone()));
            }
        }
        let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'"' | b'\\');
        if !policy.realm.bytes().all(plain) {
            return Err(ConfigError::Realm);
        }
        Ok(policy)
    }
}
