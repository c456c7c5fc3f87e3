//! The bodies of the admin API (rules W7, M4).

use base64::Engine as _;
use voicegain_auth_core::WebConfigId;

use super::json::{Kind, Members};
use super::mac::BASE64URL;
use super::origin::{Tail, may_be_set};
use super::token::uuid;

/// A web config that may be created.
pub struct Creation {
    pub account_id: String,
    pub context_id: String,
    pub name: String,
    pub allowed_origins: Vec<String>,
    pub secret: Option<Vec<u8>>,
    pub id: Option<WebConfigId>,
    pub revive: bool,
}

/// A change that may be made.
pub struct Patch {
    pub name: Option<String>,
    pub allowed_origins: Option<Vec<String>>,
}

/// `None`: it may not.
pub fn creation(body: &[u8]) -> Option<Creation> {
    let known = ["accountId", "contextId", "name", "allowedOrigins", "secret", "id", "revive"];
    let members = members(body, &known)?;
    let required = |name| text(&members, name).flatten();
    let (account_id, context_id, name) = (required("accountId")?, required("contextId")?, required("name")?);
    let allowed_origins = texts(&members, "allowedOrigins")?.unwrap_or_default();
    let secret = match text(&members, "secret")? {
        Some(text) => Some(BASE64URL.decode(text).ok().filter(|bytes| (32..=256).contains(&bytes.len()))?),
        None => None,
    };
    let id = match text(&members, "id")? {
        Some(text) => Some(uuid(&text)?),
        None => None,
    };
    let revive = match members.get("revive") {
        None => false,
        Some(Kind::Flag(flag)) => flag,
        Some(_) => return None,
    };
    let opaque = |text: &str| {
        (1..=128).contains(&text.len()) && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
    };
    let fits = opaque(&account_id)
        && opaque(&context_id)
        && is_name(&name)
        && are_allowed(&allowed_origins)
        && (id.is_none() || secret.is_some())
        && (!revive || id.is_some());
    fits.then_some(Creation { account_id, context_id, name, allowed_origins, secret, id, revive })
}

/// `None`: it may not.
pub fn patch(body: &[u8]) -> Option<Patch> {
    if body.trim_ascii().is_empty() {
        return Some(Patch { name: None, allowed_origins: None });
    }
    let members = members(body, &["name", "allowedOrigins"])?;
    let (name, allowed_origins) = (text(&members, "name")?, texts(&members, "allowedOrigins")?);
    let fits = name.as_deref().is_none_or(is_name) && allowed_origins.as_deref().is_none_or(are_allowed);
    fits.then_some(Patch { name, allowed_origins })
}

fn members(body: &[u8], known: &[&str]) -> Option<Members> {
    Members::read(body).filter(|members| members.names().all(|name| known.contains(&name)))
}

fn text(members: &Members, name: &str) -> Option<Option<String>> {
    match members.get(name) {
        None => Some(None),
        Some(Kind::Text(text)) => Some(Some(text)),
        Some(_) => None,
    }
}

fn texts(members: &Members, name: &str) -> Option<Option<Vec<String>>> {
    match members.get(name) {
        None => Some(None),
        Some(Kind::Texts(texts)) => Some(Some(texts)),
        Some(_) => None,
    }
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn are_allowed(patterns: &[String]) -> bool {
    patterns.len() <= 1_000 && patterns.iter().all(|text| may_be_set(text, Tail::Nothing))
}
