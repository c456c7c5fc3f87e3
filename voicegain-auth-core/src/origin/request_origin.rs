//! The `Origin` header of a request.

use super::authority::{default_port, is_scheme, parse_port, split_port, split_scheme};
use super::host::Host;

/// The value of a request's `Origin` header, parsed and borrowed.
///
/// It is one serialised origin, `scheme://host[:port]` or `null` (rule O2). Letter case and an explicit
/// default port are forgiven, nothing else: what a browser would have serialised differently was not sent by
/// a browser. A host with an empty label (`a..b`) or a comma is refused too.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a>(Option<Tuple<'a>>);

/// An origin that is not opaque.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuple<'a> {
    /// As it was sent.
    text: &'a str,
    pub(super) scheme: &'a str,
    pub(super) host: Host<&'a str>,
    /// The port as written, else the scheme's default, if it has one.
    pub(super) port: Option<u16>,
}

/// The value is not one serialised origin (rule O2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one serialised origin, scheme://host[:port]")]
#[non_exhaustive]
pub struct InvalidOrigin;

impl<'a> Origin<'a> {
    /// Reads the value of one `Origin` header. Allocates nothing, unless a host in Punycode has to go through
    /// IDNA.
    ///
    /// # Errors
    /// If the value is no serialised origin: a list, userinfo, a path, whitespace, anything but ASCII, an
    /// empty host, a port or an address in another form than the one browsers send.
    pub fn parse(value: &'a [u8]) -> Result<Self, InvalidOrigin> {
        if value.eq_ignore_ascii_case(b"null") {
            return Ok(Self(None));
        }
        let text = str::from_utf8(value).map_err(|_| InvalidOrigin)?;
        Tuple::parse(text).map(|tuple| Self(Some(tuple))).ok_or(InvalidOrigin)
    }

    /// Whether it is `null`, the serialisation of every opaque origin (rule O6).
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// Whether its host and port are those of the request's own authority, `host[:port]` (rule O8). Without a
    /// port the authority means the default port of the origin's scheme. `null`, and an authority with
    /// userinfo or in any other form, never match.
    #[must_use]
    pub fn is_authority(&self, authority: &str) -> bool {
        let Some(tuple) = &self.0 else { return false };
        let Some((host, port)) = split_port(authority) else { return false };
        let port = match port {
            Some(digits) => parse_port(digits),
            None => default_port(tuple.scheme),
        };
        port.is_some() && port == tuple.port && Host::parse(host).is_ok_and(|host| tuple.host.is_same(&host))
    }

    /// Whether this text is the origin as it was sent. An origin is a pattern that stands for itself, unless it has a `*`.
    pub(super) fn is_written(&self, text: &str) -> bool {
        self.0.is_some_and(|tuple| tuple.text == text) && !text.contains('*')
    }

    pub(super) fn tuple(&self) -> Option<&Tuple<'a>> {
        self.0.as_ref()
    }
}

impl<'a> Tuple<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = split_scheme(text)?;
        let (host, port) = split_port(authority)?;
        let host = Host::parse_serialised(host).ok()?;
        let port = match port {
            Some(digits) => Some(parse_port(digits)?),
            None => default_port(scheme),
        };
        is_scheme(scheme).then_some(Self { text, scheme, host, port })
    }
}
