//! An answer against an expectation.

use crate::fixture::WebConfig;
use crate::http1::{Answer, Response};
use crate::stack::Kind;
use crate::table::{Expect, Minted, Outcome};
use crate::token::{self, Claims};
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

/// What the judge knows about the request.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The kind of stack.
    pub kind: Kind,
    /// The request's method.
    pub method: &'a str,
    /// The `Origin` headers it carried.
    pub origins: &'a [String],
    /// The `Access-Control-Request-Method` and `-Headers` it carried.
    pub asked: (&'a str, &'a str),
    /// Whether its path is below the gateway's base path.
    pub below_base: bool,
    /// What the token that counts says, and its web config.
    pub claims: Option<(&'a Claims, &'a WebConfig)>,
    /// The web config a minted token is for, and the secret it is to be signed with.
    pub minter: Option<(&'a WebConfig, Option<&'a [u8]>)>,
    /// When the request was sent and the answer had come, in seconds since 1970.
    pub times: (i64, i64),
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it must.
    Right,
    /// The stack's own parser refused it first, and may.
    Parser(String),
    /// Not as it must: every difference, as a sentence.
    Wrong(Vec<String>),
}

/// Judges an answer.
pub fn judge(answer: &Answer, expect: &Expect, facts: &Facts<'_>, like: Option<&Response>) -> Verdict {
    let response = match answer {
        Answer::Response(response) => response,
        Answer::Closed(why) if expect.parser_may_answer => return Verdict::Parser(why.clone()),
        Answer::Closed(why) => return Verdict::Wrong(vec![why.clone()]),
    };
    if expect.parser_may_answer
        && let Some(by) = parser_refusal(response)
    {
        return Verdict::Parser(by);
    }
    let mut wrong = Vec::new();
    outcome(response, expect, facts, &mut wrong);
    headers(response, expect, &mut wrong);
    if let Some(like) = like {
        same(response, like, &mut wrong);
    }
    if wrong.is_empty() { Verdict::Right } else { Verdict::Wrong(wrong) }
}

/// An answer in a few words: its status, and the API's reason or what else its body is.
pub fn brief(answer: &Answer) -> String {
    let Answer::Response(response) = answer else { return "closed".to_owned() };
    let body = match (reason(response), response.one("content-type")) {
        (Some(reason), _) => reason,
        (None, _) if response.body.is_empty() => "empty body".to_owned(),
        (None, kind) => kind.unwrap_or_else(|| "body without a type".to_owned()),
    };
    format!("{} {body}", response.status)
}

/// A refusal that is not one of rule E's, and of a size limit's: a parser's.
fn parser_refusal(response: &Response) -> Option<String> {
    match reason(response) {
        Some(reason) if reason == "headers_too_large" => Some(reason),
        Some(_) => None,
        None if matches!(response.status, 400 | 404 | 405 | 414 | 431 | 501 | 505) => {
            Some(format!("{} without the API's error body", response.status))
        }
        None => None,
    }
}

fn reason(response: &Response) -> Option<String> {
    let body: Value = serde_json::from_slice(&response.body).ok()?;
    Some(body.get("error")?.get("reason")?.as_str()?.to_owned())
}

