//! Where a request's token is, and how it is taken out of what is passed on (rules V1, V2).

use std::borrow::Cow;

use crate::head::{Field, RequestHead, Single, is_websocket_upgrade, list_members, single};
use crate::policy::{Policy, TokenSources};

/// Where the token that counted was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenSource {
    /// `Authorization: Bearer`.
    Header,
    /// The `access_token` query parameter.
    Query,
    /// A `Sec-WebSocket-Protocol` entry.
    Protocol,
    /// The named cookie.
    Cookie,
}

const QUERY_PARAMETER: &str = "access_token";
const PROTOCOL_PREFIX: &[u8] = b"bearer.";

/// What looking for a token ended with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Nothing,
    Token(Cow<'a, [u8]>, TokenSource),
    /// More than one, or one that is not as it must be: `invalid_request`, and why.
    Ambiguous(&'static str),
}

/// What one source has.
enum Entry<'a> {
    Nothing,
    Token(Cow<'a, [u8]>),
    Ambiguous(&'static str),
}

/// Looks into every enabled source.
pub(crate) fn find<'a, H: RequestHead>(head: &'a H, sources: &TokenSources) -> Found<'a> {
    let header = if sources.header { in_header(head) } else { Entry::Nothing };
    let query = if sources.query { in_query(head.query()) } else { Entry::Nothing };
    let protocol =
        if sources.protocol && is_websocket_upgrade(head) { in_protocols(head) } else { Entry::Nothing };
    let mut found = Found::Nothing;
    for (entry, source) in
        [(header, TokenSource::Header), (query, TokenSource::Query), (protocol, TokenSource::Protocol)]
    {
        match entry {
            Entry::Nothing => {}
            Entry::Ambiguous(why) => return Found::Ambiguous(why),
            Entry::Token(_) if found != Found::Nothing => {
                return Found::Ambiguous("send the token in one place only");
            }
            Entry::Token(token) => found = Found::Token(token, source),
        }
    }
    match (&found, &sources.cookie) {
        (Found::Nothing, Some(name)) => match in_cookies(head, name) {
            Entry::Nothing => Found::Nothing,
            Entry::Token(token) => Found::Token(token, TokenSource::Cookie),
            Entry::Ambiguous(why) => Found::Ambiguous(why),
        },
        _ => found,
    }
}

fn in_header<H: RequestHead>(head: &H) -> Entry<'_> {
    match single(head, Field::Authorization) {
        Single::Absent => Entry::Nothing,
        Single::Several => Entry::Ambiguous("send one Authorization header only"),
        Single::One(value) => match value.split_at_checked(b"Bearer ".len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"Bearer ") => {
                let start = rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
                token(rest.get(start..).unwrap_or_default())
            }
            _ => Entry::Nothing,
        },
    }
}

fn token(bytes: &[u8]) -> Entry<'_> {
    if bytes.is_empty() { Entry::Nothing } else { Entry::Token(Cow::Borrowed(bytes)) }
}

/// Whether a pair of a query is the token parameter, however its name is spelt.
fn is_token_pair(pair: &[u8]) -> bool {
    // There may be thousands, and no spelling is shorter. Plainly spelt, the name needs no decoding.
    if pair.len() < QUERY_PARAMETER.len() {
        return false;
    }
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    name == QUERY_PARAMETER.as_bytes() || (name.contains(&b'%') && spells_token(pair))
}

fn spells_token(pair: &[u8]) -> bool {
    form_urlencoded::parse(pair).next().is_some_and(|(name, _)| name == QUERY_PARAMETER)
}

fn in_query(query: Option<&str>) -> Entry<'_> {
    let pairs = query.unwrap_or_default().as_bytes().split(|byte| *byte == b'&');
    let mut tokens = pairs.filter(|pair| is_token_pair(pair));
    let pair = match (tokens.next(), tokens.next()) {
        (None, _) => return Entry::Nothing,
        (Some(_), Some(_)) => return Entry::Ambiguous("give the access_token parameter once only"),
        (Some(pair), None) => pair,
    };
    match form_urlencoded::parse(pair).next().map(|(_, value)| value) {
        Some(Cow::Borrowed(value)) => token(value.as_bytes()),
        Some(Cow::Owned(value)) if !value.is_empty() => Entry::Token(Cow::Owned(value.into_bytes())),
        Some(Cow::Owned(_)) | None => Entry::Nothing,
    }
}

/// An entry that carries a token. The prefix is ours in any letter case, so that nobody passes one on by its spelling.
fn bearer_entry(entry: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = entry.split_at_checked(PROTOCOL_PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PROTOCOL_PREFIX).then_some(rest)
}

fn in_protocols<H: RequestHead>(head: &H) -> Entry<'_> {
    let mut bearer = list_members(head, Field::SecWebSocketProtocol).filter_map(bearer_entry);
    match (bearer.next(), bearer.next()) {
        (None, _) => Entry::Nothing,
        (Some(_), Some(_)) => Entry::Ambiguous("offer one bearer. protocol only"),
        (Some(_), None) if other_protocol(head).is_none() => {
            Entry::Ambiguous("offer another protocol beside the bearer. one")
        }
        (Some(bytes), None) => token(bytes),
    }
}

/// The first protocol offered that is no token: what the answer names if the application chooses none (rule V1).
pub(crate) fn other_protocol<H: RequestHead>(head: &H) -> Option<&str> {
    list_members(head, Field::SecWebSocketProtocol)
        .find(|entry| bearer_entry(entry).is_none())
        .and_then(|entry| str::from_utf8(entry).ok())
}

