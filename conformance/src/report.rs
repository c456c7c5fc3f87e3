//! Counting, and telling people.

use crate::stack::Variant;
use crate::table::Case;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How a case ended on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it must; by the stack's own parser, if that is named.
    Passed(Option<String>),
    /// Not as it must.
    Failed(String),
    /// It was not run, for this reason. It does not count as passed.
    NotApplicable(String),
}

/// What came instead of what must: for whoever tells a stack's own parser from a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The answer, in a few words: see [`crate::check::brief`].
    pub answer: String,
    /// Whether the step expects to be accepted; nothing, if it expects neither.
    pub accepts: Option<bool>,
    /// Every difference, as a sentence.
    pub differences: Vec<String>,
}

/// One case on one stack under one variant.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The case's id.
    pub id: String,
    /// The settings it ran under.
    pub variant: Variant,
    /// Its rules.
    pub rules: Vec<String>,
    /// Its title.
    pub title: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer that failed it, if one did.
    pub miss: Option<Miss>,
}

impl CaseReport {
    /// How this case ended.
    pub fn new(case: &Case, variant: Variant, outcome: Outcome) -> Self {
        let (id, rules, title) = (case.id.clone(), case.rules.clone(), case.title.clone());
        Self { id, variant, rules, title, outcome, miss: None }
    }
}

/// All cases on one stack.
#[derive(Clone, Debug)]
pub struct StackReport {
    /// The stack's name.
    pub stack: String,
    /// Every case, once for each of its variants.
    pub cases: Vec<CaseReport>,
    /// How long it took.
    pub seconds: f64,
}

/// How many ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// As they must.
    pub passed: usize,
    /// Not as they must.
    pub failed: usize,
    /// Not run.
    pub not_applicable: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed(_) => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::NotApplicable(_) => self.not_applicable += 1,
        }
    }
}

impl StackReport {
    /// How many cases ended how.
    pub fn count(&self) -> Count {
        let mut count = Count::default();
        self.cases.iter().for_each(|case| count.add(&case.outcome));
        count
    }

    /// The failures, the cases a parser answered, what was not run and why, and a table by rule.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let mut rules: BTreeMap<(&str, u32), Count> = BTreeMap::new();
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut parser = Vec::new();
        for case in &self.cases {
            for rule in &case.rules {
                rules.entry(key(rule)).or_default().add(&case.outcome);
            }
            match &case.outcome {
                Outcome::Failed(what) => {
                    let CaseReport { id, title, .. } = case;
                    let rules = case.rules.join(" ");
                    let _ =
                        writeln!(text, "FAILED {id} ({}; {rules}): {title}\n{what}\n", case.variant.name());
                }
                Outcome::NotApplicable(why) => reasons.entry(why).or_default().push(&case.id),
                Outcome::Passed(Some(by)) => parser.push(format!("  {}: {by}", case.id)),
                Outcome::Passed(None) => {}
            }
        }
        if !parser.is_empty() {
            let _ =
                writeln!(text, "{}: answered by the stack's own parser:\n{}", self.stack, parser.join("\n"));
        }
        for (why, ids) in reasons {
            let mut ids = ids;
            ids.dedup();
            let _ = writeln!(text, "{}: not applicable here, {why}: {} cases", self.stack, ids.len());
            let _ = writeln!(text, "  {}", ids.join(" "));
        }
        let _ = writeln!(
            text,
            "\n{:<16} {:<5} {:>5} {:>7} {:>7} {:>15}",
            "stack", "rule", "run", "passed", "failed", "not applicable"
        );
        for ((family, number), count) in rules {
            let rule = if number == 0 { family.to_owned() } else { format!("{family}{number}") };
            let Count { passed, failed, not_applicable } = count;
            let run = passed + failed;
            let _ = writeln!(
                text,
                "{:<16} {rule:<5} {run:>5} {passed:>7} {failed:>7} {not_applicable:>15}",
                self.stack
            );
        }
        let Count { passed, failed, not_applicable } = self.count();
        let _ = writeln!(
            text,
            "{}: {passed} passed, {failed} failed, {not_applicable} not applicable here, in {:.1} s",
            self.stack, self.seconds
        );
        text
    }
}

/// The last line: `N passed, N failed`.
pub fn total(reports: &[StackReport]) -> String {
    let (passed, failed) = reports
        .iter()
        .map(StackReport::count)
        .fold((0, 0), |(passed, failed), count| (passed + count.passed, failed + count.failed));
    format!("{passed} passed, {failed} failed")
}

/// Sorts `V2` before `V10`.
fn key(rule: &str) -> (&str, u32) {
    let at = rule.find(|c: char| c.is_ascii_digit()).unwrap_or(rule.len());
    (&rule[..at], rule[at..].parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: Outcome) -> StackReport {
        let case = CaseReport {
            id: "V1/x".to_owned(),
            variant: Variant::Default,
            rules: vec!["V1".to_owned(), "V10".to_owned()],
            title: "title".to_owned(),
            outcome,
            miss: None,
        };
        StackReport { stack: "s".to_owned(), cases: vec![case], seconds: 0.0 }
    }

    #[test]
    fn what_is_not_run_does_not_count_as_passed() {
        let report = report(Outcome::NotApplicable("no HTTP/2".to_owned()));
        assert_eq!(report.count(), Count { not_applicable: 1, ..Count::default() });
        assert!(report.describe().contains("no HTTP/2: 1 cases\n  V1/x"));
        assert_eq!(total(&[report]), "0 passed, 0 failed");
    }

    #[test]
    fn a_failure_is_told_whole() {
        let report = report(Outcome::Failed("what it was".to_owned()));
        let text = report.describe();
        assert!(text.contains("FAILED V1/x (default; V1 V10): title\nwhat it was"), "{text}");
        assert_eq!(total(&[report]), "0 passed, 1 failed");
    }
}