fn outcome(response: &Response, expect: &Expect, facts: &Facts<'_>, wrong: &mut Vec<String>) {
    let expected_status = |status: u16, wrong: &mut Vec<String>| {
        if response.status != status {
            wrong.push(format!("status {}, expected {status}", response.status));
        }
        response.status == status
    };
    match &expect.is {
        Outcome::Accept => {
            if expected_status(200, wrong) {
                match facts.claims {
                    Some((claims, config)) => handler(response, Some((claims, config)), expect, facts, wrong),
                    None => wrong.push("the case expects an identity, but its token has none".to_owned()),
                }
                readable(response, facts, wrong);
            }
        }
        Outcome::Anonymous => {
            if expected_status(200, wrong) {
                handler(response, None, expect, facts, wrong);
                readable(response, facts, wrong);
            }
        }
        Outcome::Preflight => {
            if expected_status(204, wrong) {
                preflight(response, facts, wrong);
            }
        }
        Outcome::Minted => {
            if expected_status(200, wrong) {
                minted(response, &expect.minted, facts, wrong);
                readable(response, facts, wrong);
            }
        }
        Outcome::Reason(reason) => refused(response, &[reason.as_str()], expect, facts, wrong),
        Outcome::Refused => {
            let reasons: Vec<_> = expect.reasons.iter().map(String::as_str).collect();
            refused(response, &reasons, expect, facts, wrong);
        }
        Outcome::Grpc(reason) => grpc(response, reason, wrong),
        Outcome::Switched => {
            expected_status(101, wrong);
            if let Some(after) = &expect.after
                && response.body != after.as_bytes()
            {
                wrong.push(format!("after the 101 came {:?}", String::from_utf8_lossy(&response.body)));
            }
        }
        Outcome::Status => {
            expected_status(expect.code.unwrap_or_default(), wrong);
        }
        Outcome::Any => {}
        Outcome::Done | Outcome::Denied => wrong.push("done and denied are for admin steps".to_owned()),
    }
    if expect.not_codes.contains(&response.status) {
        wrong.push(format!("status {}", response.status));
    }
    if let Some(continued) = expect.continued
        && response.interim.contains(&100) != continued
    {
        wrong.push(format!("interim answers {:?}", response.interim));
    }
}

/// What the handler saw, out of the echo's answer.
struct Echo {
    headers: Vec<(String, String)>,
    path: String,
    query: String,
}

impl Echo {
    fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let mut headers = Vec::new();
        for (name, values) in body.get("headers")?.as_object()? {
            for value in values.as_array()? {
                headers.push((name.clone(), value.as_str()?.to_owned()));
            }
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self { headers, path: text("path"), query: text("query") })
    }
}

/// Judges what the handler saw (rule V8).
fn handler(
    response: &Response,
    identity: Option<(&Claims, &WebConfig)>,
    expect: &Expect,
    facts: &Facts<'_>,
    wrong: &mut Vec<String>,
) {
    if facts.method == "HEAD" {
        return;
    }
    let Some(echo) = Echo::read(&response.body) else {
        wrong.push("the answer is not the echo's".to_owned());
        return;
    };
    let mut want: Vec<(&str, String)> = Vec::new();
    let mut fraction = false;
    if let Some((claims, config)) = identity {
        want.push(("x-voicegain-account-id", config.account.clone()));
        want.push(("x-voicegain-context-id", config.context.clone()));
        want.push(("x-voicegain-web-config-id", config.id.clone()));
        let kind = if claims.short_lived { "short-lived" } else { "long-lived" };
        want.push(("x-voicegain-token-kind", kind.to_owned()));
        if let Some(exp) = claims.exp {
            want.push(("x-voicegain-token-expires", exp.to_string()));
        }
        fraction = claims.short_lived && claims.exp.is_none();
        if let Some(api) = &claims.api {
            want.push(("x-voicegain-api-path", api.clone()));
        }
    }
    for (name, value) in &want {
        let seen: Vec<_> = echo.headers.iter().filter(|(have, _)| have == name).map(|(_, v)| v).collect();
        let same = |seen: &str| match *name {
            "x-voicegain-api-path" => encodes(seen, value),
            _ => seen == value,
        };
        if seen.len() != 1 || !same(seen[0]) {
            wrong.push(format!("the handler saw {name}: {seen:?}, expected {value:?} (rule V8)"));
        }
    }
    for (name, value) in &echo.headers {
        let folded = name.to_ascii_lowercase().replace(['_', '.'], "-");
        let known = want.iter().any(|(want, _)| want == name)
            || fraction && name == "x-voicegain-token-expires"
            || facts.kind == Kind::Layer && identity.is_some();
        if folded.starts_with("x-voicegain-") && !known {
            wrong.push(format!("the handler saw {name}: {value:?}, which is not ours (rule V8)"));
        }
    }
    seen(&echo, expect, wrong);
}

/// Whether `text` is `path` with whatever needs it percent-encoded, and perhaps more.
fn encodes(text: &str, path: &str) -> bool {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
                let value =
                    std::str::from_utf8(&digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
                let Some(value) = value else { return false };
                decoded.push(value);
            }
            b'!'..=b'~' => decoded.push(byte),
            _ => return false,
        }
    }
    decoded == path.as_bytes()
}

