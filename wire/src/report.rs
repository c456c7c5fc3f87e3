//! What came of it, as Markdown.

use std::fmt::Write as _;

use crate::attacks::Family;
use crate::good::Service;
use crate::memory::Memory;
use crate::run::Line;

const FAMILIES: [(Family, &str); 6] = [
    (Family::Smuggling, "Request smuggling over HTTP/1.1"),
    (Family::Limits, "What is too large"),
    (Family::Paths, "Paths"),
    (Family::Downgrade, "HTTP/2 turned into HTTP/1.1"),
    (Family::Denial, "HTTP/2 that keeps a server busy"),
    (Family::Slow, "Slow, and many"),
];

/// What a report begins with. `built` says of each binary how it was built.
#[must_use]
pub fn title(built: &[String]) -> String {
    format!(
        "# The attacks, one by one\n\nWritten by `cargo xtask wire --report docs/wire-attacks.md`; [wire.md](wire.md) says what they \
         are and what was found. Built as: {}. A column of good requests says p99 where there were a hundred, and the slowest \
         where there were fewer.\n\n",
        built.join(", ")
    )
}

/// How many findings of one attack are told.
const SHOWN: usize = 2;

/// One line for each attack that has a finding, and how many there were.
#[must_use]
pub fn summary(name: &str, lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        for finding in line.outcome.findings.iter().take(SHOWN) {
            let shown: String = finding.chars().take(600).collect();
            let _ = writeln!(text, "{name}: {}: {shown}", line.name);
        }
        let more = line.outcome.findings.len().saturating_sub(SHOWN);
        if more > 0 {
            let _ = writeln!(text, "{name}: {}: and {more} more", line.name);
        }
    }
    let found = lines.iter().filter(|line| !line.outcome.findings.is_empty()).count();
    let skipped = lines.iter().filter(|line| line.outcome.not_applicable.is_some()).count();
    let good: usize = lines.iter().map(|line| line.service.count()).sum();
    let failed: usize = lines.iter().map(|line| line.service.failures.len()).sum();
    let _ = writeln!(
        text,
        "{name}: {} attacks, {skipped} not applicable, {found} with findings; {good} good requests, {failed} failed",
        lines.len()
    );
    text
}

/// A line for each kind of attack.
#[must_use]
pub fn condensed(lines: &[Line]) -> String {
    let mut text = "| kind | attacks | not applicable | reached the upstream | with findings | most memory, MiB (most more \
                    than before) | good requests: worst p50 / worst p99 / slowest, ms | failed of |\n\
                    | --- | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for (family, title) in FAMILIES {
        let of_it = || lines.iter().filter(|line| line.family == family);
        let count = |what: fn(&&Line) -> bool| of_it().filter(what).count();
        if of_it().next().is_none() {
            continue;
        }
        let memory = || of_it().filter_map(|line| line.memory);
        let peak = memory().map(|it| it.peak >> 20).max().unwrap_or_default();
        let more = memory().map(Memory::more).max().unwrap_or_default();
        let worst = |of: fn(&Service) -> f64| of_it().map(|line| of(&line.service)).fold(0.0, f64::max);
        let p99 = of_it().filter_map(|line| line.service.p99()).reduce(f64::max);
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {} | {} | {peak} ({more}) | {:.1} / {} / {:.1} | {} of {} |",
            of_it().count(),
            count(|line| line.outcome.not_applicable.is_some()),
            count(|line| !line.outcome.upstream.starts_with("nothing")),
            count(|line| !line.outcome.findings.is_empty()),
            worst(Service::p50),
            p99.map_or_else(|| "too few".to_owned(), |p99| format!("{p99:.1}")),
            worst(Service::slowest),
            of_it().map(|line| line.service.failures.len()).sum::<usize>(),
            of_it().map(|line| line.service.count()).sum::<usize>(),
        );
    }
    text
}

/// All of it, in one table for each kind of attack.
#[must_use]
pub fn markdown(name: &str, http2: bool, lines: &[Line]) -> String {
    let mut text = format!("## {name}\n\n");
    if !http2 {
        text += "It does not speak HTTP/2: nothing sent as such may come to anything.\n\n";
    }
    text += &condensed(lines);
    for (family, title) in FAMILIES {
        let of_it: Vec<&Line> = lines.iter().filter(|line| line.family == family).collect();
        if of_it.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "\n### {title}\n\n| attack | sent | client saw | upstream saw | good p50 / p99 or slowest ms, failed of | \
             memory peak MiB (before) | verdict |\n| --- | --- | --- | --- | --- | --- | --- |"
        );
        for line in of_it {
            let (outcome, service) = (&line.outcome, &line.service);
            let memory = line
                .memory
                .map_or_else(|| "?".to_owned(), |it| format!("{} ({})", it.peak >> 20, it.before >> 20));
            let verdict = match (outcome.findings.first(), outcome.not_applicable) {
                (Some(finding), _) => format!("**finding**: {}", cell(finding, 200)),
                (None, Some(why)) => format!("not applicable: {why}"),
                (None, None) => "ok".to_owned(),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {}, {} of {} | {memory} | {verdict} |",
                cell(&line.name, 80),
                cell(&outcome.sent, 120),
                cell(&outcome.client, 1_500),
                cell(&outcome.upstream, 120),
                times(service),
                service.failures.len(),
                service.count(),
            );
        }
    }
    text
}

fn times(service: &Service) -> String {
    match service.p99() {
        Some(p99) => format!("{:.1} / p99 {p99:.1}", service.p50()),
        None => format!("{:.1} / slowest {:.1}", service.p50(), service.slowest()),
    }
}

/// A text that fits into a cell, and cannot be taken for anything else.
fn cell(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    let escaped =
        short.escape_debug().to_string().replace("\\\\", "\\").replace("\\\"", "\"").replace("\\'", "'");
    escaped
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('|', "&#124;")
        .replace('`', "'")
        .replace('*', "\\*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_one() {
        assert_eq!(cell("a|b\nc<d`", 100), "a&#124;b\\nc&lt;d'");
        assert_eq!(cell("abcdef", 3), "abc…");
    }
}