/// The cookies of all `Cookie` lines, as they stand between the semicolons.
fn cookies<H: RequestHead>(head: &H) -> impl Iterator<Item = &[u8]> {
    head.values(Field::Cookie)
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
}

/// The value of a cookie, if it has this name.
fn cookie_value<'a>(cookie: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let equals = cookie.iter().position(|byte| *byte == b'=').unwrap_or(cookie.len());
    let (cookie_name, value) = cookie.split_at_checked(equals)?;
    (cookie_name.trim_ascii() == name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
}

fn in_cookies<'a, H: RequestHead>(head: &'a H, name: &str) -> Entry<'a> {
    let mut values = cookies(head).filter_map(|cookie| cookie_value(cookie, name));
    match (values.next(), values.next()) {
        (None, _) => Entry::Nothing,
        (Some(_), Some(_)) => Entry::Ambiguous("send one cookie of the token's name only"),
        (Some(value), None) => token(value),
    }
}

/// What to do to one part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "an adapter that skips a kind of edit leaks a token")]
pub enum Edit {
    /// Leave it as it is.
    Keep,
    /// Take it out.
    Remove,
    /// Put this in its place.
    Replace(String),
}

/// How a request must be changed before it is passed on, so that no enabled source is left in it (rules V1, V8).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what is not taken out is passed on"]
#[allow(clippy::exhaustive_structs, reason = "an adapter that skips a member leaks a token")]
pub struct Strip {
    /// All `Authorization` lines.
    pub authorization: Edit,
    /// The query, without the `?`.
    pub query: Edit,
    /// All `Sec-WebSocket-Protocol` lines.
    pub protocols: Edit,
    /// All `Cookie` lines.
    pub cookies: Edit,
}

impl Strip {
    /// What this policy takes out of a request, whichever source counted and whether or not one did.
    pub fn plan<H: RequestHead>(policy: &Policy, head: &H) -> Self {
        Self::plan_after(policy, head, None)
    }

    /// The same for a request whose token was found in this source: what is known by that is not looked for again.
    pub(crate) fn plan_after<H: RequestHead>(policy: &Policy, head: &H, found: Option<TokenSource>) -> Self {
        let mut plan =
            Self { authorization: Edit::Keep, query: Edit::Keep, protocols: Edit::Keep, cookies: Edit::Keep };
        if policy.pass_token_on {
            return plan;
        }
        let sources = &policy.sources;
        let is_ours = || {
            found == Some(TokenSource::Header)
                || head.values(Field::Authorization).any(|value| !has_other_scheme(value))
        };
        if sources.header && is_ours() {
            plan.authorization = Edit::Remove;
        }
        if let Some(query) = head.query().filter(|_| sources.query)
            && query.as_bytes().split(|byte| *byte == b'&').any(is_token_pair)
        {
            plan.query = edit(query.split('&').filter(|pair| !is_token_pair(pair.as_bytes())), "&");
        }
        if sources.protocol
            && list_members(head, Field::SecWebSocketProtocol).any(|it| bearer_entry(it).is_some())
        {
            let others =
                list_members(head, Field::SecWebSocketProtocol).filter(|it| bearer_entry(it).is_none());
            plan.protocols = edit(others.filter_map(|entry| str::from_utf8(entry).ok()), ", ");
        }
        if let Some(name) = &sources.cookie
            && cookies(head).any(|cookie| cookie_value(cookie, name).is_some())
        {
            let others = cookies(head).filter(|cookie| cookie_value(cookie, name).is_none());
            plan.cookies = edit(others.filter_map(|cookie| str::from_utf8(cookie).ok()), "; ");
        }
        plan
    }
}

fn edit<'a>(parts: impl Iterator<Item = &'a str>, separator: &str) -> Edit {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { Edit::Remove } else { Edit::Replace(parts.join(separator)) }
}

/// Whether an `Authorization` value is clearly of another scheme, and so not ours to take out: anything that begins like
/// a Bearer token, well formed or not, may be one to somebody.
fn has_other_scheme(value: &[u8]) -> bool {
    let value = value.trim_ascii_start();
    let is_token_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = value.iter().position(|byte| !is_token_byte(byte)).unwrap_or(value.len());
    value.get(..end).is_some_and(|scheme| !scheme.is_empty() && !scheme.eq_ignore_ascii_case(b"bearer"))
}

/// `Cache-Control` for an accepted answer to a query or cookie token (rule V1): `None` if what the application says is
/// strict enough, otherwise what to say instead.
#[must_use]
pub fn private_cache_control<'a>(values: impl Iterator<Item = &'a [u8]> + Clone) -> Option<String> {
    let directives = values
        .flat_map(|line| {
            let mut quoted = false;
            line.split(move |byte| {
                quoted ^= *byte == b'"';
                *byte == b',' && !quoted
            })
        })
        .map(<[u8]>::trim_ascii)
        .filter(|directive| !directive.is_empty());
    let is = |directive: &[u8], name: &[u8]| directive.eq_ignore_ascii_case(name);
    if directives.clone().any(|directive| is(directive, b"private") || is(directive, b"no-store")) {
        return None;
    }
    let shared = |directive: &&[u8]| {
        let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        is(name, b"public") || is(name, b"s-maxage") || is(name, b"private")
    };
    let others = directives.filter(|directive| !shared(directive)).filter_map(|it| str::from_utf8(it).ok());
    Some(std::iter::once("private").chain(others).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