fn seen(echo: &Echo, expect: &Expect, wrong: &mut Vec<String>) {
    for line in &expect.seen {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        if !echo.headers.iter().any(|(have, seen)| have == name && seen == value) {
            let seen: Vec<_> = echo.headers.iter().filter(|(have, _)| have == name).map(|(_, v)| v).collect();
            wrong.push(format!("the handler saw {name}: {seen:?}, expected {value:?}"));
        }
    }
    for name in &expect.unseen {
        if echo.headers.iter().any(|(have, _)| have == name) {
            wrong.push(format!("the handler saw {name}"));
        }
    }
    for text in &expect.unseen_text {
        let text = text.to_ascii_lowercase();
        if let Some((name, _)) = echo
            .headers
            .iter()
            .find(|(name, value)| name.contains(&text) || value.to_ascii_lowercase().contains(&text))
        {
            wrong.push(format!("the handler saw {text:?} in {name}"));
        }
    }
    for (what, seen, expected) in
        [("path", &echo.path, &expect.seen_path), ("query", &echo.query, &expect.seen_query)]
    {
        if let Some(expected) = expected
            && seen != expected
        {
            wrong.push(format!("the handler saw the {what} {seen:?}, expected {expected:?}"));
        }
    }
}

/// Rule O10, for what a gateway accepts.
fn readable(response: &Response, facts: &Facts<'_>, wrong: &mut Vec<String>) {
    if facts.kind != Kind::Gateway {
        return;
    }
    vary(response, facts, wrong);
    if let [origin] = facts.origins {
        let want = if origin == "null" { "*" } else { origin };
        let got = response.one("access-control-allow-origin");
        if got.as_deref() != Some(want) {
            wrong.push(format!("Access-Control-Allow-Origin is {got:?}, expected {want:?} (rule O10)"));
        }
    }
    if response.all("access-control-allow-credentials").next().is_some() {
        wrong.push("Access-Control-Allow-Credentials is there (rule O10)".to_owned());
    }
}

fn vary(response: &Response, facts: &Facts<'_>, wrong: &mut Vec<String>) {
    let list = response.list("vary");
    if facts.below_base && !list.iter().any(|name| name == "origin" || name == "*") {
        wrong.push(format!("Vary is {list:?}, without Origin (rule O10)"));
    }
}

/// Rule O9.
fn preflight(response: &Response, facts: &Facts<'_>, wrong: &mut Vec<String>) {
    let caller = response.one("x-caller");
    if facts.kind == Kind::Layer {
        if caller.as_deref() != Some("preflight") {
            wrong.push(format!("the handler met {caller:?}, expected a preflight (rule O9)"));
        }
        return;
    }
    vary(response, facts, wrong);
    let origin = response.one("access-control-allow-origin");
    let good =
        origin.as_deref().is_some_and(|value| value == "*" || facts.origins.iter().any(|o| o == value));
    if !good {
        wrong.push(format!("Access-Control-Allow-Origin is {origin:?} (rule O9)"));
    }
    let (method, headers) = facts.asked;
    let methods = response.all("access-control-allow-methods").collect::<Vec<_>>().join(",");
    if !methods.split(',').any(|have| have.trim() == method) {
        wrong.push(format!("Access-Control-Allow-Methods is {methods:?}, expected {method:?} (rule O9)"));
    }
    let allowed = response.list("access-control-allow-headers");
    for header in
        headers.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty())
    {
        if !allowed.contains(&header) {
            wrong.push(format!("Access-Control-Allow-Headers is {allowed:?}, without {header:?} (rule O9)"));
        }
    }
    if response.all("access-control-allow-credentials").next().is_some() {
        wrong.push("Access-Control-Allow-Credentials is there (rule O10)".to_owned());
    }
}

