//! One request of a case: sent, and its answer and what the upstream saw judged.

use super::Run;
use super::request::show;
use crate::check::{self, Facts, Verdict};
use crate::fixture::WebConfig;
use crate::http1::{self, Answer, Response};
use crate::http2;
use crate::report::Miss;
use crate::table::{self, Expect, Step};
use crate::template;
use crate::token::Claims;
use crate::upstream::Upstream;
use std::time::{Duration, Instant};

/// After this long what an upstream must not see is looked for once more.
const LATE: Duration = Duration::from_millis(100);

/// How long an upstream's record may take to become what it must be.
const RECORD: Duration = Duration::from_secs(5);

impl Run<'_> {
    pub(super) async fn request(&mut self, step: &Step) -> Result<Option<String>, String> {
        let request = self.build(step)?;
        let mut expect = step.expect.of(self.world.kind).clone();
        expect.minted.aud = self.text(&expect.minted.aud)?;
        expect.minted.api = expect.minted.api.map(|api| self.text(&api)).transpose()?;
        let expect = &expect;
        let port = match (&self.world.running.admin_port, step.admin_port) {
            (Some((addr, _)), true) => *addr,
            (None, true) => return Err("there is no admin port".to_owned()),
            (_, false) => self.world.running.addr,
        };
        let sent = template::now_rounded_up();
        let answer = match &request.frames {
            Some((headers, body)) => http2::exchange(port, headers, body).await,
            None => http1::exchange(port, &request.text, &request.method, &request.after).await,
        };
        let came = template::now();
        let answer = answer.map_err(|err| format!("{err}\nrequest:\n{}", show(&request)))?;

        let claims = self.claims(step);
        let claims = claims.as_ref().map(|(claims, config)| (claims, config));
        let minter = self.config(expect.minted.of.as_deref().unwrap_or("alpha")).ok();
        let secret = minter.and_then(|config| config.issue(None)).and_then(|issue| issue.secret.clone());
        if expect.is == table::Outcome::Minted && secret.is_none() && !expect.minted.unchecked {
            return Err("the runner does not know the secret of the minted token".to_owned());
        }
        let facts = Facts {
            kind: self.world.kind,
            method: &request.method,
            origins: &request.origins,
            asked: (&request.asked.0, &request.asked.1),
            below_base: request.below_base && !step.admin_port,
            claims,
            minter: minter.map(|config| (config, secret.as_deref())),
            times: (sent, came),
        };
        let like = match &expect.like {
            Some(name) => Some(self.saved.get(name).ok_or_else(|| format!("nothing saved as {name}"))?),
            None => None,
        };
        let mut verdict = check::judge(&answer, expect, &facts, like);
        if let Answer::Response(response) = &answer {
            if let Some(what) = self.leak(step, expect, response) {
                verdict = wrong(verdict, format!("the answer holds {what}"));
            }
            if let Some(name) = &step.save {
                self.saved.insert(name.clone(), response.clone());
            }
        }
        if let Some(expected) = &expect.upstream
            && let Some(what) = self.upstream(expected).await
        {
            verdict = wrong(verdict, what);
        }
        match verdict {
            Verdict::Right => Ok(None),
            Verdict::Parser(by) => Ok(Some(by)),
            Verdict::Wrong(differences) => {
                let text = format!(
                    "{}\nrequest:\n{}\ngot:\n{}",
                    differences.join("\n"),
                    show(&request),
                    match &answer {
                        Answer::Response(response) => response.describe(),
                        Answer::Closed(why) => why.clone(),
                    }
                );
                let (answer, accepts) = (check::brief(&answer), expect.is.accepts(expect));
                self.miss = Some(Miss { answer, accepts, differences });
                Err(text)
            }
        }
    }

    /// A secret or a token that the answer holds and may not.
    fn leak(&self, step: &Step, expect: &Expect, response: &Response) -> Option<&'static str> {
        let mut own = Vec::new();
        if expect.is == table::Outcome::Minted {
            own = response.body.clone();
        } else if step.admin_port {
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let issuing = matches!(step.method.as_deref(), Some("POST"));
            if let Some(jwt) = body.get("jwt").and_then(serde_json::Value::as_str).filter(|_| issuing) {
                own = jwt.as_bytes().to_vec();
            }
        }
        let mut needles = self.world.needles();
        let found = needles.find(&response.raw, &[&own]);
        if !own.is_empty() {
            needles.token(&own);
        }
        found
    }

    /// What is wrong with the upstream's record of this case.
    async fn upstream(&self, expected: &table::UpstreamExpect) -> Option<String> {
        let Some(upstream) = &self.world.running.upstream else {
            return Some("there is no upstream whose record could be looked at".to_owned());
        };
        let began = Instant::now();
        let mut wrong = self.differences(upstream, expected);
        while !wrong.is_empty() && began.elapsed() <= RECORD {
            tokio::time::sleep(Duration::from_millis(5)).await;
            wrong = self.differences(upstream, expected);
        }
        if wrong.is_empty() && expected.forbids() {
            // What must not come could still be on its way.
            tokio::time::sleep(LATE).await;
            wrong = self.differences(upstream, expected);
        }
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    }

    /// In what the record of this case is not yet, or no more, as it must be.
    fn differences(&self, upstream: &Upstream, expected: &table::UpstreamExpect) -> Vec<String> {
        let record = upstream.record(&self.key);
        let text = String::from_utf8_lossy(&record.bytes).to_ascii_lowercase();
        let mut wrong = Vec::new();
        if expected.requests.is_some_and(|requests| requests != record.requests) {
            wrong.push(format!("the upstream saw {} requests", record.requests));
        }
        if expected.extra_bytes.is_some_and(|extra| extra != record.extra) {
            wrong.push(format!("the upstream saw {} bytes after the head", record.extra));
        }
        for part in expected.lacks.iter().filter(|part| text.contains(&part.to_ascii_lowercase())) {
            wrong.push(format!("the upstream saw {part:?}"));
        }
        for part in expected.has.iter().filter(|part| !text.contains(&part.to_ascii_lowercase())) {
            wrong.push(format!("the upstream did not see {part:?}"));
        }
        if expected.closed && !record.closed {
            wrong.push("the upstream's connection is open".to_owned());
        }
        wrong
    }

    /// What the token that counts says, and its web config.
    pub(super) fn claims(&self, step: &Step) -> Option<(Claims, WebConfig)> {
        let name = match (&step.bearer, &step.token) {
            (Some(name), _) => name.as_str(),
            (None, Some(_)) => "",
            (None, None) => step.tokens.keys().next()?,
        };
        let claims = Claims::read(self.tokens.get(name)?)?;
        let mut all = self.configs.values().chain(self.world.fixtures.values());
        let config = all.find(|config| config.id == claims.id)?.clone();
        Some((claims, config))
    }
}

fn wrong(verdict: Verdict, what: String) -> Verdict {
    match verdict {
        Verdict::Wrong(mut all) => {
            all.push(what);
            Verdict::Wrong(all)
        }
        Verdict::Right | Verdict::Parser(_) => Verdict::Wrong(vec![what]),
    }
}
