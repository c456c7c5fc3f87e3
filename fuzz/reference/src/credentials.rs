//! Where a request's token is (rules V1, V2).

use voicegain_auth_core::{Field, TokenSource, TokenSources};

use crate::head::Head;

/// What was found in all sources.
#[derive(Debug, PartialEq)]
pub enum Found {
    Nothing,
    Token(Vec<u8>, TokenSource),
    Ambiguous,
}

pub fn is_websocket(head: &Head) -> bool {
    let says = |field, word: &str| head.list(field).iter().any(|it| it.eq_ignore_ascii_case(word.as_bytes()));
    head.is_connect
        || (head.method == "GET" && says(Field::Upgrade, "websocket") && says(Field::Connection, "upgrade"))
}

pub fn find(head: &Head, sources: &TokenSources) -> Found {
    let mut found = Vec::new();
    if sources.header {
        let lines = head.all(Field::Authorization);
        if lines.len() > 1 {
            return Found::Ambiguous;
        }
        found.extend(lines.first().and_then(|line| bearer(line)).map(|token| (token, TokenSource::Header)));
    }
    if sources.query {
        let tokens = query_tokens(head.query.as_deref().unwrap_or_default());
        if tokens.len() > 1 {
            return Found::Ambiguous;
        }
        found.extend(tokens.into_iter().map(|token| (token, TokenSource::Query)));
    }
    if sources.protocol && is_websocket(head) {
        let entries = head.list(Field::SecWebSocketProtocol);
        let (ours, others): (Vec<&[u8]>, Vec<&[u8]>) =
            entries.into_iter().partition(|it| is_bearer_entry(it));
        // A companion that no answer could name, since it is no text, does not count.
        let has_companion = others.first().is_some_and(|it| std::str::from_utf8(it).is_ok());
        if ours.len() > 1 || (ours.len() == 1 && !has_companion) {
            return Found::Ambiguous;
        }
        found.extend(ours.iter().map(|entry| (entry["bearer.".len()..].to_vec(), TokenSource::Protocol)));
    }
    found.retain(|(token, _)| !token.is_empty());
    if found.len() > 1 {
        return Found::Ambiguous;
    }
    if found.is_empty()
        && let Some(name) = &sources.cookie
    {
        let values: Vec<Vec<u8>> = cookies(head).into_iter().filter_map(|it| value_of(it, name)).collect();
        if values.len() > 1 {
            return Found::Ambiguous;
        }
        found.extend(values.into_iter().filter(|it| !it.is_empty()).map(|it| (it, TokenSource::Cookie)));
    }
    found.pop().map_or(Found::Nothing, |(token, source)| Found::Token(token, source))
}

fn bearer(line: &[u8]) -> Option<Vec<u8>> {
    let at = line.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = line.split_at(at);
    let token: Vec<u8> = rest.iter().copied().skip_while(|byte| *byte == b' ').collect();
    scheme.eq_ignore_ascii_case(b"bearer").then_some(token)
}

fn query_tokens(query: &str) -> Vec<Vec<u8>> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "access_token")
        .map(|(_, value)| value.into_owned().into_bytes())
        .collect()
}

pub fn is_bearer_entry(entry: &[u8]) -> bool {
    entry.to_ascii_lowercase().starts_with(b"bearer.")
}

pub fn cookies(head: &Head) -> Vec<&[u8]> {
    let lines = head.all(Field::Cookie);
    let cookies = lines.iter().flat_map(|line| line.split(|byte| *byte == b';'));
    cookies.map(<[u8]>::trim_ascii).filter(|cookie| !cookie.is_empty()).collect()
}

/// The value of a cookie of this name; empty if it has no `=`.
pub fn value_of(cookie: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut parts = cookie.splitn(2, |byte| *byte == b'=');
    let is_it = parts.next()?.trim_ascii() == name.as_bytes();
    is_it.then(|| parts.next().unwrap_or_default().trim_ascii().to_vec())
}
