//! Refusals as responses, and what is added to the application's answers.

use std::borrow::Cow;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use voicegain_auth_core::{Admitted, Rejection, RequestHead, private_cache_control};

use crate::body::RejectionBody;
use crate::head::Head;

/// How a client expects to be refused (rule E).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Http,
    /// Without a body, see [`Form::of`].
    HttpHead,
    /// Trailers only.
    Grpc,
}

impl Form {
    pub(crate) fn of(method: &Method, version: Version, headers: &HeaderMap) -> Self {
        const PREFIX: &[u8] = b"application/grpc";
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let start = content_type.and_then(|value| value.get(..PREFIX.len()));
        if start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
            Self::Grpc
        } else if *method == Method::HEAD && version > Version::HTTP_11 {
            // Over HTTP/1.1 hyper leaves the body out and says how long it would have been. Over HTTP/2 it
            // sends the body, for which clients reset the stream.
            Self::HttpHead
        } else {
            Self::Http
        }
    }
}

/// What the gRPC protocol percent-encodes in `grpc-message`: all but visible ASCII and the space, and `%`.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// How many fields a refusal has at most: those of [`Rejection::headers`], the type of its body, and the three for gRPC.
const MOST_FIELDS: usize = 8;

/// The answer to a refused request. Outer layers find the [`Rejection`] in its extensions.
pub(crate) fn refusal<B>(rejection: Rejection, form: Form, body: &impl RejectionBody<B>) -> Response<B> {
    // The table of reasons knows real status codes only.
    let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (status, (body, content_type)) = match form {
        Form::Http => (status, body.body(&rejection)),
        Form::HttpHead => (status, (body.empty(), body.body(&rejection).1)),
        Form::Grpc => (StatusCode::OK, (body.empty(), Some(HeaderValue::from_static("application/grpc")))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // A map that grows field by field allocates as often.
    headers.reserve(MOST_FIELDS);
    headers.extend(content_type.map(|value| (header::CONTENT_TYPE, value)));
    for (name, value) in rejection.headers() {
        let value = match value {
            Cow::Borrowed(value) => Ok(HeaderValue::from_static(value)),
            Cow::Owned(value) => HeaderValue::try_from(value),
        };
        if let Ok(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if form == Form::Grpc {
        add_grpc_status(&rejection, headers);
    }
    response.extensions_mut().insert(rejection);
    response
}

fn add_grpc_status(rejection: &Rejection, headers: &mut HeaderMap) {
    let reason = rejection.reason();
    headers.insert("grpc-status", reason.grpc_status().into());
    headers.insert("voicegain-reason", HeaderValue::from_static(reason.as_str()));
    let message = utf8_percent_encode(rejection.detail(), GRPC_MESSAGE).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert("grpc-message", message);
    }
}

/// What an accepted request's answer still needs (rule V1).
#[derive(Debug)]
pub(crate) struct Finish {
    private: bool,
    protocol: Option<DefaultProtocol>,
}

/// The subprotocol of a WebSocket whose application chooses none.
#[derive(Debug)]
struct DefaultProtocol {
    name: HeaderValue,
    /// Over HTTP/2 any success opens the WebSocket, over HTTP/1.1 only 101 does.
    by_connect: bool,
}

impl Finish {
    pub(crate) fn of<B>(admitted: &Admitted, request: &Request<B>) -> Self {
        let name = admitted.default_protocol().and_then(|name| HeaderValue::try_from(name).ok());
        let by_connect = name.is_some() && Head::of(request, false).is_websocket_connect();
        Self {
            private: admitted.is_private(),
            protocol: name.map(|name| DefaultProtocol { name, by_connect }),
        }
    }

    pub(crate) fn apply<B>(&mut self, response: &mut Response<B>) {
        let status = response.status();
        let headers = response.headers_mut();
        if self.private {
            let said: Vec<_> =
                headers.get_all(header::CACHE_CONTROL).iter().map(HeaderValue::as_bytes).collect();
            if let Some(value) = private_cache_control(said.into_iter()) {
                // It is made of parts of what was there; `private` alone is right too.
                let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("private"));
                headers.insert(header::CACHE_CONTROL, value);
            }
        }
        if let Some(DefaultProtocol { name, by_connect }) = self.protocol.take() {
            let opens =
                if by_connect { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS };
            if opens && !headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
                headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use voicegain_auth_core::Reason;

    use super::*;
    use crate::body::Json;

    fn form(method: Method, version: Version, content_type: &'static str) -> Form {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Form::of(&method, version, &headers)
    }

    #[test]
    fn e_grpc_is_known_by_its_media_type() {
        for grpc in [
            "application/grpc",
            "Application/gRPC+proto",
            "application/grpc-web-text",
            "application/grpc; a=b",
        ] {
            assert_eq!(form(Method::POST, Version::HTTP_2, grpc), Form::Grpc, "{grpc}");
        }
        for http in ["application/json", "application/grp", "text/plain; x=application/grpc", ""] {
            assert_eq!(form(Method::POST, Version::HTTP_2, http), Form::Http, "{http}");
        }
        assert_eq!(Form::of(&Method::POST, Version::HTTP_2, &HeaderMap::new()), Form::Http);
    }

    #[test]
    fn a_head_over_http_2_is_answered_without_a_body() {
        assert_eq!(form(Method::HEAD, Version::HTTP_2, "text/plain"), Form::HttpHead);
        assert_eq!(form(Method::HEAD, Version::HTTP_11, "text/plain"), Form::Http);
        assert_eq!(form(Method::GET, Version::HTTP_2, "text/plain"), Form::Http);
    }

    #[test]
    fn e_a_refusal_to_grpc_is_trailers_only() {
        for (reason, status) in [
            (Reason::InvalidToken, "16"),
            (Reason::InsufficientScope, "7"),
            (Reason::InvalidRequest, "3"),
            (Reason::TemporarilyUnavailable, "14"),
        ] {
            let rejection = Rejection::new(reason, "50 % of\n\u{e9}");
            let response: Response<Bytes> = refusal(rejection, Form::Grpc, &Json);
            let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap();
            assert_eq!(response.status(), 200);
            assert!(response.body().is_empty());
            assert_eq!(header("content-type"), "application/grpc");
            assert_eq!(header("grpc-status"), status);
            assert_eq!(header("grpc-message"), "50 %25 of%0A%C3%A9");
            assert_eq!(header("voicegain-reason"), reason.as_str());
            assert_eq!(header("cache-control"), "no-store");
        }
    }

    #[test]
    fn v1_the_application_may_be_stricter_about_caches() {
        for (said, expected) in [
            (None, "private"),
            (Some("public, max-age=60"), "private, max-age=60"),
            (Some("no-store"), "no-store"),
        ] {
            let mut response = Response::new(());
            response
                .headers_mut()
                .extend(said.map(|it| (header::CACHE_CONTROL, HeaderValue::from_static(it))));
            Finish { private: true, protocol: None }.apply(&mut response);
            assert_eq!(response.headers()[header::CACHE_CONTROL], expected);
        }
    }

    #[test]
    fn v1_the_first_other_protocol_is_named_if_the_application_chooses_none() {
        let answer = |status: u16, by_connect: bool, chosen: Option<&'static str>| {
            let mut response = Response::builder().status(status).body(()).unwrap();
            let chosen = chosen.map(|it| (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(it)));
            response.headers_mut().extend(chosen);
            let protocol = DefaultProtocol { name: HeaderValue::from_static("first"), by_connect };
            Finish { private: false, protocol: Some(protocol) }.apply(&mut response);
            response
                .headers()
                .get(header::SEC_WEBSOCKET_PROTOCOL)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(answer(101, false, None).as_deref(), Some("first"));
        assert_eq!(answer(101, false, Some("second")).as_deref(), Some("second"));
        assert_eq!(answer(200, false, None), None);
        assert_eq!(answer(200, true, None).as_deref(), Some("first"));
        assert_eq!(answer(404, true, None), None);
    }
}
