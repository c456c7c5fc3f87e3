//! An answer against an expectation.

mod handler;
mod minted;
mod refusal;
#[cfg(test)]
mod tests;

pub use self::refusal::{Challenge, Row, TABLE, row};

use self::handler::handler;
use self::minted::minted;
use self::refusal::{grpc, refused};
use crate::fixture::WebConfig;
use crate::http1::{Answer, Response};
use crate::stack::Kind;
use crate::table::{Expect, Outcome};
use crate::token::Claims;
use serde_json::Value;

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
