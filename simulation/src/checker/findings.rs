//! The properties, one by one.

use std::collections::HashMap;

use voicegain_auth_core::WebConfigId;

use super::ends::{End, WebConfig};
use super::{Finding, Known, Promise, Property};
use crate::history::{Answer, Decision, Exchange, Process, SecretName, Time};

pub(super) fn of_decision(
    known: &Known<'_>,
    promise: &Promise,
    web_config: &WebConfig,
    decision: &Decision,
    findings: &mut Vec<Finding>,
) {
    let Decision { sent, decided, .. } = *decision;
    let mut found = |property, why: String| {
        findings.push(Finding { property, at: decided, story: format!("{why}: {decision:?}") });
    };
    match decision.answer {
        Answer::Accepted | Answer::OriginNotAllowed => {
            let life = web_config.secret(decision.token.secret);
            let Some(life) = life.filter(|life| life.from.is_some_and(|from| from <= decided)) else {
                return found(Property::NeverMade, "nobody had set this secret".into());
            };
            if let Some(end) = life.ends.iter().find(|end| end.binds(sent, decided)) {
                let minted = decision.token.minted;
                let property = if minted { Property::MintedOutlives } else { Property::LateAccept };
                return found(property, ended(end));
            }
            if let Some(why) = wrong_origin(web_config, decision) {
                found(Property::LateOrigin, why);
            }
        }
        Answer::InvalidToken => {
            let newest = |name| web_config.secret(name).is_some_and(|life| life.is_newest(sent, decided));
            if newest(decision.token.secret) {
                found(Property::RefusedNewest, "the newest token was called invalid".into());
            }
        }
        Answer::Unavailable => {
            let from = sent.saturating_sub(promise.bound + promise.grace);
            let excused = known.faults.iter().any(|fault| {
                fault.process.is_none_or(|process| process == decision.process)
                    && fault.from <= decided
                    && fault.to >= from
            });
            if !excused && !web_config.is_doubtful(sent, decided, promise.bound + promise.grace) {
                found(Property::NeedlessUnavailable, "a 503 without a fault".into());
            }
        }
        Answer::Other => {}
    }
}

fn ended(end: &End) -> String {
    match end.by {
        Some(change) => format!("ended by change {change}, which returned at {}", end.returned),
        None => format!("lost in the rollback that was complete at {}", end.returned),
    }
}

fn wrong_origin(web_config: &WebConfig, decision: &Decision) -> Option<String> {
    let origin = decision.origin.as_deref()?;
    let accepted = decision.answer == Answer::Accepted;
    let mut possible =
        web_config.origins.iter().filter(|origins| origins.may_count(decision.sent, decision.decided));
    let follows = possible.any(|origins| origins.allow(origin) == accepted);
    let what = if accepted { "accepts" } else { "refuses" };
    (!follows).then(|| format!("no list of origins that may have counted {what} this"))
}

pub(super) fn of_exchange(
    known: &Known<'_>,
    promise: &Promise,
    web_config: &WebConfig,
    exchange: &Exchange,
    findings: &mut Vec<Finding>,
) {
    let Some(life) = web_config.secret(exchange.token.secret) else { return };
    let alive_until = exchange.ended.unwrap_or(known.end);
    for end in &life.ends {
        let due = end.deadline.max(exchange.begun);
        // A process that is stopped sends nothing, and ends what it must when it goes on.
        let latest = known.has_run(exchange.process, due, promise.exchange_slack);
        if alive_until > latest && latest <= end.binds_until() {
            findings.push(Finding {
                property: Property::LateExchange,
                at: latest,
                story: format!("{}, still alive at {latest}: {exchange:?}", ended(end)),
            });
            return;
        }
    }
}

/// An accept, as far as going back matters.
struct Accept<'a> {
    sent: Time,
    decided: Time,
    generation: u64,
    secret: SecretName,
    decision: &'a Decision,
}

/// No process accepts an older generation, or another secret of the same, after a newer one (rule C3). Nothing excuses it: a
/// process that finds its store set back answers 503 instead.
pub(super) fn going_back(
    known: &Known<'_>,
    web_configs: &HashMap<WebConfigId, WebConfig>,
    findings: &mut Vec<Finding>,
) {
    let mut accepts: HashMap<(Process, WebConfigId), Vec<Accept<'_>>> = HashMap::new();
    for decision in known.decisions.iter().filter(|decision| decision.answer == Answer::Accepted) {
        let token = decision.token;
        let life = web_configs.get(&token.web_config).and_then(|web_config| web_config.secret(token.secret));
        if let Some(generation) = life.and_then(|life| life.generation) {
            let Decision { process, sent, decided, .. } = **decision;
            let accept = Accept { sent, decided, generation, secret: token.secret, decision };
            accepts.entry((process, token.web_config)).or_default().push(accept);
        }
    }
    for accepts in accepts.values_mut() {
        let mut by_decided: Vec<_> = (0..accepts.len()).collect();
        by_decided.sort_by_key(|index| accepts[*index].decided);
        let mut by_sent: Vec<_> = (0..accepts.len()).collect();
        by_sent.sort_by_key(|index| accepts[*index].sent);
        let mut over = by_decided.iter().peekable();
        let mut highest: Option<&Accept<'_>> = None;
        for index in by_sent {
            let accept = &accepts[index];
            while let Some(earlier) = over.next_if(|earlier| accepts[**earlier].decided < accept.sent) {
                let earlier = &accepts[*earlier];
                if highest.is_none_or(|highest| earlier.generation > highest.generation) {
                    highest = Some(earlier);
                }
            }
            let Some(highest) = highest else { continue };
            let other_secret = accept.generation == highest.generation && accept.secret != highest.secret;
            if accept.generation < highest.generation || other_secret {
                let (older, newer) = (accept.generation, highest.generation);
                findings.push(Finding {
                    property: Property::WentBack,
                    at: accept.decided,
                    story: format!("generation {older} after {newer}: {:?}", accept.decision),
                });
            }
        }
    }
}

/// Nor does it accept again what it has first accepted and then called invalid: it has seen the end of that (rule C3).
pub(super) fn coming_back(known: &Known<'_>, findings: &mut Vec<Finding>) {
    let mut of_tokens: HashMap<(Process, WebConfigId, SecretName), Vec<&Decision>> = HashMap::new();
    for decision in &known.decisions {
        if matches!(decision.answer, Answer::Accepted | Answer::InvalidToken) {
            let Decision { process, token, .. } = **decision;
            of_tokens.entry((process, token.web_config, token.secret)).or_default().push(decision);
        }
    }
    for decisions in of_tokens.values() {
        let of = |answer| decisions.iter().filter(move |decision| decision.answer == answer);
        let accepted = of(Answer::Accepted).map(|decision| decision.decided).min();
        let Some(accepted) = accepted else { continue };
        let after = of(Answer::InvalidToken).filter(|refusal| refusal.sent > accepted);
        let Some(refused) = after.map(|refusal| refusal.decided).min() else { continue };
        for again in of(Answer::Accepted).filter(|again| again.sent > refused) {
            let story = format!("accepted, called invalid at {refused}, accepted again: {again:?}");
            findings.push(Finding { property: Property::WentBack, at: again.decided, story });
        }
    }
}
