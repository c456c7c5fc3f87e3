//! The tables, in Markdown, and the raw figures.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use crate::abuse::Kind;
use crate::sample::{CpuClock, Estimate, Floor, Plan, Role, Samples, Spread};
use crate::scale::Filled;
use crate::threads::Threads;

/// Nanoseconds.
struct Ns(f64);

impl fmt::Display for Ns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 100.0 { write!(f, "{:.1}", self.0) } else { write!(f, "{:.0}", self.0) }
    }
}

fn ns(estimate: Estimate) -> String {
    format!("{} ({} to {})", Ns(estimate.value), Ns(estimate.low), Ns(estimate.high))
}

fn spread(spread: Spread) -> String {
    format!("{} | {} to {}", Ns(spread.median), Ns(spread.lower), Ns(spread.upper))
}

fn ratio(estimate: Estimate) -> String {
    format!("{:.3} ({:.3} to {:.3})", estimate.value, estimate.low, estimate.high)
}

/// What a layer costs on top of the bare service.
pub(crate) fn layers(title: &str, samples: &Samples) -> String {
    let mut text = format!(
        "### {title}\n\n| | ns per request | middle half | over bare | ours is so many times it |\n\
         | --- | ---: | --- | --- | --- |\n"
    );
    let bare = samples.with_role(|role| role == Role::Bare)[0];
    let ours = samples.with_role(|role| role == Role::Ours)[0];
    for (who, (name, role)) in samples.contenders.iter().enumerate() {
        let over = if who == bare { "–".to_owned() } else { ns(samples.difference(who, bare)) };
        let times = match role {
            Role::Peer => ratio(samples.ratio_of_overheads(ours, who, bare)),
            _ => "–".to_owned(),
        };
        let _ = writeln!(text, "| {name} | {} | {over} | {times} |", spread(samples.spread(who)));
    }
    let cost = |peer: &usize| samples.difference(*peer, bare).value;
    let peers = samples.with_role(|role| role == Role::Peer);
    if let Some(best) = peers.into_iter().min_by(|one, other| cost(one).total_cmp(&cost(other))) {
        for ours in samples.with_role(|role| role == Role::Ours) {
            let times = ratio(samples.ratio_of_overheads(ours, best, bare));
            let [ours, best] = [ours, best].map(|who| samples.contenders[who].0);
            let _ = writeln!(text, "\n{ours} against the best peer, {best}: {times}.");
        }
    }
    text
}

/// What a refusal costs the whole process.
pub(crate) fn refusals(title: &str, samples: &Samples) -> String {
    let mut text =
        format!("### {title}\n\n| | ns per refused request | middle half |\n| --- | ---: | --- |\n");
    for (who, (name, _)) in samples.contenders.iter().enumerate() {
        let _ = writeln!(text, "| {name} | {} |", spread(samples.spread(who)));
    }
    text
}

/// What a verify costs, against the peer and against the sum of its floors.
pub(crate) fn verifies(title: &str, samples: &Samples, compares: bool) -> String {
    let mut text = format!(
        "### {title}\n\n| | ns | middle half | ours is so many times it |\n| --- | ---: | --- | --- |\n"
    );
    let ours = samples.with_role(|role| role == Role::Ours)[0];
    for (who, (name, role)) in samples.contenders.iter().enumerate() {
        let times = if *role == Role::Peer { ratio(samples.ratio(ours, who)) } else { "–".to_owned() };
        let _ = writeln!(text, "| {name} | {} | {times} |", spread(samples.spread(who)));
    }
    let mut sum = |name: &str, floors: Vec<usize>| {
        let total = |round: &[f64]| floors.iter().map(|who| round[*who]).sum::<f64>();
        let sum = Spread::of(samples.rounds.iter().map(|round| total(round)).collect());
        let times = ratio(samples.estimate(|round| round[ours] / total(round)));
        let _ = writeln!(text, "| {name} | {} | {times} |", spread(sum));
    };
    let every = |role| role == Role::Floor(Floor::Every);
    if compares {
        sum("sum of the floors, compared without a MAC", samples.with_role(every));
    }
    let by_mac = |role| every(role) || role == Role::Floor(Floor::ByMac);
    sum("sum of the floors, with the MAC", samples.with_role(by_mac));
    text
}

