use http::header::{self, HeaderName};
use http::{Extensions, HeaderMap, Method, Request, Uri};
use voicegain_auth_core::{Field, RequestHead, RequestId};

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the verifier sees of a request.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    /// Whether the URI is known to be the client's.
    outermost: bool,
}

impl<'a> Head<'a> {
    pub(crate) fn of<B>(request: &'a Request<B>, outermost: bool) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            outermost,
        }
    }

    /// The path the client sent, if that can be known (rule P1): a router in front may have stripped a
    /// prefix.
    pub(crate) fn client_path(&self) -> Option<&'a str> {
        original_uri(self.extensions).or_else(|| self.outermost.then_some(self.uri)).map(Uri::path)
    }
}

/// What axum's outermost `Router` keeps of the URI, before it or one nested in it strips anything.
#[cfg(feature = "axum")]
fn original_uri(extensions: &Extensions) -> Option<&Uri> {
    extensions.get::<axum::extract::OriginalUri>().map(|original| &original.0)
}

#[cfg(not(feature = "axum"))]
fn original_uri(_: &Extensions) -> Option<&Uri> {
    None
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    /// An unknown path is no path: it is not below any API path, so that a token limited to one is refused.
    fn path(&self) -> &str {
        self.client_path().unwrap_or_default()
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn target_authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str)
    }

    #[cfg(feature = "http2")]
    fn is_websocket_connect(&self) -> bool {
        // In any letter case, as the value of `Upgrade` that it stands for (RFC 8441 section 4, RFC 9110 section 7.8).
        let protocol = self.extensions.get::<hyper::ext::Protocol>();
        *self.method == Method::CONNECT
            && protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
    }

    fn request_id(&self) -> Option<RequestId> {
        self.extensions.get().copied()
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(name(field)).iter().map(header::HeaderValue::as_bytes)
    }
}

fn name(field: Field) -> &'static HeaderName {
    match field {
        Field::Authorization => &header::AUTHORIZATION,
        Field::Origin => &header::ORIGIN,
        Field::Host => &header::HOST,
        Field::Cookie => &header::COOKIE,
        Field::Connection => &header::CONNECTION,
        Field::Upgrade => &header::UPGRADE,
        Field::SecWebSocketProtocol => &header::SEC_WEBSOCKET_PROTOCOL,
        Field::SecFetchSite => &SEC_FETCH_SITE,
        Field::AccessControlRequestMethod => &header::ACCESS_CONTROL_REQUEST_METHOD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [Field; 9] = [
        Field::Authorization,
        Field::Origin,
        Field::Host,
        Field::Cookie,
        Field::Connection,
        Field::Upgrade,
        Field::SecWebSocketProtocol,
        Field::SecFetchSite,
        Field::AccessControlRequestMethod,
    ];

    #[test]
    fn every_field_has_its_own_name() {
        for field in FIELDS {
            assert_eq!(name(field).as_str(), field.name());
        }
    }

    #[test]
    fn lines_stay_apart_and_in_order() {
        let request = Request::get("http://api.test/v1/a?b=c")
            .header("origin", "http://one.test")
            .header("Origin", "http://two.test, http://three.test")
            .body(())
            .unwrap();
        let head = Head::of(&request, true);
        let origins: Vec<_> = head.values(Field::Origin).collect();
        assert_eq!(origins, [&b"http://one.test"[..], b"http://two.test, http://three.test"]);
        assert_eq!((head.method(), head.path(), head.query()), ("GET", "/v1/a", Some("b=c")));
        assert_eq!(head.target_authority(), Some("api.test"));
    }

    #[test]
    fn o8_the_authority_is_never_a_headers() {
        let request =
            Request::get("/").header("host", "a.test").header("x-forwarded-host", "b.test").body(()).unwrap();
        assert_eq!(Head::of(&request, true).target_authority(), None);
    }

    #[test]
    fn p1_a_path_that_may_have_been_changed_is_unknown() {
        let request = Request::get("/v1/a").body(()).unwrap();
        assert_eq!(Head::of(&request, false).client_path(), None);
        assert_eq!(Head::of(&request, false).path(), "");
        assert_eq!(Head::of(&request, true).client_path(), Some("/v1/a"));
    }

    #[cfg(feature = "axum")]
    #[test]
    fn p1_what_axum_keeps_counts_before_all_else() {
        let mut request = Request::get("/a").body(()).unwrap();
        request.extensions_mut().insert(axum::extract::OriginalUri(Uri::from_static("/v1/a?b")));
        for outermost in [false, true] {
            assert_eq!(Head::of(&request, outermost).path(), "/v1/a");
        }
    }

    #[cfg(feature = "http2")]
    #[test]
    fn only_a_connect_for_websockets_opens_one() {
        let connects = |method: Method, protocol: Option<&'static str>| {
            let mut request = Request::builder().method(method).uri("https://api.test/").body(()).unwrap();
            if let Some(protocol) = protocol {
                request.extensions_mut().insert(hyper::ext::Protocol::from_static(protocol));
            }
            Head::of(&request, true).is_websocket_connect()
        };
        assert!(connects(Method::CONNECT, Some("websocket")));
        assert!(connects(Method::CONNECT, Some("WebSocket")));
        assert!(!connects(Method::CONNECT, Some("connect-udp")));
        assert!(!connects(Method::CONNECT, None));
        assert!(!connects(Method::GET, Some("websocket")));
    }
}
