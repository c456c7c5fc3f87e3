//! Getting short-lived tokens, and sending requests with them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response, StatusCode, Url};

use crate::answer;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::error::{ConfigError, MintError, SendError};
use crate::long_lived::LongLivedToken;
use crate::request::TokenRequest;
use crate::short_lived::ShortLivedToken;

/// Keeps a long-lived token and gets short-lived ones with it. Cloning is cheap, and clones share their tokens.
///
/// The long-lived token goes into the `Authorization` of a request to `<api>/security/jwt` and nowhere else: into no URL, no
/// error, no `Debug`, and to no place that the API redirects to. Short-lived ones are kept in memory alone.
#[derive(Clone)]
pub struct TokenMinter {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    mint_url: Url,
    token: LongLivedToken,
    timeout: Duration,
    cache: Cache,
    clock: Clock,
}

/// Settings for a [`TokenMinter`].
#[must_use]
pub struct TokenMinterBuilder {
    api_url: String,
    token: LongLivedToken,
    http: ClientBuilder,
    timeout: Duration,
    allow_http: bool,
    clock: Clock,
}

impl TokenMinter {
    /// How long a mint may take unless the builder says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// A minter for the API at this URL, as in `https://api.voicegain.ai/v1`.
    ///
    /// # Errors
    /// If the URL is none, or is not https and not of this machine.
    pub fn new(api_url: impl Into<String>, token: LongLivedToken) -> Result<Self, ConfigError> {
        Self::builder(api_url, token).build()
    }

    /// Likewise, with settings.
    pub fn builder(api_url: impl Into<String>, token: LongLivedToken) -> TokenMinterBuilder {
        TokenMinterBuilder {
            api_url: api_url.into(),
            token,
            http: ClientBuilder::new(),
            timeout: Self::TIMEOUT,
            allow_http: false,
            clock: Clock::system(),
        }
    }

    /// A short-lived token: the same one for the same request until a fifth of its life is left, then the next.
    ///
    /// However many ask at once, one mint is under way, and its failure is everybody's. While a token is still good, a
    /// failure that is [temporary](MintError::is_temporary) is none: the token is given out until it is over.
    ///
    /// # Errors
    /// If there is none and none could be minted.
    pub async fn token(&self, request: impl Into<TokenRequest>) -> Result<ShortLivedToken, MintError> {
        let request = request.into();
        let slot = self.inner.cache.slot(&request, &self.inner.clock);
        slot.get(&self.inner.clock, async || self.mint(&request).await).await
    }

    /// A new short-lived token, which is not kept.
    ///
    /// # Errors
    /// If none could be minted.
    pub async fn mint(&self, request: impl Into<TokenRequest>) -> Result<ShortLivedToken, MintError> {
        let Inner { http, mint_url, token, timeout, clock, .. } = &*self.inner;
        let request = request.into();
        let mut url = mint_url.clone();
        url.query_pairs_mut()
            .append_pair("aud", &request.audience)
            .append_pair("expInSec", &request.lifetime.as_secs().to_string())
            .extend_pairs(request.api_path.as_deref().map(|path| ("api", path)));
        let header = token.header().map_err(|_| MintError::Unexpected {
            status: StatusCode::OK,
            problem: "the long-lived token fits into no header",
        })?;
        let asked = clock.now();
        let sent = http.get(url).header(AUTHORIZATION, header).timeout(*timeout).send().await;
        let response = sent.map_err(|error| MintError::Transport(Arc::new(error)))?;
        let text = answer::read(response, token).await?;
        Ok(ShortLivedToken::new(text, asked, request.lifetime))
    }

    /// Sends a request with the current token as `Authorization: Bearer`. If it is answered 401, that token is
    /// forgotten, and the request is sent exactly once more with a new one, whose answer counts, whatever it is.
    ///
    /// `build` makes the request without `Authorization`, once for each time that it is sent, so that any body will do.
    ///
    /// # Errors
    /// If no token could be minted, or the request could not be sent. A refusal is an answer.
    pub async fn send<F>(&self, request: impl Into<TokenRequest>, mut build: F) -> Result<Response, SendError>
    where
        F: FnMut() -> RequestBuilder,
    {
        let request = request.into();
        let token = self.token(&request).await?;
        let response = with_token(build(), &token).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.forget(&request, &token);
        let token = self.token(&request).await?;
        with_token(build(), &token).await
    }

    /// Forgets a token that was refused, unless there is a newer one by now: the next call of
    /// [`token`](Self::token) mints.
    pub fn forget(&self, request: impl Into<TokenRequest>, refused: &ShortLivedToken) {
        self.inner.cache.slot(&request.into(), &self.inner.clock).forget(refused);
    }
}

async fn with_token(request: RequestBuilder, token: &ShortLivedToken) -> Result<Response, SendError> {
    request.bearer_auth(token.expose()).send().await.map_err(SendError::Request)
}

impl TokenMinterBuilder {
    /// The HTTP client that mints: its TLS, its proxies, its DNS. Redirects are turned off in it, so that the long-lived
    /// token is sent to the API alone. [`TokenMinter::send`] does not use it.
    pub fn http(mut self, http: ClientBuilder) -> Self {
        self.http = http;
        self
    }

    /// How long a mint may take, 10 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Takes an `http` URL that is not of this machine. Whoever is on the way then reads the long-lived token.
    pub fn dangerously_allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A minter with these settings. It asks for nothing yet.
    ///
    /// # Errors
    /// If the URL is none, or is not https and not of this machine, or the HTTP client cannot be built.
    pub fn build(self) -> Result<TokenMinter, ConfigError> {
        let mint_url = mint_url(&self.api_url)?;
        if mint_url.scheme() != "https" && !self.allow_http && !is_of_this_machine(&mint_url) {
            return Err(ConfigError::PlainHttp);
        }
        let mut http = self.http.redirect(Policy::none());
        if mint_url.scheme() != "https" && !self.allow_http {
            // What is of this machine stays on it, whatever the environment says of proxies.
            http = http.no_proxy();
        }
        let http = http.build().map_err(ConfigError::Http)?;
        let Self { token, timeout, clock, .. } = self;
        let inner = Inner { http, mint_url, token, timeout, cache: Cache::default(), clock };
        Ok(TokenMinter { inner: Arc::new(inner) })
    }
}

/// Where tokens are minted, below the API's URL.
fn mint_url(api_url: &str) -> Result<Url, ConfigError> {
    let mut url = Url::parse(api_url).map_err(|_| ConfigError::ApiUrl("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigError::ApiUrl("is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::ApiUrl("has a user or a password in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::ApiUrl("has a query or a fragment"));
    }
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend(["security", "jwt"]),
        Err(()) => return Err(ConfigError::ApiUrl("has no path")),
    };
    Ok(url)
}

fn is_of_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        // A name below it may be asked of a name server.
        Err(_) => host == "localhost",
    }
}

impl fmt::Debug for TokenMinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMinter")
            .field("mint_url", &self.inner.mint_url.as_str())
            .field("cache", &self.inner.cache)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenMinterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMinterBuilder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