/// How two threads do on one web config.
pub(crate) fn threads(title: &str, threads: &Threads) -> String {
    let names = ["one thread", "two threads, one cache", "two threads, a cache each"];
    let mut text = format!(
        "### {title}\n\n| | verifies per second of processor time | times one thread |\n| --- | --- | --- |\n"
    );
    for (of, name) in names.into_iter().enumerate() {
        let rate = threads.rate(of);
        let [value, low, high] = [rate.value, rate.low, rate.high].map(|rate| rate / 1e6);
        let times = if of == 0 { "–".to_owned() } else { ratio(threads.speedup(of)) };
        let _ = writeln!(text, "| {name} | {value:.3} million ({low:.3} to {high:.3}) | {times} |");
    }
    text
}

/// What each costs, and how many times the first.
pub(crate) fn against_the_first(title: &str, samples: &Samples) -> String {
    let mut text =
        format!("### {title}\n\n| | ns | middle half | times the first |\n| --- | ---: | --- | --- |\n");
    for (who, (name, _)) in samples.contenders.iter().enumerate() {
        let times = if who == 0 { "–".to_owned() } else { ratio(samples.ratio(who, 0)) };
        let _ = writeln!(text, "| {name} | {} | {times} |", spread(samples.spread(who)));
    }
    text
}

/// A refusal that costs so many times a good request is marked.
const DEAR: f64 = 3.0;

/// What refusals cost against good requests of the same size.
pub(crate) fn abuse(measured: &[(Kind, Samples)]) -> String {
    let mut text = String::from(
        "### refused, against a good request of the same size\n\n\
         | | refused as | bytes | ns | the good one, ns | times the good one |\n\
         | --- | --- | ---: | ---: | ---: | --- |\n",
    );
    for (kind, samples) in measured {
        let good = samples.with_role(|role| role == Role::Peer)[0];
        for who in samples.with_role(|role| role == Role::Ours) {
            let times = samples.ratio(who, good);
            let (name, _) = samples.contenders[who];
            let many = name.strip_prefix("bad").unwrap_or(name);
            let mark = if times.value > DEAR { "**" } else { "" };
            let _ = writeln!(
                text,
                "| {}{many} | `{}` | {} | {} | {} | {mark}{}{mark} |",
                kind.name,
                kind.reason,
                kind.bytes(),
                Ns(samples.spread(who).median),
                Ns(samples.spread(good).median),
                ratio(times),
            );
        }
    }
    text
}

/// What each cached web config takes of memory.
pub(crate) fn memory(title: &str, filled: &[Filled]) -> String {
    let mut text = format!(
        "### {title}\n\n| web configs | known to the feed, bytes | cached, bytes | both | resident | filled in |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for Filled { scale, memory, .. } in filled {
        let each = |bytes: isize| bytes / scale.count as isize;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.2} s |",
            scale.count,
            each(memory.known),
            each(memory.cached),
            each(memory.known + memory.cached),
            each(memory.resident),
            memory.took.as_secs_f64(),
        );
    }
    text
}

/// The same, for other programs.
pub(crate) fn raw_memory(name: &str, filled: &[Filled]) -> Value {
    let rows: Vec<Value> = filled
        .iter()
        .map(|Filled { scale, memory, .. }| {
            json!({
                "web configs": scale.count,
                "known to the feed": memory.known,
                "cached": memory.cached,
                "resident": memory.resident,
            })
        })
        .collect();
    json!({ "name": name, "unit": "bytes, all web configs together", "rows": rows })
}

/// Every figure of a measurement, for other programs.
pub(crate) fn raw(name: &str, plan: Plan, samples: &Samples) -> Value {
    let contenders: Vec<Value> = samples
        .contenders
        .iter()
        .enumerate()
        .map(|(who, (name, role))| {
            // A tenth of a nanosecond is finer than any clock here.
            let rounds: Vec<f64> =
                samples.rounds.iter().map(|round| (round[who] * 10.0).round() / 10.0).collect();
            json!({
                "name": name,
                "role": role.name(),
                "median": samples.spread(who).median,
                "rounds": rounds,
            })
        })
        .collect();
    let clock = match plan.clock {
        CpuClock::Thread => "processor time of the thread",
        CpuClock::Process => "processor time of the process",
    };
    json!({ "name": name, "unit": "ns per operation", "clock": clock, "contenders": contenders })
}

/// The same for threads.
pub(crate) fn raw_threads(name: &str, threads: &Threads) -> Value {
    json!({
        "name": name,
        "unit": "verifies per second of processor time",
        "columns": ["one thread", "two threads, one cache", "two threads, a cache each"],
        "rounds": threads.rounds,
    })
}
