//! A refusal, against rule E.

use super::{Facts, reason};
use crate::http1::Response;
use crate::stack::Kind;
use crate::table::Expect;
use serde_json::Value;

/// A row of the table in rule E.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The fixed string.
    pub reason: &'static str,
    /// The status.
    pub status: u16,
    /// The error code in `WWW-Authenticate`.
    pub challenge: Challenge,
    /// The gRPC status for the same refusal.
    pub grpc: Option<u16>,
}

/// What `WWW-Authenticate` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// It is not there.
    None,
    /// A realm, and no error code.
    Realm,
    /// This error code.
    Error(&'static str),
}

/// The table of rule E.
pub const TABLE: &[Row] = &[
    refusal("missing_token", 401, Challenge::Realm, Some(16)),
    refusal("invalid_request", 400, Challenge::Error("invalid_request"), Some(3)),
    refusal("invalid_token", 401, Challenge::Error("invalid_token"), Some(16)),
    refusal("token_expired", 401, Challenge::Error("invalid_token"), Some(16)),
    refusal("origin_not_allowed", 403, Challenge::None, Some(7)),
    refusal("insufficient_scope", 403, Challenge::Error("insufficient_scope"), Some(7)),
    refusal("invalid_parameter", 400, Challenge::None, Some(3)),
    refusal("temporarily_unavailable", 503, Challenge::None, Some(14)),
    refusal("not_found", 404, Challenge::None, None),
    refusal("method_not_allowed", 405, Challenge::None, None),
    refusal("request_too_large", 413, Challenge::None, None),
    refusal("headers_too_large", 431, Challenge::None, None),
    refusal("upstream_unavailable", 502, Challenge::None, None),
    refusal("upstream_timeout", 504, Challenge::None, None),
];

const fn refusal(reason: &'static str, status: u16, challenge: Challenge, grpc: Option<u16>) -> Row {
    Row { reason, status, challenge, grpc }
}

/// The row of a reason.
pub fn row(reason: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.reason == reason)
}
/// Rules E and O10, for what is refused.
pub(super) fn refused(
    response: &Response,
    reasons: &[&str],
    expect: &Expect,
    facts: &Facts<'_>,
    wrong: &mut Vec<String>,
) {
    let got = reason(response);
    // An answer to HEAD has no body to name the reason: its status and headers must be some expected row's.
    let row = if facts.method == "HEAD" {
        reasons.iter().filter_map(|reason| row(reason)).find(|row| row.status == response.status)
    } else {
        got.as_deref().filter(|got| reasons.contains(got)).and_then(row)
    };
    let Some(row) = row else {
        wrong.push(format!("status {} and reason {got:?}, expected {reasons:?}", response.status));
        return;
    };
    if response.status != row.status {
        wrong.push(format!("status {}, expected {} for {}", response.status, row.status, row.reason));
    }
    let kind = response.one("content-type").unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
        wrong.push(format!("Content-Type is {kind:?} (rule E)"));
    }
    if facts.method != "HEAD" {
        error_body(response, expect, wrong);
    }
    challenge(response, row, wrong);
    let cache = response.list("cache-control");
    if !cache.iter().any(|item| item == "no-store") {
        wrong.push(format!("Cache-Control is {cache:?}, without no-store (rule E)"));
    }
    let vary = response.list("vary");
    if !vary.iter().any(|name| name == "origin" || name == "*") {
        wrong.push(format!("Vary is {vary:?}, without Origin (rule E)"));
    }
    if row.status == 503 && response.one("retry-after").is_none_or(|seconds| seconds.parse::<u32>().is_err())
    {
        wrong.push("no Retry-After in seconds (rule E)".to_owned());
    }
    if facts.kind == Kind::Gateway && facts.below_base && !facts.origins.is_empty() {
        let origin = response.one("access-control-allow-origin").unwrap_or_default();
        if origin != "*" && !facts.origins.contains(&origin) {
            wrong.push(format!("Access-Control-Allow-Origin is {origin:?} on a refusal (rule O10)"));
        }
        let exposed = response.list("access-control-expose-headers");
        for header in ["www-authenticate", "retry-after"] {
            if !exposed.iter().any(|have| have == header) {
                wrong.push(format!(
                    "Access-Control-Expose-Headers is {exposed:?}, without {header} (rule O10)"
                ));
            }
        }
    }
}

