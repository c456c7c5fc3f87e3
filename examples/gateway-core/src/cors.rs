//! Which pages may read the gateway's answers (rules O9, O10).

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use voicegain_auth_core::Rejection;

use crate::refusal::Refusal;

/// What makes a refusal readable by any page, besides `Vary: Origin`.
pub const REFUSAL_HEADERS: [(HeaderName, HeaderValue); 2] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("WWW-Authenticate, Retry-After")),
];

/// Makes an accepted answer readable by the page that asked, and replaces what the upstream says about that.
pub fn accept<B>(response: &mut Response<B>, origin: Option<&HeaderValue>) {
    let headers = response.headers_mut();
    remove_all(headers);
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, readable_by(origin));
    }
    vary_by_origin(headers);
}

/// Makes a refusal readable by any page.
pub fn refuse<B>(response: &mut Response<B>) {
    response.headers_mut().extend(REFUSAL_HEADERS.map(|(name, value)| (Some(name), value)));
    vary_by_origin(response.headers_mut());
}

/// The answer to a refusal of the gateway's own, readable by any page; for gRPC if the request was.
pub fn refused<B: From<Bytes> + Default>(refusal: Refusal, grpc: bool) -> Response<B> {
    let mut response = refusal.into_response(grpc);
    refuse(&mut response);
    response
}

/// Makes an answer readable if it is a refusal by the middleware, which carries its [`Rejection`].
pub fn finish<B>(response: &mut Response<B>) {
    if response.extensions().get::<Rejection>().is_some() {
        refuse(response);
    }
}

/// The answer to a preflight: what was asked for is allowed, to any page (rule O9). A `*` would not cover
/// `Authorization`.
#[must_use]
pub fn preflight<B: Default>(request: &HeaderMap) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    accept(&mut response, request.get(ORIGIN));
    let headers = response.headers_mut();
    headers.append(
        VARY,
        HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    for (asked, allowed) in [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        for value in request.get_all(asked).iter().filter(|value| !value.is_empty()) {
            headers.append(&allowed, value.clone());
        }
    }
    response
}

fn readable_by(origin: &HeaderValue) -> HeaderValue {
    if origin == "null" { HeaderValue::from_static("*") } else { origin.clone() }
}

fn remove_all(headers: &mut HeaderMap) {
    let is_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    let names: Vec<_> = headers.keys().filter(is_cors).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn vary_by_origin(headers: &mut HeaderMap) {
    let members = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let says_so = |member: &[u8]| member.eq_ignore_ascii_case(b"origin") || member == b"*";
    if !members.map(<[u8]>::trim_ascii).any(says_so) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(lines: &[(&'static str, &'static str)]) -> Response<()> {
        let mut response = Response::new(());
        for (name, value) in lines {
            response.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        response
    }

    fn text(headers: &HeaderMap, name: HeaderName) -> Vec<&str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn o10_an_accepted_answer_is_for_the_page_that_asked() {
        let theirs = [
            ("access-control-allow-origin", "https://evil.test"),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-evil"),
            ("vary", "Accept-Encoding"),
            ("x-other", "1"),
        ];
        for (origin, allowed) in [("https://a.example", "https://a.example"), ("null", "*")] {
            let mut answer = response(&theirs);
            accept(&mut answer, Some(&HeaderValue::from_static(origin)));
            let headers = answer.headers();
            assert_eq!(text(headers, ACCESS_CONTROL_ALLOW_ORIGIN), [allowed]);
            assert_eq!(text(headers, VARY), ["Accept-Encoding", "Origin"]);
            assert_eq!(headers.len(), 4, "{headers:?}");
        }
        let mut answer = response(&theirs);
        accept(&mut answer, None);
        assert_eq!(answer.headers().len(), 3, "without an Origin nothing is said but Vary: {answer:?}");
        finish(&mut answer);
        assert_eq!(answer.headers().len(), 3, "it stays as it is");
    }

    #[test]
    fn o10_vary_is_said_once() {
        for vary in ["Origin", "accept, ORIGIN", "*"] {
            let mut answer = response(&[("vary", vary)]);
            accept(&mut answer, None);
            assert_eq!(text(answer.headers(), VARY), [vary]);
        }
        let mut answer = response(&[("vary", "x-origin")]);
        accept(&mut answer, None);
        assert_eq!(text(answer.headers(), VARY), ["x-origin", "Origin"]);
    }

    #[test]
    fn o10_a_refusal_is_for_every_page() {
        let mut answer = response(&[("vary", "Origin")]);
        answer.extensions_mut().insert(Rejection::missing_token());
        finish(&mut answer);
        assert_eq!(text(answer.headers(), ACCESS_CONTROL_ALLOW_ORIGIN), ["*"]);
        assert_eq!(text(answer.headers(), ACCESS_CONTROL_EXPOSE_HEADERS), ["WWW-Authenticate, Retry-After"]);
        assert_eq!(text(answer.headers(), VARY), ["Origin"]);
    }

    #[test]
    fn o9_a_preflight_gets_what_it_asks_for() {
        let request = response(&[
            ("origin", "https://a.example"),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization,x-a"),
            ("access-control-request-headers", "x-b"),
        ]);
        let answer = preflight::<()>(request.headers());
        assert_eq!(answer.status(), 204);
        let headers = answer.headers();
        assert_eq!(text(headers, ACCESS_CONTROL_ALLOW_ORIGIN), ["https://a.example"]);
        assert_eq!(text(headers, ACCESS_CONTROL_ALLOW_METHODS), ["PATCH"]);
        assert_eq!(text(headers, ACCESS_CONTROL_ALLOW_HEADERS), ["authorization,x-a", "x-b"]);
        assert!(!headers.contains_key("access-control-allow-credentials"));
        assert_eq!(text(headers, VARY)[0], "Origin");
    }
}
