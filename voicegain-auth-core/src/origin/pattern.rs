//! Patterns for origins: the members of `aud` and of `allowedOrigins` (rules O3 to O7).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use idna::AsciiDenyList;
use idna::uts46::{Hyphens, Uts46};

use super::authority::{
    default_port, is_scheme, is_web, is_web_socket, parse_port, split_port, split_scheme,
};
use super::host::{Host, InvalidHost};
use super::public_suffix;
use super::request_origin::Origin;

/// What a bare `*` counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnyOrigin {
    /// It matches every origin, also `null` (rules O3, O6).
    Counts,
    /// It matches nothing: a token in a cookie travels by itself (rule O1).
    Ignored,
}

/// Whether one string of a token's `aud` stands for this origin.
///
/// A path or slash behind the authority is ignored, as in a long-lived token's `https://api.voicegain.ai/v1`
/// (rule O7). A text that is no pattern matches nothing. Allocates nothing as long as the text is ASCII; a
/// domain in another script or in Punycode goes through IDNA, which may.
#[must_use]
pub fn audience_matches(aud: &str, origin: &Origin<'_>, any: AnyOrigin) -> bool {
    // Most tokens are made for the one origin that uses them.
    origin.is_written(aud) || audience_matches_as_pattern(aud, origin, any)
}

pub(super) fn audience_matches_as_pattern(aud: &str, origin: &Origin<'_>, any: AnyOrigin) -> bool {
    Pattern::parse(aud, Tail::Ignored).is_ok_and(|pattern| pattern.matches(origin, any))
}

/// An origin pattern: `[scheme://]host[:port]` or `*` (rule O3).
///
/// Parsed once, and shown as it was written. [`FromStr`] is strict: no path and no slash behind the
/// authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    text: Box<str>,
    pattern: Pattern<'static>,
}

/// A text is no origin pattern, or one that may not be used here. The message says why and what to write
/// instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// A `*` in any other place (rule O3).
    #[error(
        "`*` can only stand alone, for the first labels of a domain as in https://*.example.com, or for the \
         port as in localhost:*"
    )]
    Wildcard,
    /// What stands before `://` is no scheme.
    #[error(
        "what stands before `://` is no scheme; write https://app.example.com, or the host without a scheme"
    )]
    Scheme,
    /// `ws://` or `wss://`.
    #[error(
        "a WebSocket's Origin is http or https: write https://app.example.com, not wss://app.example.com"
    )]
    WebSocketScheme,
    /// Something follows the authority.
    #[error("an origin has no path; leave out the `/` behind the host and everything after it")]
    Path,
    /// `user@host`.
    #[error("an origin has no user name and no password; leave out everything up to the `@`")]
    UserInfo,
    /// There is no host.
    #[error("the host is missing; write it as in https://app.example.com")]
    EmptyHost,
    /// The host has a character that no host has.
    #[error(
        "the host has a character that is not allowed there, such as a space, a comma, `?`, `#`, `%` or \
         a backslash; write the host alone, as in app.example.com"
    )]
    HostCharacter,
    /// The host has an empty label.
    #[error("the host has two dots in a row or begins with one; write each label, as in app.example.com")]
    EmptyLabel,
    /// The host is no domain by IDNA (UTS 46), written out or in Punycode.
    #[error("the host is no valid internationalised domain name; check its letters, or what follows xn--")]
    Idna,
    /// A character that IDNA turns into one of the pattern's own characters (rule O5).
    #[error("the host has the character {0:?}, which stands for `*`, `.` or `/`; write those in ASCII")]
    Lookalike(char),
    /// The host ends in a number and is no IPv4 address.
    #[error("a host that ends in a number must be an IPv4 address in four decimal parts, as in 192.0.2.1")]
    Ipv4,
    /// The host is no IPv6 address in brackets.
    #[error("an IPv6 address is written in brackets and without a zone, as in http://[2001:db8::1]:8080")]
    Ipv6,
    /// A wildcard before an address.
    #[error("`*.` can only stand before a domain; write each address out")]
    WildcardAddress,
    /// The port is no port.
    #[error("the port is a number up to 65535 without leading zeros, or `*`; without one, leave out the `:`")]
    Port,
    /// A wildcard over domains that belong to many (rule M4). Holds what stands behind the `*.`.
    #[error(
        "strangers can have domains that `*.{0}` stands for; name a domain of your own, as in *.example.{0}"
    )]
    PublicSuffix(String),
}

