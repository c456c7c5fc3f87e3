//! The head of a request as it arrives.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::ext::Protocol;
use voicegain_auth_core::{Field, Reason, Rejection, RequestHead, RequestId, is_reserved_header};

/// The largest head that is looked at: request target and header section, in bytes. The largest token has 8 KiB.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// What a request is called, in its answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-voicegain-request-id");

/// An `http` 1.x head, as the rules want to see it.
#[derive(Debug, Clone, Copy)]
pub struct HttpHead<'a>(pub &'a Parts);

impl RequestHead for HttpHead<'_> {
    fn method(&self) -> &str {
        self.0.method.as_str()
    }

    fn path(&self) -> &str {
        self.0.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.0.uri.query()
    }

    fn target_authority(&self) -> Option<&str> {
        self.0.uri.authority().map(|authority| authority.as_str())
    }

    fn is_websocket_connect(&self) -> bool {
        self.0.method == http::Method::CONNECT
            && self
                .0
                .extensions
                .get::<Protocol>()
                .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
    }

    fn request_id(&self) -> Option<RequestId> {
        self.0.extensions.get().copied()
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.0.headers.get_all(field.name()).iter().map(|value| value.as_bytes())
    }
}

/// What there is of a request whose head cannot be read.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The method, as it was sent.
    pub method: &'a str,
    /// The path, as it was sent.
    pub path: &'a str,
    /// What the request is called.
    pub id: RequestId,
}

impl RequestHead for Target<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn request_id(&self) -> Option<RequestId> {
        Some(self.id)
    }

    fn values(&self, _: Field) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }
}

/// Takes out every header that only a gateway may set, in whatever spelling (rule V8).
pub fn remove_reserved(headers: &mut HeaderMap) {
    let is_reserved = |name: &&HeaderName| is_reserved_header(name.as_str().as_bytes());
    let names: Vec<_> = headers.keys().filter(is_reserved).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Refuses a head that is larger than [`MAX_HEAD_BYTES`], counted as HTTP/1.1 writes it.
///
/// # Errors
/// `headers_too_large`.
pub fn check_size(head: &Parts) -> Result<(), Rejection> {
    let target = head.uri.path().len() + head.uri.query().map_or(0, |query| query.len() + 1);
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    if target + head.headers.iter().map(line).sum::<usize>() <= MAX_HEAD_BYTES {
        return Ok(());
    }
    let detail = "The request's headers are larger than 32 KiB together; send fewer or shorter ones.";
    Err(Rejection::new(Reason::HeadersTooLarge, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v8_reserved_headers_go_in_every_spelling() {
        let mut headers = HeaderMap::new();
        for name in ["x-voicegain-account-id", "x_voicegain_new", "x.voicegain-token.kind", "x-voicegain-"] {
            headers.append(name, HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
        }
        headers.append("x-voicegainer", HeaderValue::from_static("stays"));
        remove_reserved(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-voicegainer"));
    }

    #[test]
    fn e_a_head_may_have_32_kib() {
        let check = |target: usize, value: usize| {
            let request = http::Request::get(format!("/{}", "a".repeat(target - 1)));
            let (parts, ()) = request.header("x-long", "a".repeat(value)).body(()).unwrap().into_parts();
            check_size(&parts).map_err(|refused| refused.reason())
        };
        assert_eq!(check(1_000, MAX_HEAD_BYTES - 1_010), Ok(()));
        assert_eq!(check(1_000, MAX_HEAD_BYTES - 1_009), Err(Reason::HeadersTooLarge));
        assert_eq!(check(1_001, MAX_HEAD_BYTES - 1_010), Err(Reason::HeadersTooLarge), "the target counts");
    }
}
