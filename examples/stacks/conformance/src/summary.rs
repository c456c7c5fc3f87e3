//! The table for people, line by line as the project's README has it: what was run, how the layer is added, how it went.

use std::collections::BTreeMap;

use conformance::report::StackReport;
use serde::Deserialize;

use crate::marks::Known;

/// How a stack came out.
#[derive(Debug)]
pub struct Row {
    /// The crate, as `Cargo.lock` has it.
    pub package: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// How the layer is added, in a few words.
    pub how: &'static str,
    /// What came of it, the marked cases taken out.
    pub report: StackReport,
    /// What became of its failures that are known.
    pub known: Known,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// What stands above the rows.
pub const HEAD: [&str; 2] =
    ["| stack | version | how it is added | cases passed |", "| --- | --- | --- | --- |"];

/// The rows in Markdown, with the versions out of the text of a `Cargo.lock`.
///
/// # Errors
/// If it is none, or lacks one of the crates.
pub fn lines(rows: &[Row], lock: &str) -> Result<Vec<String>, String> {
    let lock: Lock = toml::from_str(lock).map_err(|error| format!("Cargo.lock: {error}"))?;
    let versions: BTreeMap<_, _> =
        lock.package.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    let line = |row: &Row| {
        let Row { package, name, how, report, known } = row;
        let version = versions.get(package).ok_or_else(|| format!("Cargo.lock has no {package}"))?;
        let version: Vec<_> = version.split('.').take(2).collect();
        let (version, cases) = (version.join("."), cases(name, report, known));
        Ok(format!("| {name} | {version} | {how} | {cases} |"))
    };
    rows.iter().map(line).collect()
}

/// How many cases passed, and what became of those that did not.
fn cases(name: &str, report: &StackReport, known: &Known) -> String {
    let count = report.count();
    let mut text = thousands(count.passed);
    let Known { marked, unseen, .. } = known;
    if marked + unseen > 0 {
        text += &format!("; {marked} answered otherwise, and {unseen} accepted that should be refused, ");
        text += &format!("as {name} hides what they are about");
    }
    if count.failed > 0 {
        text += &format!("; **{} failed**", thousands(count.failed));
    }
    text
}

fn thousands(number: usize) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1_000), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use conformance::report::{CaseReport, Outcome};
    use conformance::stack::Variant;

    use super::*;

    const LOCK: &str = "[[package]]\nname = \"rocket\"\nversion = \"0.5.2\"\n";

    fn row(outcomes: Vec<Outcome>, known: Known) -> Row {
        let case = |outcome| CaseReport {
            id: "V1/x".to_owned(),
            variant: Variant::Default,
            rules: Vec::new(),
            title: String::new(),
            outcome,
            miss: None,
        };
        let cases = outcomes.into_iter().map(case).collect();
        let report = StackReport { stack: "rocket".to_owned(), cases, seconds: 1.5 };
        Row { package: "rocket", name: "Rocket", how: "by hand", report, known }
    }

    #[test]
    fn says_what_passed_and_what_did_not() {
        let rows = [
            row(vec![Outcome::Passed(None); 1_122], Known::default()),
            row(
                vec![Outcome::Passed(None), Outcome::Failed(String::new())],
                Known { marked: 3, unseen: 2, unneeded: Vec::new() },
            ),
        ];
        let lines = lines(&rows, LOCK).unwrap();
        assert_eq!(lines[0], "| Rocket | 0.5 | by hand | 1,122 |");
        assert_eq!(
            lines[1],
            "| Rocket | 0.5 | by hand | 1; 3 answered otherwise, and 2 accepted that should be refused, as Rocket \
             hides what they are about; **1 failed** |"
        );
        assert!(super::lines(&rows, "package = []").is_err());
    }
}
