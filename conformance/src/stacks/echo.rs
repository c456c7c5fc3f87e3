//! The answer of a test application's handler: what the gateways' echo answers.

use serde_json::{Map, Value, json};
use voicegain_auth_core::{Caller, is_reserved_header};

/// The request as the handler saw it, with the caller's identity among the headers as a gateway would put it there.
pub fn answer<'a>(
    caller: &Caller,
    method: &str,
    path: &str,
    query: Option<&str>,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body_bytes: usize,
) -> String {
    let identity: Vec<_> = caller.identity().into_iter().flat_map(|identity| identity.headers()).collect();
    let mut seen: Vec<_> = headers.filter(|(name, _)| !is_reserved_header(name.as_bytes())).collect();
    seen.extend(identity.iter().map(|(name, value)| (*name, value.as_bytes())));
    everything(method, path, query, seen.into_iter(), body_bytes)
}

/// The request as it came: for an upstream behind a gateway, which has put the identity there.
pub fn everything<'a>(
    method: &str,
    path: &str,
    query: Option<&str>,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body_bytes: usize,
) -> String {
    let mut seen = Map::new();
    for (name, value) in headers {
        if let Value::Array(values) = seen.entry(name).or_insert_with(|| json!([])) {
            values.push(json!(String::from_utf8_lossy(value)));
        }
    }
    let query = query.unwrap_or_default();
    json!({"method": method, "path": path, "query": query, "headers": seen, "bodyBytes": body_bytes})
        .to_string()
}