impl OriginPattern {
    /// Reads the `aud` a short-lived token is asked for (rule M2): as [`FromStr`], but a bare slash may
    /// follow, and with the checks of [`OriginPattern::parse_allowed`].
    ///
    /// # Errors
    /// If it is no such pattern.
    pub fn parse_minted(text: &str) -> Result<Self, InvalidPattern> {
        Self::parse_checked(text, Tail::Slash)
    }

    /// Reads a member of `allowedOrigins`: as [`FromStr`], and neither with a scheme that no browser sends
    /// (`ws`, `wss`) nor a wildcard over a public suffix (rule M4).
    ///
    /// # Errors
    /// If it is no such pattern.
    pub fn parse_allowed(text: &str) -> Result<Self, InvalidPattern> {
        Self::parse_checked(text, Tail::None)
    }

    fn parse_checked(text: &str, tail: Tail) -> Result<Self, InvalidPattern> {
        if split_scheme(text).is_some_and(|(scheme, _)| is_web_socket(scheme)) {
            return Err(InvalidPattern::WebSocketScheme);
        }
        let pattern = Self::parse(text, tail)?;
        pattern.check_public_suffix()?;
        Ok(pattern)
    }

    fn parse(text: &str, tail: Tail) -> Result<Self, InvalidPattern> {
        Ok(Self { text: text.into(), pattern: Pattern::parse(text, tail)?.into_owned() })
    }

    /// Whether it stands for this origin.
    #[must_use]
    pub fn matches(&self, origin: &Origin<'_>) -> bool {
        self.matches_with(origin, AnyOrigin::Counts)
    }

    pub(super) fn matches_with(&self, origin: &Origin<'_>, any: AnyOrigin) -> bool {
        self.pattern.matches(origin, any)
    }

