//! What a handler was told of a request, against what its token says.

use super::Facts;
use crate::fixture::WebConfig;
use crate::http1::Response;
use crate::stack::Kind;
use crate::table::Expect;
use crate::token::Claims;
use serde_json::Value;

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
pub(super) fn handler(
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
pub(super) fn encodes(text: &str, path: &str) -> bool {
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
