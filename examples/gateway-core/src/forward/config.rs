use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

/// The smallest header limit: what hyper needs as a read buffer.
const MIN_HEADER_BYTES: usize = 8 * 1024;

/// Where and how to forward. Start from [`ForwardConfig::new`] and change fields.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// The upstream: `http://host`, `https://host` or either with a port, without path, query or user information.
    pub upstream: Uri,
    /// A file with the certificates (PEM) of those who may vouch for an `https` upstream, and nobody else then (`None`:
    /// those of the system).
    pub ca_file: Option<PathBuf>,
    /// Speaks HTTP/2 to the upstream: with prior knowledge, or over TLS by ALPN and nothing else (`false`). WebSockets use
    /// HTTP/1.1 in either case.
    pub http2: bool,
    /// How long a connection to the upstream may take to open, with the handshake of TLS (10 s).
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
            ca_file: None,
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

    /// The scheme and the authority to send requests to.
    pub(super) fn target(&self) -> Result<(Scheme, Authority), ForwardConfigError> {
        let known = |scheme: &&Scheme| **scheme == Scheme::HTTP || **scheme == Scheme::HTTPS;
        let scheme = self.upstream.scheme().filter(known).ok_or(ForwardConfigError::NotHttp)?;
        if self.ca_file.is_some() && *scheme != Scheme::HTTPS {
            return Err(ForwardConfigError::CaWithoutTls);
        }
        let authority = self.upstream.authority().ok_or(ForwardConfigError::NotHttp)?;
        if authority.as_str().contains('@') {
            return Err(ForwardConfigError::UserInformation);
        }
        if self.upstream.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(ForwardConfigError::Path);
        }
        Ok((scheme.clone(), authority.clone()))
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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardConfigError {
    /// The upstream is no absolute `http` or `https` URL.
    NotHttp,
    /// No certificate could be for the upstream's host.
    Host,
    /// There are authorities for an upstream without TLS.
    CaWithoutTls,
    /// The file with the authorities cannot be used.
    CaFile(PathBuf, String),
    /// The system knows no authorities; there may be an error that came of looking for them.
    NoSystemRoots(Option<String>),
    /// There can be no TLS.
    Tls(String),
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
        match self {
            Self::NotHttp => {
                f.write_str("the upstream must be an absolute URL such as http://127.0.0.1:8080 or https://api.example")
            }
            Self::Host => f.write_str("the upstream's host is neither a name nor an IP address; correct it"),
            Self::CaWithoutTls => f.write_str(
                "authorities are for an upstream whose URL begins with https://; leave them out, or correct the URL",
            ),
            Self::CaFile(file, problem) => write!(f, "{}: {problem}", file.display()),
            Self::NoSystemRoots(error) => {
                f.write_str("this system has no certificates of authorities to verify an https:// upstream by")?;
                if let Some(error) = error {
                    write!(f, " ({error})")?;
                }
                f.write_str("; install them (in Debian: ca-certificates), or give a file with some")
            }
            Self::Tls(error) => write!(f, "there can be no TLS: {error}"),
            Self::UserInformation => {
                f.write_str("the upstream URL must not contain a user name or a password")
            }
            Self::Path => {
                f.write_str("the upstream URL must have no path or query; the client's path is passed on")
            }
            Self::HeaderLimit => f.write_str("max_header_bytes must be at least 8192"),
            Self::Via => f.write_str("the name for Via must be visible ASCII characters without a comma"),
        }
    }
}

impl Error for ForwardConfigError {}
