//! The table itself: it can be read, it is large enough, every rule has both sides.

use conformance::{coverage, table};

#[test]
fn every_rule_has_an_accepting_and_a_refusing_case() {
    let gaps = coverage::gaps(&table::built_in().unwrap());
    assert!(gaps.is_empty(), "{}", gaps.join("\n"));
}

#[test]
fn there_are_at_least_300_cases() {
    let cases = table::built_in().unwrap();
    assert!(cases.len() >= 300, "{} cases", cases.len());
}

#[test]
fn every_case_says_what_it_shows() {
    for case in table::built_in().unwrap() {
        assert!(!case.title.is_empty() && !case.rules.is_empty(), "{}", case.id);
    }
}
