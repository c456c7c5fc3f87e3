//! The head of what is sent to the upstream, and of what comes back.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, VIA};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri, Version};

use super::config::{ForwardConfig, ForwardConfigError};
use super::context::ForwardContext;
use super::error::ForwardError;
use super::hop;

/// How many fields a forwarded request gets at most besides those of its context: three that tell where it came from, `Host`,
/// `Via`, and two of framing and trailers.
const ADDED_FIELDS: usize = 7;

/// Whom requests go to, as their heads say it.
pub(super) struct Target {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    via: Option<HeaderValue>,
}

impl Target {
    pub(super) fn new(config: &ForwardConfig) -> Result<Self, ForwardConfigError> {
        let (scheme, authority) = config.target()?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| ForwardConfigError::NotHttp)?;
        Ok(Self { scheme, authority, host, via: config.via_value()? })
    }

    /// The host, if it is reached by TLS.
    pub(super) fn host_for_tls(&self) -> Option<&str> {
        (self.scheme == Scheme::HTTPS).then(|| self.authority.host())
    }

    /// The head of a request to it, without the gateway's own fields.
    pub(super) fn head(&self, parts: &mut Parts, context: &ForwardContext) -> Result<Parts, ForwardError> {
        let path = path(&parts.uri)?;
        let authority = client_authority(parts);
        let mut headers = std::mem::take(&mut parts.headers);
        hop::strip_request_headers(&mut headers);
        // Once for all that is added below and by whoever called.
        headers.reserve(context.headers.len() + ADDED_FIELDS);
        hop::join_cookies(&mut headers);
        hop::set_forwarding(&mut headers, context.client, &context.scheme, authority);
        headers.insert(HOST, self.host.clone());
        if let Some(via) = &self.via {
            headers.append(VIA, via.clone());
        }

        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        let uri = uri.path_and_query(path);
        let uri = uri.build().map_err(|error| bad_target().with(error))?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = parts.method.clone();
        head.uri = uri;
        head.headers = headers;
        Ok(head)
    }
}

pub(super) fn clean_head(parts: &mut http::response::Parts) {
    hop::strip_response_headers(&mut parts.headers);
    // The version and the extensions belong to the upstream's connection.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
}

/// Frames the request for HTTP/1.1 where hyper would not: it leaves out a `GET` body of unknown length, and
/// the zero that servers expect from methods which usually have a body.
pub(super) fn set_framing(head: &mut Parts, empty: bool, length: Option<u64>, known: Option<u64>) {
    if length.is_some() {
        return;
    }
    if empty {
        if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if known.is_none() {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// The path to ask the upstream for, as the client sent it.
pub(super) fn path(uri: &Uri) -> Result<PathAndQuery, ForwardError> {
    match uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => Ok(path.clone()),
        Some(path) if path.as_str().is_empty() => Ok(PathAndQuery::from_static("/")),
        _ => Err(bad_target()),
    }
}

pub(super) fn origin_form(uri: Uri) -> Result<Uri, ForwardError> {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = uri.into_parts().path_and_query;
    Uri::from_parts(parts).map_err(|error| bad_target().with(error))
}

pub(super) fn bad_target() -> ForwardError {
    ForwardError::invalid("The request target must be a path that begins with a slash.")
}

/// What the client asked for: the target's authority, or else the one `Host`.
pub(super) fn client_authority(parts: &Parts) -> Option<HeaderValue> {
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => hop::single(&parts.headers, &HOST)?,
    };
    let host = authority.rsplit(|byte| *byte == b'@').next()?;
    HeaderValue::from_bytes(host).ok()
}