    /// Whether it is `*`, which stands for every origin.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.pattern == Pattern::Any
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Holds a wildcard against the Public Suffix List, its ICANN and its private part (rule M4). Suffixes
    /// that are not listed (`*.internal`) and patterns without a wildcard host are fine.
    ///
    /// # Errors
    /// If anyone can have a domain that the wildcard stands for, as with `*.co.uk`, `*.github.io` or
    /// `*.kawasaki.jp`.
    pub fn check_public_suffix(&self) -> Result<(), InvalidPattern> {
        match &self.pattern {
            Pattern::Tuple { host: HostPattern::Below(base), .. } if public_suffix::is_shared(base) => {
                Err(InvalidPattern::PublicSuffix(base.to_ascii_lowercase()))
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for OriginPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, Tail::None)
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<InvalidHost> for InvalidPattern {
    fn from(error: InvalidHost) -> Self {
        match error {
            InvalidHost::Empty => Self::EmptyHost,
            InvalidHost::Character => Self::HostCharacter,
            InvalidHost::EmptyLabel => Self::EmptyLabel,
            InvalidHost::Ipv4 => Self::Ipv4,
            InvalidHost::Ipv6 => Self::Ipv6,
            InvalidHost::Punycode => Self::Idna,
        }
    }
}

/// What may follow the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    None,
    /// One slash (rule M2).
    Slash,
    /// A slash and anything; it counts for nothing (rule O7).
    Ignored,
}

/// A pattern taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern<'a> {
    Any,
    Tuple {
        /// `None` is both of the web's.
        scheme: Option<Cow<'a, str>>,
        host: HostPattern<'a>,
        port: PortPattern,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern<'a> {
    Exactly(Host<Cow<'a, str>>),
    /// Every domain with this one behind it, and not this one.
    Below(Cow<'a, str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortPattern {
    /// The default port of the origin's scheme, or none if it has none.
    Default,
    Any,
    Exactly(u16),
}

impl<'a> Pattern<'a> {
    fn parse(text: &'a str, tail: Tail) -> Result<Self, InvalidPattern> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, rest) = match split_scheme(text) {
            Some((scheme, _)) if scheme.contains('*') => return Err(InvalidPattern::Wildcard),
            Some((scheme, _)) if !is_scheme(scheme) => return Err(InvalidPattern::Scheme),
            Some((scheme, rest)) => (Some(scheme.into()), rest),
            None => (None, text),
        };
        let authority = match (rest.split_once('/'), tail) {
            (None, _) => rest,
            (Some((authority, _)), Tail::Ignored) | (Some((authority, "")), Tail::Slash) => authority,
            (Some(_), Tail::None | Tail::Slash) => return Err(InvalidPattern::Path),
        };
        if authority.contains('@') {
            return Err(InvalidPattern::UserInfo);
        }
        if authority.starts_with("*.[") {
            return Err(InvalidPattern::WildcardAddress);
        }
        let (host, port) = split_port(authority).ok_or(InvalidPattern::Ipv6)?;
        let port = PortPattern::parse(port)?;
        Ok(Self::Tuple { scheme, host: HostPattern::parse(host)?, port })
    }

    fn matches(&self, origin: &Origin<'_>, any: AnyOrigin) -> bool {
        let Self::Tuple { scheme, host, port } = self else { return any == AnyOrigin::Counts };
        let Some(origin) = origin.tuple() else { return false };
        let same_scheme = match scheme {
            Some(scheme) => scheme.eq_ignore_ascii_case(origin.scheme),
            None => is_web(origin.scheme),
        };
        let same_port = match port {
            PortPattern::Any => true,
            PortPattern::Default => origin.port == default_port(origin.scheme),
            PortPattern::Exactly(port) => origin.port == Some(*port),
        };
        same_scheme
            && same_port
            && match host {
                HostPattern::Exactly(host) => host.is_same(&origin.host),
                HostPattern::Below(base) => origin.host.is_below(base),
            }
    }

    fn into_owned(self) -> Pattern<'static> {
        match self {
            Self::Any => Pattern::Any,
            Self::Tuple { scheme, host, port } => {
                Pattern::Tuple { scheme: scheme.map(owned), host: host.into_owned(), port }
            }
        }
    }
}

impl<'a> HostPattern<'a> {
    fn parse(text: &'a str) -> Result<Self, InvalidPattern> {
        let base = text.strip_prefix("*.");
        // Looked for before IDNA, which could otherwise make one or take one away (rule O5).
        if base.unwrap_or(text).contains('*') {
            return Err(InvalidPattern::Wildcard);
        }
        match (base, parse_host(base.unwrap_or(text))?) {
            (None, host) => Ok(Self::Exactly(host)),
            (Some(_), Host::Domain(base)) => Ok(Self::Below(base)),
            (Some(_), Host::V4(_) | Host::V6(_)) => Err(InvalidPattern::WildcardAddress),
        }
    }

    fn into_owned(self) -> HostPattern<'static> {
        match self {
            Self::Exactly(Host::Domain(domain)) => HostPattern::Exactly(Host::Domain(owned(domain))),
            Self::Exactly(Host::V4(address)) => HostPattern::Exactly(Host::V4(address)),
            Self::Exactly(Host::V6(address)) => HostPattern::Exactly(Host::V6(address)),
            Self::Below(base) => HostPattern::Below(owned(base)),
        }
    }
}

impl PortPattern {
    fn parse(text: Option<&str>) -> Result<Self, InvalidPattern> {
        match text {
            None => Ok(Self::Default),
            Some("*") => Ok(Self::Any),
            // An address without its brackets: `2001:db8::1`.
            Some(text) if text.contains(':') => Err(InvalidPattern::Ipv6),
            Some(text) if text.contains('*') => Err(InvalidPattern::Wildcard),
            Some(text) => parse_port(text).map(Self::Exactly).ok_or(InvalidPattern::Port),
        }
    }
}

/// A host in any script, as the ASCII one that an origin would have (rule O5).
fn parse_host(text: &str) -> Result<Host<Cow<'_, str>>, InvalidPattern> {
    if text.is_ascii() {
        return Ok(with_text(Host::parse(text)?, Cow::Borrowed));
    }
    if let Some(lookalike) = text.chars().find(|&character| is_lookalike(character)) {
        return Err(InvalidPattern::Lookalike(lookalike));
    }
    let ascii =
        idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::URL).map_err(|_| InvalidPattern::Idna)?;
    Ok(with_text(Host::parse(&ascii)?, |domain| Cow::Owned(domain.to_owned())))
}

fn with_text<'a, 'b>(host: Host<&'a str>, text: impl FnOnce(&'a str) -> Cow<'b, str>) -> Host<Cow<'b, str>> {
    match host {
        Host::Domain(domain) => Host::Domain(text(domain)),
        Host::V4(address) => Host::V4(address),
        Host::V6(address) => Host::V6(address),
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// Whether IDNA maps this character, not ASCII itself, to a text with one of the characters that structure a
/// pattern. Those it does not allow at all are found when the whole host is mapped.
fn is_lookalike(character: char) -> bool {
    if character.is_ascii() {
        return false;
    }
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).as_bytes();
    let (mapped, _) = Uts46::new().to_unicode(bytes, AsciiDenyList::EMPTY, Hyphens::Allow);
    mapped.contains(['*', '.', '/'])
}
