use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use voicegain_auth_core::{Reason, Rejection, WebConfigId};

use crate::forward::{ForwardError, ForwardErrorKind};

/// A refusal of the gateway's own, beyond what the middleware refuses.
#[derive(Debug, Clone)]
pub struct Refusal {
    rejection: Rejection,
    allow: Option<&'static str>,
}

impl Refusal {
    /// Why.
    #[must_use]
    pub fn rejection(&self) -> &Rejection {
        &self.rejection
    }

    /// Names the web config of the request, for the log.
    pub(crate) fn about(mut self, web_config: Option<WebConfigId>) -> Self {
        if let Some(id) = web_config {
            self.rejection = self.rejection.about(id);
        }
        self
    }

    /// Says which methods would do.
    #[must_use]
    pub fn allowing(self, methods: &'static str) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// The answer of rule E, for gRPC if the request was.
    pub fn into_response<B: From<Bytes> + Default>(self, grpc: bool) -> Response<B> {
        let Self { rejection, allow } = self;
        let mut response = Response::new(B::default());
        let headers = response.headers_mut();
        for (name, value) in rejection.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Some(allow) = allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if grpc {
            let reason = rejection.reason();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", reason.grpc_status().into());
            headers.insert("voicegain-reason", HeaderValue::from_static(reason.as_str()));
            let message = utf8_percent_encode(rejection.detail(), GRPC_MESSAGE).to_string();
            if let Ok(message) = HeaderValue::try_from(message) {
                headers.insert("grpc-message", message);
            }
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(Rejection::CONTENT_TYPE));
            *response.body_mut() = Bytes::from(rejection.body()).into();
            let status = StatusCode::from_u16(rejection.status());
            *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        }
        response
    }
}

/// What the gRPC protocol percent-encodes in `grpc-message`: all but visible ASCII and the space, and `%`.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// Whether a refusal has to be gRPC's, by the request's media type (rule E).
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    const PREFIX: &[u8] = b"application/grpc";
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().get(..PREFIX.len()));
    content_type.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, allow: None }
    }
}

impl From<ForwardError> for Refusal {
    fn from(error: ForwardError) -> Self {
        let reason = match error.kind() {
            ForwardErrorKind::InvalidRequest => Reason::InvalidRequest,
            ForwardErrorKind::MethodNotAllowed => Reason::MethodNotAllowed,
            ForwardErrorKind::RequestTooLarge => Reason::RequestTooLarge,
            ForwardErrorKind::UpstreamUnavailable => Reason::UpstreamUnavailable,
            ForwardErrorKind::UpstreamTimeout => Reason::UpstreamTimeout,
            ForwardErrorKind::Ended | ForwardErrorKind::Busy => Reason::TemporarilyUnavailable,
        };
        Rejection::new(reason, error.detail()).into()
    }
}
