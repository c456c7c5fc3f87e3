//! Who a change is made by. Whatever changes something gets its issuer from here, so that none can do so namelessly.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use http::Extensions;
use http::request::Parts;
use voicegain_auth_core::audit::{Actor, ActorKind};
use voicegain_auth_core::{Issuer, RequestId};

/// The issuer, for whoever has sent the admin token with this request.
pub(crate) struct Acting(pub(crate) Issuer);

impl<S: Send + Sync> FromRequestParts<S> for Acting
where
    Issuer: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let actor = Actor::new(ActorKind::AdminToken, "admin token");
        Ok(Self(Issuer::from_ref(state).acting_as(from_request(actor, &parts.extensions))))
    }
}

/// The same, with what a request says of where it comes from.
pub(crate) fn from_request(actor: Actor, extensions: &Extensions) -> Actor {
    actor.at(client(extensions)).by_request(extensions.get::<RequestId>().copied())
}

/// The address at the connection's other end, if the server tells.
pub(crate) fn client(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip())
}
