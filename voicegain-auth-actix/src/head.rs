use actix_web::dev;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use voicegain_auth_core::{Field, RequestHead};

/// actix's request head, as the rules want to see it.
///
/// The path is the raw one of the request line: scopes leave it alone, and the decoded copy that routes are
/// matched against is kept elsewhere. The authority is never that of `connection_info()`, which believes
/// forwarding headers. Extended CONNECT (RFC 8441) is not offered by actix, so the trait's default holds.
pub(crate) struct Head<'a>(pub(crate) &'a dev::RequestHead);

impl RequestHead for Head<'_> {
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

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.0.headers.get_all(name(field)).map(HeaderValue::as_bytes)
    }
}

fn name(field: Field) -> HeaderName {
    match field {
        Field::Authorization => header::AUTHORIZATION,
        Field::Origin => header::ORIGIN,
        Field::Host => header::HOST,
        Field::Cookie => header::COOKIE,
        Field::Connection => header::CONNECTION,
        Field::Upgrade => header::UPGRADE,
        Field::SecWebSocketProtocol => header::SEC_WEBSOCKET_PROTOCOL,
        Field::SecFetchSite => HeaderName::from_static("sec-fetch-site"),
        Field::AccessControlRequestMethod => header::ACCESS_CONTROL_REQUEST_METHOD,
    }
}
