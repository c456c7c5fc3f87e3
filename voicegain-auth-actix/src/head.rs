use actix_web::HttpMessage as _;
use actix_web::dev::{self, ServiceRequest};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use voicegain_auth_core::{Field, RequestHead, RequestId};

/// actix's request head, as the rules want to see it.
///
/// The path is the raw one of the request line: scopes leave it alone, and the decoded copy that routes are
/// matched against is kept elsewhere. The authority is never that of `connection_info()`, which believes
/// forwarding headers. Extended CONNECT (RFC 8441) is not offered by actix, so the trait's default holds.
pub(crate) struct Head<'a> {
    head: &'a dev::RequestHead,
    id: Option<RequestId>,
}

impl<'a> Head<'a> {
    pub(crate) fn of(request: &'a ServiceRequest) -> Self {
        Self { head: request.head(), id: request.extensions().get().copied() }
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.head.method.as_str()
    }

    fn path(&self) -> &str {
        self.head.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    fn target_authority(&self) -> Option<&str> {
        self.head.uri.authority().map(|authority| authority.as_str())
    }

    fn request_id(&self) -> Option<RequestId> {
        self.id
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.head.headers.get_all(name(field)).map(HeaderValue::as_bytes)
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
