//! A short-lived token that was minted, against rules M2 and W3.

use super::Facts;
use crate::http1::Response;
use crate::table::Minted;
use crate::token;
use serde_json::Value;

/// Rules M2 and W3.
pub(super) fn minted(response: &Response, expected: &Minted, facts: &Facts<'_>, wrong: &mut Vec<String>) {
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
