//! The rows of the table that a stack answers otherwise than the rules say, before or without any code of ours.
//!
//! `marks.toml` names each of them with the answer that comes. It is checked: another answer fails the run, and so does a
//! mark that is not needed. A mark never makes an accept out of what must be refused. Where a stack hides from everybody what
//! the rule asks for, and so accepts what must be refused, that is no mark: it is named as `unseen`, and counted by itself. None
//! may help an attacker: the same request without its `Origin` has to be one that the rules accept.

use std::collections::BTreeSet;
use std::path::Path;

use conformance::report::{Miss, Outcome, StackReport};
use conformance::table::{Case, Expectations};
use serde::Deserialize;

/// All marks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    #[serde(default)]
    mark: Vec<Mark>,
    #[serde(default)]
    unseen: Vec<Unseen>,
}

/// What became of a report's failures.
#[derive(Debug, Default)]
pub struct Known {
    /// How many are marked.
    pub marked: usize,
    /// How many are accepted because nobody can see why they must not be.
    pub unseen: usize,
    /// What is named in the file, and did not come.
    pub unneeded: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    stack: String,
    cases: Vec<String>,
    /// As [`conformance::check::brief`] has it.
    answer: String,
    /// What is different in an answer that is no refusal: every difference, to the letter.
    #[serde(default)]
    differs: Vec<String>,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unseen {
    stack: String,
    cases: Vec<String>,
    why: String,
}

impl Mark {
    /// Whether this is the answer that was marked, and one that may be.
    fn allows(&self, miss: &Miss) -> bool {
        let status = miss.answer.get(..3).and_then(|status| status.parse::<u16>().ok());
        let refuses = miss.answer == "closed" || status.is_some_and(|status| status >= 400);
        let same = miss.answer == self.answer;
        same && if refuses {
            self.differs.is_empty()
        } else {
            miss.accepts == Some(true) && !self.differs.is_empty() && self.differs == miss.differences
        }
    }
}

impl Marks {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|err| format!("{}: {err}", path.display()))?;
        Self::parse(&text).map_err(|err| format!("{}: {err}", path.display()))
    }

    /// Reads marks.
    ///
    /// # Errors
    /// What is wrong with them, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|err| err.to_string())
    }

    /// The cases that this stack accepts because nobody can see why not, as any client but a browser may send them: without
    /// `Origin`. They have to be accepted (rule O1).
    pub fn without_origin(&self, stack: &str, cases: &[Case]) -> Vec<Case> {
        let named =
            |case: &&Case| self.unseen.iter().any(|it| it.stack == stack && it.cases.contains(&case.id));
        let mut cases: Vec<_> = cases.iter().filter(named).cloned().collect();
        for case in &mut cases {
            case.id += ", without Origin";
            for step in &mut case.steps {
                step.origin = None;
                step.expect = Expectations::default();
            }
        }
        cases
    }

    /// Takes the cases that are known out of a report's failures.
    pub fn apply(&self, report: &mut StackReport) -> Known {
        let mut known = Known::default();
        let mut needed = BTreeSet::new();
        for case in &mut report.cases {
            let Some(miss) = &case.miss else { continue };
            let of = |stack: &str, cases: &[String]| stack == report.stack && cases.contains(&case.id);
            if let Some(mark) = self.mark.iter().find(|it| of(&it.stack, &it.cases) && it.allows(miss)) {
                known.marked += 1;
                case.outcome = Outcome::NotApplicable(format!("marked ({}): {}", mark.answer, mark.why));
            } else if let Some(unseen) = self.unseen.iter().find(|it| of(&it.stack, &it.cases))
                && miss.answer.starts_with("200 ")
            {
                known.unseen += 1;
                case.outcome = Outcome::NotApplicable(format!("ACCEPTED, AND MAY NOT BE: {}", unseen.why));
            } else {
                continue;
            }
            needed.insert(case.id.clone());
        }
        let marks = self.mark.iter().map(|it| (&it.stack, &it.cases));
        let all = marks.chain(self.unseen.iter().map(|it| (&it.stack, &it.cases)));
        let ids = all.filter(|(stack, _)| **stack == report.stack).flat_map(|(_, cases)| cases);
        let unneeded = ids.filter(|id| !needed.contains(*id));
        known.unneeded =
            unneeded.map(|id| format!("{}: {id} is marked, and need not be", report.stack)).collect();
        known
    }
}

#[cfg(test)]
mod tests {
    use conformance::report::CaseReport;
    use conformance::stack::Variant;

    use super::*;

    fn apply(file: &str, answer: &str, accepts: bool) -> (Known, Outcome) {
        let miss =
            Miss { answer: answer.to_owned(), accepts: Some(accepts), differences: vec!["d".to_owned()] };
        let case = CaseReport {
            id: "V1/x".to_owned(),
            variant: Variant::Default,
            rules: Vec::new(),
            title: String::new(),
            outcome: Outcome::Failed("f".to_owned()),
            miss: Some(miss),
        };
        let mut report = StackReport { stack: "s".to_owned(), cases: vec![case], seconds: 0.0 };
        let known = Marks::parse(file).unwrap().apply(&mut report);
        (known, report.cases.remove(0).outcome)
    }

    #[test]
    fn what_is_unseen_is_sent_without_origin_and_has_to_be_accepted() {
        let file = "[[unseen]]\nstack = \"s\"\ncases = [\"O2-not-ascii/latin1\"]\nwhy = \"w\"\n";
        let (marks, cases) = (Marks::parse(file).unwrap(), conformance::table::built_in().unwrap());
        assert!(marks.without_origin("other", &cases).is_empty());
        let cases = marks.without_origin("s", &cases);
        assert_eq!(cases.len(), 1);
        for step in &cases[0].steps {
            assert_eq!(step.origin, None);
            assert_eq!(step.expect.layer.is, conformance::table::Outcome::Accept);
            assert!(step.token.is_some() && !step.expect.layer.parser_may_answer);
        }
    }

    fn mark(more: &str) -> String {
        format!("[[mark]]\nstack = \"s\"\ncases = [\"V1/x\"]\nwhy = \"w\"\n{more}")
    }

    #[test]
    fn a_mark_is_for_the_very_answer_that_comes() {
        let refused = mark("answer = \"400 empty body\"");
        let (known, outcome) = apply(&refused, "400 empty body", false);
        assert_eq!((known.marked, known.unneeded.len()), (1, 0));
        assert!(matches!(outcome, Outcome::NotApplicable(_)));
        let (known, outcome) = apply(&refused, "400 text/html", false);
        assert_eq!((known.marked, known.unneeded.len()), (0, 1));
        assert!(matches!(outcome, Outcome::Failed(_)));
    }

    #[test]
    fn a_mark_makes_no_accept_of_what_must_be_refused() {
        let accepted = mark("answer = \"200 application/json\"\ndiffers = [\"d\"]");
        assert_eq!(apply(&accepted, "200 application/json", true).0.marked, 1);
        assert_eq!(apply(&accepted, "200 application/json", false).0.marked, 0);
        let without = mark("answer = \"200 application/json\"");
        assert_eq!(apply(&without, "200 application/json", true).0.marked, 0);
        let other = mark("answer = \"200 application/json\"\ndiffers = [\"e\"]");
        assert_eq!(apply(&other, "200 application/json", true).0.marked, 0);
    }
}
