//! HTTP/2 requests that would be something else as HTTP/1.1.

use std::time::Duration;

use crate::http2::{self, END_HEADERS, END_STREAM, Ended, Pair, block, frame, kind, pair};
use crate::upstream::Seen;

use super::case::{Passed, describe, shown};
use super::requests::head;
use super::{Attack, Family, Outcome, Stage};

mod cases;
mod websocket;

/// How long an answer may take that must come, and how long one is waited for that need not.
const SURE: Duration = Duration::from_secs(8);
const UNSURE: Duration = Duration::from_millis(1500);

/// What may come of it.
#[derive(Clone)]
enum Expect {
    Refused,
    /// Its head may have passed, and a beginning of its body, before the end shows that it is malformed.
    Begun(Passed),
    Passed(Passed),
    Either(Passed),
}

#[derive(Clone)]
struct Case {
    name: String,
    fields: Vec<Pair>,
    body: Option<Vec<u8>>,
    trailers: Option<Vec<Pair>>,
    expect: Expect,
}

impl Case {
    fn new(name: impl Into<String>, fields: Vec<Pair>, expect: Expect) -> Self {
        Self { name: name.into(), fields, body: None, trailers: None, expect }
    }

    fn body(self, body: &str) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    fn trailers(self, trailers: &[(&str, &str)]) -> Self {
        Self { trailers: Some(trailers.iter().map(|(name, value)| pair(name, value)).collect()), ..self }
    }

    fn bytes(&self, token: &str) -> Vec<u8> {
        let mut fields = self.fields.clone();
        let (start, rest) = token.split_at_checked(10).unwrap_or_default();
        for (_, value) in &mut fields {
            for (mark, text) in [("{token}", token), ("{start}", start), ("{rest}", rest)] {
                if value.ends_with(mark.as_bytes()) {
                    value.truncate(value.len() - mark.len());
                    value.extend_from_slice(text.as_bytes());
                }
            }
        }
        let end = |last: bool| if last { END_STREAM } else { 0 };
        let no_more = self.body.is_none() && self.trailers.is_none();
        let mut bytes = head(1, end(no_more), &block(&fields));
        if let Some(body) = &self.body {
            bytes.extend(frame(kind::DATA, end(self.trailers.is_none()), 1, body));
        }
        if let Some(trailers) = &self.trailers {
            bytes.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block(trailers)));
        }
        bytes
    }

    async fn run(&self, stage: Stage<'_>) -> Outcome {
        let bytes = self.bytes(&stage.subject.tokens.long);
        let patience = if matches!(self.expect, Expect::Passed(_)) { SURE } else { UNSURE };
        let ended = http2::exchange(stage.subject.addr, &bytes, patience).await;
        let seen = stage.seen().await;
        let mut findings = seen.problems.clone();
        let expect = if stage.http2 { &self.expect } else { &Expect::Refused };
        findings.extend(check(expect, &ended, &seen));
        Outcome {
            sent: self.sent(),
            client: ended.describe(),
            upstream: describe(&seen),
            findings,
            ..Outcome::default()
        }
    }

    fn sent(&self) -> String {
        let usual = cases::with(&[]);
        let list = |fields: &[Pair]| -> String {
            let shown = |(name, value): &Pair| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
            let shown: Vec<String> = fields.iter().filter(|it| !usual.contains(it)).map(shown).collect();
            shown.join("; ").chars().take(200).collect()
        };
        let mut text = list(&self.fields);
        if let Some(body) = &self.body {
            text += &format!(" + `{}`", body[..body.len().min(60)].escape_ascii());
        }
        if let Some(trailers) = &self.trailers {
            text += &format!(" + trailers {}", list(trailers));
        }
        text
    }
}

fn check(expect: &Expect, ended: &Ended, seen: &Seen) -> Vec<String> {
    let (allowed, must) = match expect {
        Expect::Refused => (None, false),
        Expect::Begun(passed) => (Some(passed), false),
        Expect::Passed(passed) => (Some(passed), true),
        Expect::Either(passed) => (Some(passed), false),
    };
    let mut findings = Vec::new();
    for arrived in &seen.arrived {
        let (head, body) = (&arrived.request.head, &arrived.request.body);
        let same = |it: &Passed| (&it.method, &it.target, &it.body) == (&head.method, &head.target, body);
        if seen.total > 1 || matches!(expect, Expect::Begun(_)) || !allowed.is_some_and(same) {
            let head = arrived.request.raw_head.escape_ascii();
            findings.push(format!("a request that was not decided about: `{head}`"));
        }
    }
    for begun in &seen.begun {
        if !allowed.is_some_and(|passed| passed.is_begun_by(&begun.request)) {
            findings.push(format!(
                "the beginning of a request that was not decided about: {}",
                shown(&begun.request)
            ));
        }
    }
    let success = matches!(ended, Ended::Answer(200, _));
    if success && seen.total == 0 || (must && !success) {
        findings.push(format!("{} with {} requests arrived", ended.describe(), seen.total));
    }
    if let (Ended::Answer(200, body), Some(passed)) = (ended, allowed)
        && *body != format!("{} {} {}", passed.method, passed.target, passed.body.len()).as_bytes()
    {
        findings.push("the answer to another request".to_owned());
    }
    if matches!(ended, Ended::Silence | Ended::NoConnection) {
        findings.push(ended.describe());
    }
    if let Ended::Answer(status @ 500.., _) = ended {
        findings.push(format!("{status}, as if it were the gateway's fault"));
    }
    findings
}

pub(super) fn attacks() -> Vec<Attack> {
    let attack = |case: Case| {
        let name = format!("h2 {}", case.name);
        Attack::new(name, Family::Downgrade, move |stage| {
            let case = case.clone();
            Box::pin(async move { case.run(stage).await })
        })
    };
    let mut attacks: Vec<Attack> = cases::cases().into_iter().map(attack).collect();
    attacks.push(websocket::attack());
    attacks
}
