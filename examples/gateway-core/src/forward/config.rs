use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

/// The smallest header limit: what hyper needs as a read buffer.
const MIN_HEADER_BYTES: usize = 8 * 1024;

/// Where and how to forward. Start from [`ForwardConfig::new`] and change fields.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// The upstream: `http://host` or `http://host:port`, without path, query or user information.
    pub upstream: Uri,
    /// Speaks HTTP/2 with prior knowledge to the upstream (`false`). WebSockets use HTTP/1.1 in either case.
    pub http2: bool,
    /// How long a connection to the upstream may take to open (10 s).
    pub connect_timeout: Duration,
    /// How long the upstream may be silent before its response header (60 s). Time spent waiting for the
    /// client's body does not count.
    pub response_timeout: Duration,
    /// How long a request or response body may be silent (5 min); `None` for ever. Tunnels are not concerned.
    pub idle_timeout: Option<Duration>,
    /// How long an unused connection to the upstream is kept (60 s).
    pub pool_idle_timeout: Duration,
    /// How many exchanges may be under way at a time (unlimited). Over HTTP/1.1 each has a connection to the
    /// upstream; so has a WebSocket.
    pub max_exchanges: Option<usize>,
    /// The largest request body in bytes (unlimited).
    pub max_body_bytes: Option<u64>,
    /// The largest header section of a response in bytes, at least 8 KiB (64 KiB).
    pub max_header_bytes: usize,
    /// The name under which requests are marked with `Via` (RFC 9110 section 7.6.3); `None` leaves it out.
    pub via: Option<String>,
}

impl ForwardConfig {
    /// The defaults, for this upstream.
    #[must_use]
    pub fn new(upstream: Uri) -> Self {
        Self {
            upstream,
            http2: false,
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Some(Duration::from_secs(300)),
            pool_idle_timeout: Duration::from_secs(60),
            max_exchanges: None,
            max_body_bytes: None,
            max_header_bytes: 64 * 1024,
            via: None,
        }
    }

    /// The authority to send requests to.
    pub(super) fn authority(&self) -> Result<Authority, ForwardConfigError> {
        match self.upstream.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => return Err(ForwardConfigError::HttpsUpstream),
            _ => return Err(ForwardConfigError::NotHttp),
        }
        let authority = self.upstream.authority().ok_or(ForwardConfigError::NotHttp)?;
        if authority.as_str().contains('@') {
            return Err(ForwardConfigError::UserInformation);
        }
        if self.upstream.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(ForwardConfigError::Path);
        }
        Ok(authority.clone())
    }

    pub(super) fn via_value(&self) -> Result<Option<HeaderValue>, ForwardConfigError> {
        let Some(name) = &self.via else { return Ok(None) };
        let visible = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        if !visible {
            return Err(ForwardConfigError::Via);
        }
        HeaderValue::from_str(&format!("1.1 {name}")).map(Some).map_err(|_| ForwardConfigError::Via)
    }

    pub(super) fn check_limits(&self) -> Result<(), ForwardConfigError> {
        if self.max_header_bytes < MIN_HEADER_BYTES {
            return Err(ForwardConfigError::HeaderLimit);
        }
        Ok(())
    }
}

/// Why a [`ForwardConfig`] is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardConfigError {
    /// The upstream is an `https` URL.
    HttpsUpstream,
    /// The upstream is no absolute `http` URL.
    NotHttp,
    /// The upstream has user information.
    UserInformation,
    /// The upstream has a path or a query.
    Path,
    /// The header limit is below 8 KiB.
    HeaderLimit,
    /// The name for `Via` is no token.
    Via,
}

impl fmt::Display for ForwardConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HttpsUpstream => {
                "an https upstream is not supported; use http on a private network, or a local TLS proxy"
            }
            Self::NotHttp => "the upstream must be an absolute URL such as http://127.0.0.1:8080",
            Self::UserInformation => "the upstream URL must not contain a user name or a password",
            Self::Path => "the upstream URL must have no path or query; the client's path is passed on",
            Self::HeaderLimit => "max_header_bytes must be at least 8192",
            Self::Via => "the name for Via must be visible ASCII characters without a comma",
        })
    }
}

impl Error for ForwardConfigError {}
