//! What came of it, as Markdown.

use std::fmt::Write as _;

use crate::attacks::Family;
use crate::run::Line;

const FAMILIES: [(Family, &str); 6] = [
    (Family::Smuggling, "Request smuggling over HTTP/1.1"),
    (Family::Limits, "What is too large"),
    (Family::Paths, "Paths"),
    (Family::Downgrade, "HTTP/2 turned into HTTP/1.1"),
    (Family::Denial, "HTTP/2 that keeps a server busy"),
    (Family::Slow, "Slow, and many"),
];

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
    let good: usize = lines.iter().map(|line| line.service.count).sum();
    let failed: usize = lines.iter().map(|line| line.service.failures.len()).sum();
    let _ = writeln!(
        text,
        "{name}: {} attacks, {found} with findings; {good} good requests, {failed} failed",
        lines.len()
    );
    text
}

/// All of it, in one table for each kind of attack.
#[must_use]
pub fn markdown(name: &str, lines: &[Line]) -> String {
    let mut text = format!("## {name}\n");
    for (family, title) in FAMILIES {
        let of_it: Vec<&Line> = lines.iter().filter(|line| line.family == family).collect();
        if of_it.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "\n### {title}\n\n| attack | sent | client saw | upstream saw | good p50 / p99 ms, failed of | \
             memory peak MiB (before) | verdict |\n| --- | --- | --- | --- | --- | --- | --- |"
        );
        for line in of_it {
            let (outcome, service) = (&line.outcome, &line.service);
            let memory = line
                .memory
                .map_or_else(|| "?".to_owned(), |(peak, start)| format!("{} ({})", peak >> 20, start >> 20));
            let verdict = match outcome.findings.first() {
                None => "ok".to_owned(),
                Some(finding) => format!("**finding**: {}", cell(finding, 200)),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {:.1} / {:.1}, {} of {} | {memory} | {verdict} |",
                cell(&line.name, 80),
                cell(&outcome.sent, 100),
                cell(&outcome.client, 400),
                cell(&outcome.upstream, 120),
                service.p50,
                service.p99,
                service.failures.len(),
                service.count,
            );
        }
    }
    text
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
