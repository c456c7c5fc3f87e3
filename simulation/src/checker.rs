//! What must hold of every history, whoever recorded it.
//!
//! The checker knows nothing but the history and the promise. Where the history leaves open what happened (a change whose
//! outcome is unknown, two changes at once), it counts only what must have happened; so every finding is one.

mod ends;
mod findings;

use std::collections::HashMap;

use voicegain_auth_core::WebConfigId;

use self::ends::WebConfig;
use crate::history::{
    Answer, Change, Decision, Event, Exchange, Fault, History, Kind, Process, Rollback, Target, Time,
};

/// What was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// `max_revocation_delay`, rule C1.
    pub bound: Time,
    /// For how long after a fault, on top of the bound, requests may still be told to come later.
    pub grace: Time,
    /// How much later than the bound an exchange may end: what ending takes, and how often clocks are looked at.
    pub exchange_slack: Time,
}

/// What a finding breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Property {
    /// C1: an accept that followed an old record after the bound.
    LateAccept,
    /// W3: a minted token was accepted after the bound of its minter's end.
    MintedOutlives,
    /// C1: the origins of an old record were followed after the bound.
    LateOrigin,
    /// C3: a process accepted an older generation after a newer one.
    WentBack,
    /// C7: a token was called invalid that was the newest.
    RefusedNewest,
    /// C6: a 503 without a fault.
    NeedlessUnavailable,
    /// C8: an exchange outlived its token.
    LateExchange,
    /// V3: a token was accepted whose secret nobody had set.
    NeverMade,
}

/// Something that must not have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it breaks.
    pub property: Property,
    /// When.
    pub at: Time,
    /// The whole story in one line.
    pub story: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub changes: u64,
    pub unknown_outcomes: u64,
    pub rollbacks: u64,
    pub faults: u64,
    pub decisions: u64,
    pub accepted: u64,
    pub invalid: u64,
    pub origin_refused: u64,
    pub unavailable: u64,
    pub exchanges: u64,
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.changes += other.changes;
        self.unknown_outcomes += other.unknown_outcomes;
        self.rollbacks += other.rollbacks;
        self.faults += other.faults;
        self.decisions += other.decisions;
        self.accepted += other.accepted;
        self.invalid += other.invalid;
        self.origin_refused += other.origin_refused;
        self.unavailable += other.unavailable;
        self.exchanges += other.exchanges;
    }
}

/// What came of checking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Nothing, if the promise was kept.
    pub findings: Vec<Finding>,
    /// How much was looked at.
    pub counts: Counts,
}

/// Checks a history against the promise.
#[must_use]
pub fn check(history: &History, promise: &Promise) -> Report {
    let known = Known::of(history);
    let mut report = Report { findings: Vec::new(), counts: known.counts(history) };
    let web_configs = known.web_configs(promise);
    let nothing = WebConfig::default();
    for decision in &known.decisions {
        let web_config = web_configs.get(&decision.token.web_config).unwrap_or(&nothing);
        findings::of_decision(&known, promise, web_config, decision, &mut report.findings);
    }
    for exchange in &known.exchanges {
        let web_config = web_configs.get(&exchange.token.web_config).unwrap_or(&nothing);
        findings::of_exchange(&known, promise, web_config, exchange, &mut report.findings);
    }
    findings::going_back(&known, &web_configs, &mut report.findings);
    findings::coming_back(&known, &mut report.findings);
    report.findings.sort_by_key(|finding| finding.at);
    report
}

/// The history, sorted by kind.
struct Known<'a> {
    changes: Vec<&'a Change>,
    decisions: Vec<&'a Decision>,
    exchanges: Vec<&'a Exchange>,
    rollbacks: Vec<&'a Rollback>,
    faults: Vec<&'a Fault>,
    end: Time,
}

impl<'a> Known<'a> {
    fn of(history: &'a History) -> Self {
        let mut known = Self {
            changes: Vec::new(),
            decisions: Vec::new(),
            exchanges: Vec::new(),
            rollbacks: Vec::new(),
            faults: Vec::new(),
            end: 0,
        };
        for event in &history.events {
            match event {
                Event::Change(change) => known.changes.push(change),
                Event::Decision(decision) => known.decisions.push(decision),
                Event::Exchange(exchange) => known.exchanges.push(exchange),
                Event::Rollback(rollback) => known.rollbacks.push(rollback),
                Event::Fault(fault) => known.faults.push(fault),
                Event::End { at } => known.end = known.end.max(*at),
            }
        }
        known
    }

    /// The changes of each web config, and what follows from them.
    fn web_configs(&self, promise: &Promise) -> HashMap<WebConfigId, WebConfig> {
        let mut of_each: HashMap<WebConfigId, Vec<&Change>> = HashMap::new();
        for change in &self.changes {
            if let Target::WebConfig(id) = change.target {
                of_each.entry(id).or_default().push(change);
            }
        }
        let bulk: Vec<_> = self.changes.iter().filter(|change| change.kind == Kind::End).copied().collect();
        let all = of_each.into_iter();
        all.map(|(id, own)| (id, WebConfig::of(&own, &bulk, &self.rollbacks, promise.bound))).collect()
    }

    /// When a process has run for so long since `at`, not counting while it was stopped: timers do not run then either.
    fn has_run(&self, process: Process, at: Time, mut long: Time) -> Time {
        let of_process = |fault: &&&Fault| fault.stopped && fault.process.is_none_or(|of| of == process);
        let mut stops: Vec<_> =
            self.faults.iter().filter(of_process).map(|fault| (fault.from, fault.to)).collect();
        stops.sort_unstable();
        let mut now = at;
        for (from, to) in stops.into_iter().filter(|(_, to)| *to > at) {
            let ran = from.saturating_sub(now);
            if ran >= long {
                break;
            }
            long -= ran;
            now = now.max(to);
        }
        now + long
    }

    fn counts(&self, history: &History) -> Counts {
        let answered = |answer| count(self.decisions.iter().filter(|decision| decision.answer == answer));
        let unknown = |event: &&Event| match event {
            Event::Change(change) => change.outcome == crate::history::Outcome::Unknown,
            _ => false,
        };
        Counts {
            changes: count(self.changes.iter()),
            unknown_outcomes: count(history.events.iter().filter(unknown)),
            rollbacks: count(self.rollbacks.iter()),
            faults: count(self.faults.iter()),
            decisions: count(self.decisions.iter()),
            accepted: answered(Answer::Accepted),
            invalid: answered(Answer::InvalidToken),
            origin_refused: answered(Answer::OriginNotAllowed),
            unavailable: answered(Answer::Unavailable),
            exchanges: count(self.exchanges.iter()),
        }
    }
}

fn count(items: impl Iterator) -> u64 {
    items.fold(0, |count, _| count + 1)
}
