//! What the rules need to see of a request, in no framework's types.

use crate::request_id::RequestId;

/// A header field that the rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "adapters map every field, and must not miss one")]
pub enum Field {
    /// `Authorization`
    Authorization,
    /// `Origin`
    Origin,
    /// `Host`
    Host,
    /// `Cookie`
    Cookie,
    /// `Connection`
    Connection,
    /// `Upgrade`
    Upgrade,
    /// `Sec-WebSocket-Protocol`
    SecWebSocketProtocol,
    /// `Sec-Fetch-Site`
    SecFetchSite,
    /// `Access-Control-Request-Method`
    AccessControlRequestMethod,
}

impl Field {
    /// The field's name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Origin => "origin",
            Self::Host => "host",
            Self::Cookie => "cookie",
            Self::Connection => "connection",
            Self::Upgrade => "upgrade",
            Self::SecWebSocketProtocol => "sec-websocket-protocol",
            Self::SecFetchSite => "sec-fetch-site",
            Self::AccessControlRequestMethod => "access-control-request-method",
        }
    }
}

/// The head of a request. Adapters implement it for their framework's request; nothing in it is decoded or trusted.
pub trait RequestHead {
    /// The method, as it was sent.
    fn method(&self) -> &str;

    /// The path as the client sent it, without the query, before any router strips a prefix from it (rule P1).
    fn path(&self) -> &str;

    /// The query as the client sent it, without the `?`.
    fn query(&self) -> Option<&str>;

    /// The authority of the request's target: `:authority`, or that of the absolute form; never a header's (rule O8).
    fn target_authority(&self) -> Option<&str>;

    /// Whether this is an extended CONNECT with `:protocol: websocket` (RFC 8441).
    fn is_websocket_connect(&self) -> bool {
        false
    }

    /// What the request is called in the log and among the refusals that are kept, if it was given a name. Not a client's: it
    /// could choose one that is taken.
    fn request_id(&self) -> Option<RequestId> {
        None
    }

    /// The values of a header field, each line on its own, in the order they came.
    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]>;
}

/// The only value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Single<'a> {
    Absent,
    One(&'a [u8]),
    Several,
}

pub(crate) fn single<H: RequestHead>(head: &H, field: Field) -> Single<'_> {
    let mut values = head.values(field);
    match (values.next(), values.next()) {
        (None, _) => Single::Absent,
        (Some(value), None) => Single::One(value),
        (Some(_), Some(_)) => Single::Several,
    }
}

/// The members of a comma-separated list field (RFC 9110 section 5.6.1), over all its lines.
pub(crate) fn list_members<H: RequestHead>(head: &H, field: Field) -> impl Iterator<Item = &[u8]> {
    head.values(field)
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whether the client asks for a WebSocket: RFC 6455's upgrade, or RFC 8441's extended CONNECT. Whether the handshake is
/// well formed is not asked here.
pub fn is_websocket_upgrade<H: RequestHead>(head: &H) -> bool {
    let names =
        |field, name: &[u8]| list_members(head, field).any(|member| member.eq_ignore_ascii_case(name));
    head.is_websocket_connect()
        || (head.method() == "GET"
            && names(Field::Upgrade, b"websocket")
            && names(Field::Connection, b"upgrade"))
}

/// Whether this is a CORS preflight, by the three-part test of rule O9.
pub fn is_preflight<H: RequestHead>(head: &H) -> bool {
    head.method() == "OPTIONS"
        && head.values(Field::Origin).next().is_some()
        && head.values(Field::AccessControlRequestMethod).any(|value| !value.trim_ascii().is_empty())
}

/// The request's own authority: the target's, else the one `Host` (rule O8).
pub(crate) fn own_authority<H: RequestHead>(head: &H) -> Option<&str> {
    head.target_authority().or_else(|| match single(head, Field::Host) {
        Single::One(host) => str::from_utf8(host).ok(),
        Single::Absent | Single::Several => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An adapter that says nothing of WebSockets over HTTP/2.
    struct Silent;

    impl RequestHead for Silent {
        fn method(&self) -> &str {
            "CONNECT"
        }

        fn path(&self) -> &str {
            "/"
        }

        fn query(&self) -> Option<&str> {
            None
        }

        fn target_authority(&self) -> Option<&str> {
            None
        }

        fn values(&self, _: Field) -> impl Iterator<Item = &[u8]> {
            std::iter::empty()
        }
    }

    #[test]
    fn o1_nothing_is_a_websocket_unless_somebody_says_so() {
        assert!(!is_websocket_upgrade(&Silent));
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A request head for tests.
    #[derive(Debug, Clone)]
    pub(crate) struct TestHead {
        pub(crate) method: String,
        pub(crate) path: String,
        pub(crate) query: Option<String>,
        pub(crate) authority: Option<String>,
        pub(crate) websocket_connect: bool,
        pub(crate) headers: Vec<(String, Vec<u8>)>,
        pub(crate) id: Option<RequestId>,
    }

    impl TestHead {
        pub(crate) fn get(target: &str) -> Self {
            let (path, query) = match target.split_once('?') {
                Some((path, query)) => (path, Some(query.to_owned())),
                None => (target, None),
            };
            Self {
                method: "GET".into(),
                path: path.into(),
                query,
                authority: None,
                websocket_connect: false,
                headers: Vec::new(),
                id: None,
            }
        }

        pub(crate) fn method(mut self, method: &str) -> Self {
            self.method = method.into();
            self
        }

        pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
            self.headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
            self
        }

        pub(crate) fn bearer(self, token: &str) -> Self {
            self.with("authorization", format!("Bearer {token}"))
        }

        pub(crate) fn called(mut self, id: RequestId) -> Self {
            self.id = Some(id);
            self
        }

        pub(crate) fn websocket(self) -> Self {
            self.with("upgrade", "websocket").with("connection", "Upgrade")
        }
    }

    impl RequestHead for TestHead {
        fn method(&self) -> &str {
            &self.method
        }

        fn path(&self) -> &str {
            &self.path
        }

        fn query(&self) -> Option<&str> {
            self.query.as_deref()
        }

        fn target_authority(&self) -> Option<&str> {
            self.authority.as_deref()
        }

        fn is_websocket_connect(&self) -> bool {
            self.websocket_connect
        }

        fn request_id(&self) -> Option<RequestId> {
            self.id
        }

        fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
            self.headers
                .iter()
                .filter(move |(name, _)| name == field.name())
                .map(|(_, value)| value.as_slice())
        }
    }
}