fn error_body(response: &Response, expect: &Expect, wrong: &mut Vec<String>) {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let members = |value: &Value| value.as_object().map(|object| object.len());
    let error = &body["error"];
    let detail = error["detail"].as_str().unwrap_or_default();
    if members(&body) != Some(1) || members(error) != Some(2) || detail.is_empty() {
        wrong.push("the body is not {\"error\":{\"reason\",\"detail\"}} (rule E)".to_owned());
    }
    for text in &expect.detail {
        if !detail.contains(text.as_str()) {
            wrong.push(format!("the detail does not name {text:?}: {detail:?}"));
        }
    }
}

fn challenge(response: &Response, row: &Row, wrong: &mut Vec<String>) {
    let headers: Vec<_> = response.all("www-authenticate").collect();
    let read = match (headers.as_slice(), row.challenge) {
        ([], Challenge::None) => return,
        ([header], Challenge::Realm | Challenge::Error(_)) => parameters(header),
        _ => None,
    };
    let Some(parameters) = read else {
        wrong.push(format!("WWW-Authenticate is {headers:?}, expected {:?} (rule E)", row.challenge));
        return;
    };
    let value =
        |name: &str| parameters.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str());
    let good = match row.challenge {
        Challenge::Realm => value("realm").is_some() && value("error").is_none(),
        Challenge::Error(code) => value("error") == Some(code),
        Challenge::None => false,
    };
    if !good {
        wrong.push(format!("WWW-Authenticate is {headers:?}, expected {:?} (rule E)", row.challenge));
    }
    if row.reason == "token_expired"
        && !value("error_description").is_some_and(|text| text.contains("expired"))
    {
        wrong.push(format!("WWW-Authenticate is {headers:?}, its description does not say expired (rule E)"));
    }
}

/// The parameters of a `Bearer` challenge: quoted strings, separated by commas.
pub(super) fn parameters(header: &str) -> Option<Vec<(String, String)>> {
    let mut rest = header.strip_prefix("Bearer ")?;
    let mut parameters = Vec::new();
    loop {
        let (name, tail) = rest.trim_start().split_once("=\"")?;
        let (value, tail) = tail.split_once('"')?;
        // RFC 6750, section 3: no backslash, no control characters, ASCII only.
        let allowed = |c: char| matches!(c, ' '..='~') && c != '\\';
        if name.contains(|c: char| !c.is_ascii_lowercase() && c != '_') || !value.chars().all(allowed) {
            return None;
        }
        parameters.push((name.to_owned(), value.to_owned()));
        match tail.trim_start() {
            "" => return Some(parameters),
            tail => rest = tail.strip_prefix(',')?,
        }
    }
}

pub(super) fn grpc(response: &Response, reason: &str, wrong: &mut Vec<String>) {
    let status = row(reason).and_then(|row| row.grpc).map(|status| status.to_string());
    if response.status != 200 || response.one("grpc-status") != status {
        let got = response.one("grpc-status");
        wrong.push(format!("status {} and grpc-status {got:?}, expected {status:?}", response.status));
    }
    if !response.one("content-type").is_some_and(|kind| kind.starts_with("application/grpc")) {
        wrong.push("Content-Type is not application/grpc".to_owned());
    }
    if !response.body.is_empty() {
        wrong.push("a trailers-only answer has no body".to_owned());
    }
    if !response.headers.iter().any(|(_, value)| value == reason.as_bytes()) {
        wrong.push(format!("no metadata says {reason}"));
    }
}
