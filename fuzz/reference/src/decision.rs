//! The whole decision, in the order of rule V9.

use std::time::Duration;

use voicegain_auth_core::fuzzing::Said;
use voicegain_auth_core::{Field, Mode, Reason, TokenSource, TokenSources, WebConfigId};

use super::credentials::{self, Found};
use super::origin::{self, Origin, Tail};
use super::{path, token};
use crate::head::Head;

/// A web config that lives.
#[derive(Debug)]
pub struct Config {
    pub id: WebConfigId,
    pub secret: Vec<u8>,
    pub allowed_origins: Vec<String>,
}

/// The settings of the middleware.
#[derive(Debug)]
pub struct Settings {
    pub mode: Mode,
    pub sources: TokenSources,
    pub leeway: Duration,
    pub base_path: String,
    pub long_lived_from_any_origin: bool,
}

/// Who is let in.
#[derive(Debug, PartialEq)]
pub enum Admitted {
    Preflight,
    Anonymous,
    Caller(Said, TokenSource),
}

/// What the request is answered.
pub fn decide(
    configs: &[Config],
    settings: &Settings,
    head: &Head,
    now: Duration,
) -> Result<Admitted, Reason> {
    let origins = head.all(Field::Origin);
    let origin = match origins[..] {
        [] => Some(None),
        [value] => origin::read(value).map(Some),
        _ => None,
    };
    let malformed = || if origin.is_none() { Err(Reason::OriginNotAllowed) } else { Ok(()) };
    let asks = head.all(Field::AccessControlRequestMethod).iter().any(|it| !it.trim_ascii().is_empty());
    if head.method == "OPTIONS" && !origins.is_empty() && asks {
        return malformed().map(|()| Admitted::Preflight);
    }
    let (text, source) = match credentials::find(head, &settings.sources) {
        Found::Ambiguous => return Err(Reason::InvalidRequest),
        Found::Nothing if settings.mode == Mode::Optional => {
            return malformed().map(|()| Admitted::Anonymous);
        }
        Found::Nothing => return Err(Reason::MissingToken),
        Found::Token(text, source) => (text, source),
    };
    let token = token::read(&text).ok_or(Reason::InvalidToken)?;
    let config = configs.iter().find(|config| config.id == token.said.id).ok_or(Reason::InvalidToken)?;
    if !token.is_signed(&config.secret) {
        return Err(Reason::InvalidToken);
    }
    let said = token.said;
    if said.expires_at.is_some_and(|exp| now >= exp + settings.leeway) {
        return Err(Reason::TokenExpired);
    }
    if said.not_before.is_some_and(|nbf| now + settings.leeway < nbf) {
        return Err(Reason::InvalidToken);
    }
    malformed()?;
    let is_allowed = match origin.flatten() {
        None => without_origin(head, source),
        Some(origin) => from_page(&said, config, settings, head, source, origin.as_ref()),
    };
    if !is_allowed {
        return Err(Reason::OriginNotAllowed);
    }
    if said.api_path.as_ref().is_some_and(|api| !path::covers(&settings.base_path, api, &head.path)) {
        return Err(Reason::InsufficientScope);
    }
    Ok(Admitted::Caller(said, source))
}

/// Rule O1.
fn without_origin(head: &Head, source: TokenSource) -> bool {
    let travels_by_itself = match source {
        TokenSource::Cookie => true,
        TokenSource::Query => !credentials::is_websocket(head),
        _ => false,
    };
    !travels_by_itself || matches!(head.all(Field::SecFetchSite)[..], [b"same-origin" | b"none"])
}

/// Rules O3 to O8.
fn from_page(
    said: &Said,
    config: &Config,
    settings: &Settings,
    head: &Head,
    source: TokenSource,
    origin: Option<&Origin>,
) -> bool {
    let is_cookie = source == TokenSource::Cookie;
    let stands_for_it = |text: &String, tail| {
        origin::pattern(text, tail).is_some_and(|pattern| origin::matches(&pattern, origin, !is_cookie))
    };
    if said.audience.iter().flatten().any(|text| stands_for_it(text, Tail::Anything)) {
        return true;
    }
    if said.expires_at.is_some() {
        return false;
    }
    let hosts = head.all(Field::Host);
    let host = if let [host] = hosts[..] { std::str::from_utf8(host).ok() } else { None };
    let authority = head.authority.as_deref().or(host);
    let is_own = origin.is_some_and(|origin| authority.is_some_and(|it| origin::is_authority(origin, it)));
    is_own
        || config.allowed_origins.iter().any(|text| stands_for_it(text, Tail::Nothing))
        || (settings.long_lived_from_any_origin && !is_cookie)
}
