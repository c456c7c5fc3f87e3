use std::fmt;
use std::net::IpAddr;

use crate::request_id::RequestId;

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Actor {
    /// By what they are known.
    pub kind: ActorKind,
    /// What they are called, as far as that is known. Whoever signs in by another service may have chosen it.
    pub name: String,
    /// The address at the other end of their connection, if there is one: behind a proxy, that of the proxy.
    pub client: Option<IpAddr>,
    /// The request by which they ask for it, if it has an id.
    pub request: Option<RequestId>,
}

impl Actor {
    /// Somebody of that name.
    pub fn new(kind: ActorKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), client: None, request: None }
    }

    /// Nobody has said who it is.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(ActorKind::Unknown, "")
    }

    /// From this address.
    #[must_use]
    pub fn at(self, client: Option<IpAddr>) -> Self {
        Self { client: client.map(|address| address.to_canonical()), ..self }
    }

    /// By this request.
    #[must_use]
    pub fn by_request(self, request: Option<RequestId>) -> Self {
        Self { request, ..self }
    }
}

/// As in `console "operator" at 192.0.2.1`, on one line whatever the name is.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if !self.name.is_empty() {
            write!(f, " {:?}", self.name)?;
        }
        self.client.map_or(Ok(()), |client| write!(f, " at {client}"))
    }
}

/// By what somebody is known who makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActorKind {
    /// They have sent the admin token to the admin API.
    AdminToken,
    /// They have signed in to the console with the admin token.
    Console,
    /// They have signed in to the console by OpenID Connect.
    Oidc,
    /// They have started a program on the store itself.
    CommandLine,
    /// Nobody has said.
    Unknown,
}

impl ActorKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AdminToken => "admin-token",
            Self::Console => "console",
            Self::Oidc => "oidc",
            Self::CommandLine => "command-line",
            Self::Unknown => "unknown",
        }
    }
}
