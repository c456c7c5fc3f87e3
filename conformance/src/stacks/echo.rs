//! The answer of a test application's handler: what the gateways' echo answers.

use serde_json::{Map, Value, json};
use voicegain_auth_core::{Caller, is_reserved_header};

/// The request as the handler saw it, with the caller's identity among the headers as a gateway would put it there.
pub(super) fn answer<'a>(
    caller: &Caller,
    method: &str,
    path: &str,
    query: Option<&str>,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body_bytes: usize,
) -> String {
    let mut seen = Map::new();
    let mut add = |name: &str, value: &str| {
        let values = seen.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(value));
        }
    };
    for (name, value) in headers.filter(|(name, _)| !is_reserved_header(name.as_bytes())) {
        add(name, &String::from_utf8_lossy(value));
    }
    for (name, value) in caller.identity().into_iter().flat_map(|identity| identity.headers()) {
        add(name, &value);
    }
    let query = query.unwrap_or_default();
    json!({"method": method, "path": path, "query": query, "headers": seen, "bodyBytes": body_bytes})
        .to_string()
}
