//! Between actix's `http` 0.2 types and the 1.x types of everything else.

use actix_web::dev;
use actix_web::http::header as actix;
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::{HttpResponse, body::BodySize};
use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, Version};
use voicegain_auth_core::{Reason, Rejection};
use voicegain_gateway_core::{GatewayBody, Refusal};

use crate::body::AnswerBody;

/// A request's head as `http` 1.x has it.
///
/// # Errors
/// If there is something in it that the newer crate does not take.
pub fn head(head: &dev::RequestHead) -> Result<Parts, Refusal> {
    let version = match head.version {
        actix_web::http::Version::HTTP_10 => Version::HTTP_10,
        actix_web::http::Version::HTTP_2 => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let mut request =
        Request::builder().method(head.method.as_str()).uri(head.uri.to_string()).version(version);
    for (name, value) in &head.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    let (parts, ()) = request
        .body(())
        .map_err(|_| {
            let detail = "The request's target or a header is not plain; correct it.";
            Refusal::from(Rejection::new(Reason::InvalidRequest, detail))
        })?
        .into_parts();
    Ok(parts)
}

/// A header as actix has it. What stands in one can stand in the other.
pub fn header_to_actix(
    name: &HeaderName,
    value: &HeaderValue,
) -> Option<(actix::HeaderName, actix::HeaderValue)> {
    let name = actix::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
    Some((name, actix::HeaderValue::from_bytes(value.as_bytes()).ok()?))
}

/// An answer as actix has it.
pub fn response(response: Response<GatewayBody>, method: &Method) -> HttpResponse<AnswerBody> {
    let (mut parts, body) = response.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut body = AnswerBody::new(body);
    // actix has no trailers to send.
    parts.headers.remove(TRAILER);
    parts.headers.remove(CONNECTION);
    let length = parts.headers.remove(CONTENT_LENGTH).filter(|_| *method == Method::HEAD);
    if length.is_some() {
        body.set_size(BodySize::Stream);
    }
    let mut answer = HttpResponse::with_body(status, body);
    for (name, value) in &parts.headers {
        if let Some((name, value)) = header_to_actix(name, value) {
            answer.headers_mut().append(name, value);
        }
    }
    if let Some(length) = length {
        // The length of what a GET would have got, which is not that of this body.
        if let Some((name, value)) = header_to_actix(&CONTENT_LENGTH, &length) {
            answer.headers_mut().insert(name, value);
        }
        answer.head_mut().no_chunking(true);
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        answer.head_mut().set_connection_type(ConnectionType::Upgrade);
    }
    answer
}
