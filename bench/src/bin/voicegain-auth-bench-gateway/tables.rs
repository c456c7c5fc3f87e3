//! The tables, in Markdown, and the raw figures.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::load::Protocol;
use crate::measure::{Speed, Turn};
use crate::proxies::{BARE, GATE, GATEWAY, HAPROXY, HAPROXY_EXP, HAPROXY_JWT};
use crate::sample::{Estimate, Role, Samples};

/// A figure in nanoseconds, shown in microseconds.
fn micros(Estimate { value, low, high }: Estimate) -> String {
    let [value, low, high] = [value, low, high].map(|ns| ns / 1e3);
    format!("{value:.2} ({low:.2} to {high:.2})")
}

fn ratio(Estimate { value, low, high }: Estimate) -> String {
    format!("{value:.2} ({low:.2} to {high:.2})")
}

/// What processor time requests take, and what of it tokens do.
pub(crate) fn costs(title: &str, samples: &Samples) -> String {
    let mut text = format!(
        "### processor time per request: {title}\n\n\
         | | µs per request | middle half | over its bare |\n| --- | ---: | --- | --- |\n"
    );
    let find = |name: &str| samples.contenders.iter().position(|(other, _)| *other == name);
    let bare_of = |name: &str| find(if name.starts_with(HAPROXY) { HAPROXY } else { BARE });
    for (who, (name, role)) in samples.contenders.iter().enumerate() {
        let spread = samples.spread(who);
        let [median, lower, upper] = [spread.median, spread.lower, spread.upper].map(|ns| ns / 1e3);
        let over = match bare_of(name) {
            Some(bare) if *role != Role::Bare => micros(samples.difference(who, bare)),
            _ => "–".to_owned(),
        };
        let _ = writeln!(text, "| {name} | {median:.2} | {lower:.2} to {upper:.2} | {over} |");
    }
    text.push('\n');
    let between = |who, than| Some(micros(samples.difference(find(who)?, find(than)?)));
    if let Some(tokens) = between(GATEWAY, GATE) {
        let _ = writeln!(text, "Of the gateway's, what comes behind its gate: {tokens} µs.");
    }
    for peer in [HAPROXY_JWT, HAPROXY_EXP] {
        if let (Some(ours), Some(bare), Some(peer), Some(its_bare)) =
            (find(GATEWAY), find(BARE), find(peer), find(HAPROXY))
        {
            let times = |round: &[f64]| (round[ours] - round[bare]) / (round[peer] - round[its_bare]);
            let (name, _) = samples.contenders[peer];
            let times = ratio(samples.estimate(times));
            let _ = writeln!(text, "The gateway's over its bare is so many times that of {name}: {times}.");
        }
    }
    text
}

/// How fast each is.
pub(crate) fn speeds(protocol: Protocol, cells: &[(u32, Vec<Speed>)]) -> String {
    let mut text = format!(
        "### speed over {}: one long-lived token\n\n\
         | connections | | requests per second | p50, ms | p99, ms | µs of processor time per request |\n\
         | ---: | --- | --- | ---: | ---: | ---: |\n",
        protocol.name()
    );
    for (connections, speeds) in cells {
        for speed in speeds {
            let rate = speed.estimate(|turn| turn.served.rate);
            let millis = |of: fn(&Turn) -> f64| speed.estimate(of).value / 1e3;
            let _ = writeln!(
                text,
                "| {connections} | {} | {:.0} ({:.0} to {:.0}) | {:.2} | {:.2} | {:.1} |",
                speed.name,
                rate.value,
                rate.low,
                rate.high,
                millis(|turn| turn.served.p50),
                millis(|turn| turn.served.p99),
                millis(|turn| turn.cost),
            );
        }
    }
    text
}

impl Speed {
    fn estimate(&self, of: impl Fn(&Turn) -> f64) -> Estimate {
        Estimate::of(self.rounds.iter().map(of).collect())
    }
}

/// Every figure, for other programs.
pub(crate) fn raw_costs(title: &str, samples: &Samples) -> Value {
    let contenders: Vec<Value> = samples
        .contenders
        .iter()
        .enumerate()
        .map(|(who, (name, role))| {
            let rounds: Vec<f64> = samples.rounds.iter().map(|round| round[who].round()).collect();
            json!({ "name": name, "role": role.name(), "median": samples.spread(who).median, "rounds": rounds })
        })
        .collect();
    json!({ "name": title, "unit": "ns of processor time per request", "contenders": contenders })
}

/// The same for speed.
pub(crate) fn raw_speeds(protocol: Protocol, cells: &[(u32, Vec<Speed>)]) -> Value {
    let row = |Turn { served, cost }: &Turn| json!([served.rate, served.p50, served.p99, cost]);
    let rows: Vec<Value> = cells
        .iter()
        .flat_map(|(connections, speeds)| speeds.iter().map(move |speed| (connections, speed)))
        .map(|(connections, speed)| {
            let rounds: Vec<Value> = speed.rounds.iter().map(row).collect();
            json!({ "name": speed.name, "connections": connections, "rounds": rounds })
        })
        .collect();
    json!({
        "name": protocol.name(),
        "columns": ["requests per second", "p50, µs", "p99, µs", "ns of processor time per request"],
        "rows": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_set_against_its_own_bare_proxy() {
        let samples = Samples {
            contenders: vec![
                (BARE, Role::Bare),
                (GATE, Role::Presence),
                (GATEWAY, Role::Ours),
                (HAPROXY, Role::Bare),
                (HAPROXY_JWT, Role::Peer),
            ],
            rounds: vec![vec![40_000.0, 41_000.0, 44_000.0, 20_000.0, 22_000.0]; 3],
        };
        let text = costs("a token", &samples);
        assert!(
            text.contains("| voicegain-gateway | 44.00 | 44.00 to 44.00 | 4.00 (4.00 to 4.00) |"),
            "{text}"
        );
        assert!(
            text.contains("| HAProxy, jwt_verify | 22.00 | 22.00 to 22.00 | 2.00 (2.00 to 2.00) |"),
            "{text}"
        );
        assert!(text.contains("behind its gate: 3.00 (3.00 to 3.00) µs"), "{text}");
        assert!(text.contains("that of HAProxy, jwt_verify: 2.00 (2.00 to 2.00)."), "{text}");
        assert!(!text.contains(HAPROXY_EXP), "{text}");
    }
}
