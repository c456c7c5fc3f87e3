use std::net::IpAddr;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue};

use super::exchange::Ending;
use super::upgrade::ClientUpgrade;

/// What the gateway knows about a request besides the request.
#[derive(Debug)]
pub struct ForwardContext {
    /// The address of the connection's other end, for `X-Forwarded-For`.
    pub client: IpAddr,
    /// The scheme the client used, for `X-Forwarded-Proto`.
    pub scheme: Scheme,
    /// Fields set last over whatever the client sent: the identity (rule V8).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The client's side of an upgrade. If it is `None`, what hyper left in the request's extensions is used.
    pub upgrade: Option<ClientUpgrade>,
    /// Ends the exchange when it has come, as long as anything of it is still being sent or received: a
    /// response that is waited for, both bodies, and the tunnel (rule C8).
    pub ending: Option<Ending>,
}

impl ForwardContext {
    /// A context without an identity that is never ended.
    #[must_use]
    pub fn new(client: IpAddr, scheme: Scheme) -> Self {
        Self { client, scheme, headers: Vec::new(), upgrade: None, ending: None }
    }
}
