//! Between actix's `http` 0.2 types and the 1.x types of everything else.

use actix_web::dev;
use actix_web::http::header as actix;
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::{HttpResponse, body::BodySize};
use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, Uri, Version};
use voicegain_auth_core::{Reason, Rejection, RequestId};
use voicegain_gateway_core::{GatewayBody, Refusal, gate};

use crate::body::AnswerBody;

/// A request's head as `http` 1.x has it, with what the request is called.
///
/// # Errors
/// If there is something in it that the newer crate does not take.
pub fn head(head: &dev::RequestHead, id: Option<RequestId>) -> Result<Parts, Refusal> {
    let version = match head.version {
        actix_web::http::Version::HTTP_10 => Version::HTTP_10,
        actix_web::http::Version::HTTP_2 => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let uri = uri(&head.uri)?;
    let mut request = Request::builder().method(head.method.as_str()).uri(uri).version(version);
    for (name, value) in &head.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    let (mut parts, ()) = request.body(()).map_err(|_| not_plain())?.into_parts();
    if let Some(id) = id {
        parts.extensions.insert(id);
    }
    Ok(parts)
}

/// Part by part: written out as a whole, a path without a slash in front, which HTTP/2 can carry, would get one.
fn uri(uri: &actix_web::http::Uri) -> Result<Uri, Refusal> {
    let mut parts = http::uri::Parts::default();
    if let Some(authority) = uri.authority() {
        parts.authority = Some(authority.as_str().parse().map_err(|_| not_plain())?);
    }
    if let Some(target) = uri.path_and_query() {
        gate::check_form(uri.path())?;
        parts.path_and_query = Some(target.as_str().parse().map_err(|_| not_plain())?);
        // Without an authority in the target a scheme says nothing.
        if let (Some(scheme), Some(_)) = (uri.scheme_str(), &parts.authority) {
            parts.scheme = Some(scheme.parse().map_err(|_| not_plain())?);
        }
    }
    Uri::from_parts(parts).map_err(|_| not_plain())
}

fn not_plain() -> Refusal {
    let detail = "The request's target or a header is not plain; correct it.";
    Rejection::new(Reason::InvalidRequest, detail).into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_a_target_stays_what_it_was() {
        for target in
            ["/v1/a%20b?x=%2F", "http://gw.example/v1/x?y", "http://gw.example:81/", "gw.example:443", "/?"]
        {
            let old: actix_web::http::Uri = target.parse().unwrap();
            let new = uri(&old).unwrap();
            assert_eq!((new.path(), new.query()), (old.path(), old.query()), "{target}");
            assert_eq!(
                new.authority().map(|it| it.as_str()),
                old.authority().map(|it| it.as_str()),
                "{target}"
            );
        }
    }

    #[test]
    fn p4_a_path_without_its_slash_is_refused() {
        for path in ["v1/x", "*"] {
            let target = actix_web::http::uri::PathAndQuery::try_from(path).unwrap();
            let mut parts = actix_web::http::uri::Parts::default();
            parts.scheme = Some("http".parse().unwrap());
            parts.authority = Some("gw.example".parse().unwrap());
            parts.path_and_query = Some(target);
            let old = actix_web::http::Uri::from_parts(parts).unwrap();
            assert_eq!(uri(&old).unwrap_err().rejection().reason(), Reason::InvalidRequest, "{path}");
        }
    }
}
