//! The answer of a test application's handler, for stacks that speak `http` 1.x.

use bytes::Bytes;
use conformance::stacks::echo;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use voicegain_auth_core::Caller;

/// The echo, for the caller that the layer has found out.
pub fn answer(
    caller: Option<&Caller>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body_bytes: usize,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    match caller {
        Some(Caller::Preflight) => {
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert("x-caller", HeaderValue::from_static("preflight"));
        }
        Some(caller) => {
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let text = echo::answer(caller, method.as_str(), uri.path(), uri.query(), headers, body_bytes);
            *response.body_mut() = text.into();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        None => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}
