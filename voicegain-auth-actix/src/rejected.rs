use std::fmt;

use actix_web::body::BoxBody;
use actix_web::dev;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType, HeaderName, HeaderValue, TryIntoHeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, ResponseError};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use voicegain_auth_core::Rejection;

/// A refusal as actix's error. Outer middlewares and error handlers find it in the response's
/// [`error()`](HttpResponse::error), and the [`Rejection`] in the response's extensions.
///
/// Handlers can return one too, for refusals of their own.
#[derive(Debug, Clone)]
pub struct Rejected {
    rejection: Rejection,
    form: Form,
}

/// What the answer looks like (rule E).
#[derive(Debug, Clone)]
enum Form {
    /// The API's error body.
    Json,
    /// Trailers only, for gRPC.
    Grpc,
    /// The application's own body.
    Custom(ContentType, Bytes),
}

impl Rejected {
    /// A refusal with the API's error body.
    #[must_use]
    pub fn new(rejection: Rejection) -> Self {
        Self { rejection, form: Form::Json }
    }

    pub(crate) fn grpc(rejection: Rejection) -> Self {
        Self { rejection, form: Form::Grpc }
    }

    pub(crate) fn with_body(rejection: Rejection, content_type: ContentType, body: Bytes) -> Self {
        Self { rejection, form: Form::Custom(content_type, body) }
    }

    /// Why.
    #[must_use]
    pub fn rejection(&self) -> &Rejection {
        &self.rejection
    }
}

impl From<Rejection> for Rejected {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejection.fmt(f)
    }
}

impl std::error::Error for Rejected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.rejection)
    }
}

impl ResponseError for Rejected {
    fn status_code(&self) -> StatusCode {
        match self.form {
            Form::Grpc => StatusCode::OK,
            Form::Json | Form::Custom(..) => {
                StatusCode::from_u16(self.rejection.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::new(self.status_code());
        response.extensions_mut().insert(self.rejection.clone());
        let headers = response.headers_mut();
        for (name, value) in self.rejection.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        match &self.form {
            Form::Json => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Rejection::CONTENT_TYPE));
                response.set_body(BoxBody::new(self.rejection.body()))
            }
            Form::Custom(content_type, body) => {
                if let Ok(value) = content_type.clone().try_into_value() {
                    headers.insert(header::CONTENT_TYPE, value);
                }
                response.set_body(BoxBody::new(body.clone()))
            }
            Form::Grpc => {
                let reason = self.rejection.reason();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert(HeaderName::from_static("grpc-status"), reason.grpc_status().into());
                headers.insert(
                    HeaderName::from_static("voicegain-reason"),
                    HeaderValue::from_static(reason.as_str()),
                );
                let message = utf8_percent_encode(self.rejection.detail(), GRPC_MESSAGE).to_string();
                if let Ok(message) = HeaderValue::try_from(message) {
                    headers.insert(HeaderName::from_static("grpc-message"), message);
                }
                response
            }
        }
    }
}

/// What the gRPC protocol percent-encodes in `grpc-message`: all but visible ASCII and the space, and `%`.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// Whether a refusal has to be gRPC's, by the request's media type (rule E).
pub(crate) fn is_grpc(head: &dev::RequestHead) -> bool {
    const PREFIX: &[u8] = b"application/grpc";
    let content_type = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type
        .and_then(|value| value.get(..PREFIX.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use voicegain_auth_core::Reason;

    use super::*;

    #[test]
    fn e_a_grpc_message_is_percent_encoded() {
        let rejection = Rejection::new(Reason::InvalidParameter, "50 % of\n\u{e9}");
        let response = Rejected::grpc(rejection).error_response();
        assert_eq!(response.headers().get("grpc-message").unwrap(), "50 %25 of%0A%C3%A9");
        assert_eq!(response.headers().get("grpc-status").unwrap(), "3");
    }

    #[test]
    fn e_grpc_is_told_by_the_media_type() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC-web; x=1", true),
            ("application/json", false),
            ("application/g", false),
            ("text/plain; a=application/grpc", false),
        ] {
            let request = TestRequest::post().insert_header(("content-type", content_type)).to_srv_request();
            assert_eq!(is_grpc(request.head()), expected, "{content_type}");
        }
    }
}
