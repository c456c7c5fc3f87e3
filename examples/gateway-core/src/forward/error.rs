use std::error::Error;
use std::fmt;
use std::io;

use http::StatusCode;

use super::body::BoxError;

/// Why a request was not forwarded, or got no response.
#[derive(Debug)]
pub struct ForwardError {
    kind: ForwardErrorKind,
    detail: &'static str,
    source: Option<BoxError>,
}

/// The reason of a [`ForwardError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardErrorKind {
    /// The request cannot be passed on as it is: `invalid_request`, 400.
    InvalidRequest,
    /// `CONNECT` (other than for a WebSocket over HTTP/2) or `TRACE`: `method_not_allowed`, 405.
    MethodNotAllowed,
    /// The body is larger than configured: `request_too_large`, 413.
    RequestTooLarge,
    /// The upstream could not be reached or broke the protocol: `upstream_unavailable`, 502.
    UpstreamUnavailable,
    /// The upstream did not answer in time: `upstream_timeout`, 504.
    UpstreamTimeout,
    /// The exchange was ended from outside before there was a response (rule C8): `temporarily_unavailable`,
    /// 503. Whoever ended it may know a better reason.
    Ended,
    /// As many exchanges are under way as may be: `temporarily_unavailable`, 503.
    Busy,
}

impl ForwardError {
    pub(super) fn new(kind: ForwardErrorKind, detail: &'static str) -> Self {
        Self { kind, detail, source: None }
    }

    pub(super) fn with(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn unavailable(detail: &'static str) -> Self {
        Self::new(ForwardErrorKind::UpstreamUnavailable, detail)
    }

    pub(super) fn invalid(detail: &'static str) -> Self {
        Self::new(ForwardErrorKind::InvalidRequest, detail)
    }

    pub(super) fn timeout() -> Self {
        Self::new(
            ForwardErrorKind::UpstreamTimeout,
            "The API behind this gateway did not answer in time; try again later.",
        )
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            ForwardErrorKind::RequestTooLarge,
            "The request body is larger than this gateway passes on; send less at a time.",
        )
    }

    pub(super) fn ended() -> Self {
        Self::new(
            ForwardErrorKind::Ended,
            "The token can no longer be confirmed, so the request was ended; send it again.",
        )
    }

    /// The upstream's answer is not one.
    pub(super) fn broken(what: &'static str) -> Self {
        Self::unavailable(
            "The API behind this gateway gave an answer that cannot be passed on; try again later.",
        )
        .with(what)
    }

    /// There is no answer, for a cause that is the upstream's or the network's.
    pub(super) fn of_upstream(error: BoxError) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
        while let Some(each) = cause {
            if each.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                return Self::timeout().with(error);
            }
            cause = each.source();
        }
        Self::unavailable("The API behind this gateway cannot be reached or broke off; try again later.")
            .with(error)
    }

    pub(super) fn busy() -> Self {
        Self::new(
            ForwardErrorKind::Busy,
            "This gateway has as many requests under way as it may have; send it again later.",
        )
    }

    /// The reason, for a program to match on.
    #[must_use]
    pub fn kind(&self) -> ForwardErrorKind {
        self.kind
    }

    /// The fixed string for the error body (section E of the rules).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.kind {
            ForwardErrorKind::InvalidRequest => "invalid_request",
            ForwardErrorKind::MethodNotAllowed => "method_not_allowed",
            ForwardErrorKind::RequestTooLarge => "request_too_large",
            ForwardErrorKind::UpstreamUnavailable => "upstream_unavailable",
            ForwardErrorKind::UpstreamTimeout => "upstream_timeout",
            ForwardErrorKind::Ended | ForwardErrorKind::Busy => "temporarily_unavailable",
        }
    }

    /// The status that goes with the reason.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind {
            ForwardErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
            ForwardErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ForwardErrorKind::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ForwardErrorKind::UpstreamUnavailable => StatusCode::BAD_GATEWAY,
            ForwardErrorKind::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            ForwardErrorKind::Ended | ForwardErrorKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One sentence for a person. What the upstream or the network said is in [`source`](Error::source), for
    /// the log.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        self.detail
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason(), self.detail)
    }
}

impl Error for ForwardError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