/// Rules E and O10, for what is refused.
fn refused(
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
fn parameters(header: &str) -> Option<Vec<(String, String)>> {
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

fn grpc(response: &Response, reason: &str, wrong: &mut Vec<String>) {
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

/// Rules M2 and W3.
fn minted(response: &Response, expected: &Minted, facts: &Facts<'_>, wrong: &mut Vec<String>) {
    let kind = response.one("content-type").unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "text/plain" {
        wrong.push(format!("Content-Type is {kind:?} (rule M2)"));
    }
    if !response.list("cache-control").iter().any(|item| item == "no-store") {
        wrong.push("no Cache-Control: no-store (rule M2)".to_owned());
    }
    let Some((config, secret)) = facts.minter else {
        wrong.push("the case does not say who mints".to_owned());
        return;
    };
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let parts: Vec<_> = body.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        wrong.push("the body is no token".to_owned());
        return;
    };
    if token::decode(header).as_deref() != Some(token::HEADER.as_bytes()) {
        wrong.push("the token's header is not rule W2's".to_owned());
    }
    let payload = token::decode(payload).unwrap_or_default();
    let exp = serde_json::from_slice(&payload).ok().and_then(|value: Value| value.get("exp")?.as_i64());
    let lives = expected.lives.unwrap_or(300);
    let (sent, came) = facts.times;
    match exp {
        Some(exp) => {
            // Now, rounded up: never before the second it was asked in, at most one after the answer's.
            if exp < sent + lives || exp > came + 1 + lives {
                wrong.push(format!("exp is {exp}, asked {sent} to {came} for {lives} seconds (rule M2)"));
            }
            let sub = match &expected.api {
                Some(api) => format!("api:{api}:{}", config.id),
                None => config.id.clone(),
            };
            let want = format!(r#"{{"aud":"{}","sub":"{sub}","exp":{exp}}}"#, expected.aud);
            if payload != want.as_bytes() {
                let got = String::from_utf8_lossy(&payload).into_owned();
                wrong.push(format!("the payload is {got}, expected {want} (rule W3)"));
            }
        }
        None => wrong.push("the token has no exp that is a whole number (rule W3)".to_owned()),
    }
    if let (Some(secret), Some((input, _))) = (secret, body.rsplit_once('.'))
        && token::encode(&token::hs256(secret, input.as_bytes())) != **signature
    {
        wrong.push("the token is not signed with the secret of the web config (rule W3)".to_owned());
    }
}

fn headers(response: &Response, expect: &Expect, wrong: &mut Vec<String>) {
    let split = |line: &String| {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        (name.to_ascii_lowercase(), value.to_owned())
    };
    for (name, value) in expect.has.iter().map(split) {
        let have: Vec<_> = response.all(&name).collect();
        if !have.contains(&value) {
            wrong.push(format!("{name} is {have:?}, expected {value:?}"));
        }
    }
    for (name, part) in expect.contains.iter().map(split) {
        let have: Vec<_> = response.all(&name).collect();
        if !have.iter().any(|value| value.to_ascii_lowercase().contains(&part.to_ascii_lowercase())) {
            wrong.push(format!("{name} is {have:?}, expected {part:?} in it"));
        }
    }
    for name in &expect.lacks {
        if response.all(name).next().is_some() {
            wrong.push(format!("{name} is there"));
        }
    }
    for (name, part) in expect.free_of.iter().map(split) {
        if response.all(&name).any(|value| value.to_ascii_lowercase().contains(&part.to_ascii_lowercase())) {
            wrong.push(format!("{name} contains {part:?}"));
        }
    }
    let body = String::from_utf8_lossy(&response.body);
    for text in expect.body.iter().filter(|text| !body.contains(text.as_str())) {
        wrong.push(format!("the body does not contain {text:?}"));
    }
    for text in expect.body_lacks.iter().filter(|text| body.contains(text.as_str())) {
        wrong.push(format!("the body contains {text:?}"));
    }
}

/// Two answers that may not differ (rule V5).
fn same(response: &Response, like: &Response, wrong: &mut Vec<String>) {
    let headers = |response: &Response| {
        let mut headers = response.headers.clone();
        headers.retain(|(name, _)| !["date", "x-voicegain-request-id"].contains(&name.as_str()));
        headers.sort();
        headers
    };
    if response.status != like.status || response.body != like.body || headers(response) != headers(like) {
        wrong.push(format!("not the same answer as before, which was {}", like.describe()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNAUTHORIZED: &str = "HTTP/1.1 401\r\n\
        content-type: application/json\r\nwww-authenticate: Bearer realm=\"voicegain\", error=\"invalid_token\"\r\n\
        cache-control: no-store\r\nvary: Origin\r\n\r\n\
        {\"error\":{\"reason\":\"invalid_token\",\"detail\":\"Do something.\"}}";

    fn answer(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers =
            lines.filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.into()))).collect();
        Answer::Response(Response { status, headers, body: body.into(), ..Response::default() })
    }

    fn facts(kind: Kind, origins: &[String]) -> Facts<'_> {
        Facts {
            kind,
            method: "GET",
            origins,
            asked: ("", ""),
            below_base: true,
            claims: None,
            minter: None,
            times: (0, 0),
        }
    }

    fn refusal(text: &str, reason: &str, facts: &Facts<'_>) -> Verdict {
        let expect = Expect { is: Outcome::Reason(reason.to_owned()), ..Expect::default() };
        judge(&answer(text), &expect, facts, None)
    }

    #[test]
    fn rule_e_to_the_letter_is_right() {
        assert_eq!(refusal(UNAUTHORIZED, "invalid_token", &facts(Kind::Layer, &[])), Verdict::Right);
    }

    #[test]
    fn every_departure_from_rule_e_is_wrong() {
        for (from, to) in [
            ("401", "403"),
            ("error=\"invalid_token\"", "error=\"invalid_request\""),
            ("\", error", "\" error"),
            ("www-authenticate", "www-authenticated"),
            ("no-store", "no-cache"),
            ("vary: Origin", "vary: Accept"),
            ("application/json", "text/plain"),
            ("\"reason\":\"invalid_token\"", "\"reason\":\"missing_token\""),
            ("\"Do something.\"", "\"\""),
            ("something.\"}", "something.\",\"stack\":1}"),
        ] {
            let text = UNAUTHORIZED.replacen(from, to, 1);
            let verdict = refusal(&text, "invalid_token", &facts(Kind::Layer, &[]));
            assert!(matches!(verdict, Verdict::Wrong(_)), "{from} → {to}");
        }
        let verdict = refusal(UNAUTHORIZED, "token_expired", &facts(Kind::Layer, &[]));
        assert!(matches!(verdict, Verdict::Wrong(_)));
    }

    #[test]
    fn a_refusal_by_a_gateway_must_be_readable() {
        let origins = ["https://a.example".to_owned()];
        let facts = facts(Kind::Gateway, &origins);
        assert!(matches!(refusal(UNAUTHORIZED, "invalid_token", &facts), Verdict::Wrong(_)));
        let text = UNAUTHORIZED.replacen(
            "vary: Origin",
            "vary: Origin\r\naccess-control-allow-origin: *\r\naccess-control-expose-headers: WWW-Authenticate, \
             Retry-After",
            1,
        );
        assert_eq!(refusal(&text, "invalid_token", &facts), Verdict::Right);
    }

    #[test]
    fn an_identity_must_be_the_tokens_and_nobody_elses() {
        let config = WebConfig {
            id: "w".to_owned(),
            account: "a".to_owned(),
            context: "c".to_owned(),
            issued: Vec::new(),
        };
        let claims = Claims { id: "w".to_owned(), ..Claims::default() };
        let facts = Facts { claims: Some((&claims, &config)), ..facts(Kind::Gateway, &[]) };
        let echo = r#"HTTP/1.1 200
vary: Origin

{"method":"GET","path":"/v1/x","query":"","headers":{"x-voicegain-account-id":["a"],"x-voicegain-context-id":["c"],"x-voicegain-web-config-id":["w"],"x-voicegain-token-kind":["long-lived"]}}"#
            .replace('\n', "\r\n");
        let judge = |text: &str| judge(&answer(text), &Expect::default(), &facts, None);
        assert_eq!(judge(&echo), Verdict::Right);
        for (from, to) in [
            ("[\"a\"]", "[\"b\"]"),
            ("[\"a\"]", "[\"a\",\"b\"]"),
            ("long-lived", "short-lived"),
            ("\"headers\":{", "\"headers\":{\"x_voicegain.foo\":[\"1\"],"),
            ("\"headers\":{", "\"headers\":{\"x-voicegain-api-path\":[\"/\"],"),
            ("200", "204"),
            ("vary", "very"),
        ] {
            let text = echo.replacen(from, to, 1);
            assert!(matches!(judge(&text), Verdict::Wrong(_)), "{from} → {to}");
        }
    }

    #[test]
    fn a_parser_may_answer_only_where_the_case_says_so() {
        let expect = |may| Expect {
            is: Outcome::Reason("invalid_token".to_owned()),
            parser_may_answer: may,
            ..Expect::default()
        };
        let facts = facts(Kind::Layer, &[]);
        let bare = answer("HTTP/1.1 400\r\n\r\n");
        assert!(matches!(judge(&bare, &expect(true), &facts, None), Verdict::Parser(_)));
        assert!(matches!(judge(&bare, &expect(false), &facts, None), Verdict::Wrong(_)));
        let closed = Answer::Closed("closed".to_owned());
        assert!(matches!(judge(&closed, &expect(true), &facts, None), Verdict::Parser(_)));
        assert!(matches!(judge(&closed, &expect(false), &facts, None), Verdict::Wrong(_)));
        let crash = answer("HTTP/1.1 500\r\n\r\n");
        assert!(matches!(judge(&crash, &expect(true), &facts, None), Verdict::Wrong(_)));
    }

    #[test]
    fn a_path_may_be_encoded_more_than_needed_but_not_less() {
        for (text, path, want) in [
            ("/a:b", "/a:b", true),
            ("/a%3Ab", "/a:b", true),
            ("/%c3%a9", "/é", true),
            ("/é", "/é", false),
            ("/a b", "/a b", false),
            ("/a%2", "/a%2", false),
            ("/a%2B", "/a%2B", false),
            ("/A", "/a", false),
        ] {
            assert_eq!(encodes(text, path), want, "{text}");
        }
    }

    #[test]
    fn challenges_are_read_strictly() {
        assert_eq!(parameters("Bearer realm=\"a\", error=\"b\"").unwrap().len(), 2);
        for bad in [
            "Basic realm=\"a\"",
            "Bearer",
            "Bearer realm=\"a\" error=\"b\"",
            "Bearer error=b",
            "Bearer a=\"\\\"",
        ] {
            assert_eq!(parameters(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_minted_token_must_be_signed_dated_and_spelt_right() {
        let config =
            WebConfig { id: "w".to_owned(), account: String::new(), context: String::new(), issued: vec![] };
        let facts =
            Facts { minter: Some((&config, Some(b"k"))), times: (1000, 1000), ..facts(Kind::Gateway, &[]) };
        let expect = Expect {
            is: Outcome::Minted,
            minted: Minted { aud: "a".to_owned(), ..Minted::default() },
            ..Expect::default()
        };
        let judge = |payload: &str, key: &[u8]| {
            let token = token::sign(token::HEADER.as_bytes(), payload.as_bytes(), key);
            let head =
                "HTTP/1.1 200\r\ncontent-type: text/plain\r\ncache-control: no-store\r\nvary: origin\r\n\r\n";
            judge(&answer(&format!("{head}{token}")), &expect, &facts, None)
        };
        assert_eq!(judge(r#"{"aud":"a","sub":"w","exp":1301}"#, b"k"), Verdict::Right);
        for (payload, key) in [
            (r#"{"aud":"a","sub":"w","exp":1301}"#, b"x"),
            (r#"{"aud":"a","sub":"w","exp":1299}"#, b"k"),
            (r#"{"aud":"a","sub":"w","exp":1302}"#, b"k"),
            (r#"{"sub":"w","aud":"a","exp":1301}"#, b"k"),
            (r#"{"aud":"b","sub":"w","exp":1301}"#, b"k"),
            (r#"{"aud":"a","sub":"w"}"#, b"k"),
        ] {
            assert!(matches!(judge(payload, key), Verdict::Wrong(_)), "{payload}");
        }
    }
}
