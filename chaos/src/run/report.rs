//! What is said of a run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use simulation::checker::{Promise, Report};
use simulation::history::{Answer, Event, History, Kind, Outcome, SecretName, Target, Time};
use voicegain_auth_core::WebConfigId;

use crate::store::StoreKind;

/// What the history does not say.
pub struct Summary {
    pub(crate) kind: StoreKind,
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    pub(crate) promise: Promise,
    pub(crate) recovery: Result<Duration, String>,
}

const SECOND: Time = 1_000_000_000;

/// The value below which this share of the sorted values lie.
#[must_use]
pub(crate) fn percentile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The whole report, in Markdown.
pub fn write(summary: &Summary, history: &History, checked: &Report) -> String {
    let mut text = String::new();
    let counts = checked.counts;
    let Summary { kind, seed, minutes, promise, recovery } = summary;
    let _ = writeln!(text, "# Three gateways on {kind:?} under faults\n");
    let _ = writeln!(
        text,
        "{minutes} minutes, seed {seed}, `max_revocation_delay` {} s.\n",
        promise.bound / SECOND
    );
    let _ = writeln!(text, "| | |\n| --- | --- |");
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "| {name} | {value} |");
    };
    row("decisions", counts.decisions.to_string());
    row("of them accepted", counts.accepted.to_string());
    row("invalid_token", counts.invalid.to_string());
    row("origin_not_allowed", counts.origin_refused.to_string());
    row("temporarily_unavailable (503)", counts.unavailable.to_string());
    let changes = changes(history);
    row("changes returned", changes.0.to_string());
    row("of unknown outcome", changes.1.to_string());
    row("that were refused", changes.2.to_string());
    row("long exchanges", counts.exchanges.to_string());
    let of = |property: &str| {
        checked
            .findings
            .iter()
            .filter(|finding| format!("{:?}", finding.property) == property)
            .count()
            .to_string()
    };
    row("**accepts past the bound**", of("LateAccept"));
    row("minted tokens accepted past it", of("MintedOutlives"));
    row("old origins followed past it", of("LateOrigin"));
    row("older accepted after newer", of("WentBack"));
    row("newest called invalid", of("RefusedNewest"));
    row("503 without a fault", of("NeedlessUnavailable"));
    row("exchanges that outlived their token", of("LateExchange"));
    row("accepts of tokens nobody made", of("NeverMade"));
    let (all, any) = unavailable_seconds(history);
    row("seconds in which a gateway answered 503, of gateway-seconds watched", format!("{any} of {all}"));
    for (name, delays) in delays(history, promise.bound) {
        let figure = |share| format!("{:.1} ms", percentile(&delays, share) as f64 / 1e6);
        let (p50, p99, max) = (figure(0.5), figure(0.99), figure(1.0));
        row(
            &format!("last accept after Regenerate returned, {name}"),
            format!("n {}, p50 {p50}, p99 {p99}, max {max}", delays.len()),
        );
    }
    match recovery {
        Ok(after) => row("after the last fault all is well within", format!("{:.1} s", after.as_secs_f64())),
        Err(problem) => row("**after the last fault all is not well**", problem.clone()),
    }
    let _ = writeln!(text, "\n| fault | times | seconds in all |\n| --- | --- | --- |");
    for (what, (times, nanos)) in faults(history) {
        let _ = writeln!(text, "| {what} | {times} | {:.1} |", nanos as f64 / SECOND as f64);
    }
    if !checked.findings.is_empty() {
        let _ = writeln!(text, "\n## Findings\n");
        for finding in checked.findings.iter().take(50) {
            let _ = writeln!(
                text,
                "- {:.3} s, {:?}: {}",
                finding.at as f64 / SECOND as f64,
                finding.property,
                finding.story
            );
        }
    }
    text
}

fn changes(history: &History) -> (u64, u64, u64) {
    let mut counts = (0, 0, 0);
    for event in &history.events {
        let Event::Change(change) = event else { continue };
        match change.outcome {
            Outcome::Done => counts.0 += 1,
            Outcome::Unknown => counts.1 += 1,
            Outcome::Failed => counts.2 += 1,
        }
    }
    counts
}

fn faults(history: &History) -> BTreeMap<String, (u64, Time)> {
    let mut faults: BTreeMap<String, (u64, Time)> = BTreeMap::new();
    for event in &history.events {
        if let Event::Fault(fault) = event {
            let entry = faults.entry(fault.what.to_string()).or_default();
            entry.0 += 1;
            entry.1 += fault.to.saturating_sub(fault.from);
        }
    }
    faults
}

/// How many seconds of how many gateways were watched, and in how many a 503 was answered.
fn unavailable_seconds(history: &History) -> (usize, usize) {
    let (mut all, mut any) = (BTreeSet::new(), BTreeSet::new());
    for event in &history.events {
        let Event::Decision(decision) = event else { continue };
        let second = (decision.process, decision.decided / SECOND);
        all.insert(second);
        if decision.answer == Answer::Unavailable {
            any.insert(second);
        }
    }
    (all.len(), any.len())
}

/// For each Regenerate that returned: how long after that the last request was sent that the token before it was accepted for,
/// anywhere. With a fault near it and without.
fn delays(history: &History, bound: Time) -> [(&'static str, Vec<Time>); 2] {
    let mut last_accept: HashMap<SecretName, Time> = HashMap::new();
    let mut secrets: HashMap<WebConfigId, Vec<(Time, SecretName, bool)>> = HashMap::new();
    let mut faults = Vec::new();
    for event in &history.events {
        match event {
            Event::Decision(decision) if decision.answer == Answer::Accepted && !decision.token.minted => {
                let last = last_accept.entry(decision.token.secret).or_default();
                *last = decision.sent.max(*last);
            }
            Event::Change(change) if change.outcome == Outcome::Done => {
                let Target::WebConfig(id) = change.target else { continue };
                let returned = change.returned.unwrap_or(Time::MAX);
                match change.kind {
                    Kind::Create { secret, .. } => {
                        secrets.entry(id).or_default().push((returned, secret, false))
                    }
                    Kind::Regenerate { secret, .. } => {
                        secrets.entry(id).or_default().push((returned, secret, true))
                    }
                    _ => {}
                }
            }
            Event::Fault(fault) => faults.push((fault.from, fault.to)),
            _ => {}
        }
    }
    let (mut calm, mut troubled) = (Vec::new(), Vec::new());
    for of_one in secrets.values_mut() {
        of_one.sort_unstable();
        for pair in of_one.windows(2) {
            let [(_, before, _), (returned, _, true)] = pair else { continue };
            let Some(last) = last_accept.get(before) else { continue };
            let delay = last.saturating_sub(*returned);
            let near = faults.iter().any(|(from, to)| *from <= returned + bound && to + bound >= *returned);
            if near { troubled.push(delay) } else { calm.push(delay) }
        }
    }
    calm.sort_unstable();
    troubled.sort_unstable();
    [("no fault near", calm), ("a fault near", troubled)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occur() {
        let values: Vec<Time> = (1..=100).collect();
        assert_eq!(percentile(&values, 0.5), 50);
        assert_eq!(percentile(&values, 0.99), 99);
        assert_eq!(percentile(&values, 1.0), 100);
        assert_eq!(percentile(&[7], 0.5), 7);
        assert_eq!(percentile::<Time>(&[], 0.5), 0);
    }
}
