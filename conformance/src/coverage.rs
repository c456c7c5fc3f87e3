//! Every rule has a case that is accepted and one that is refused, or a reason why not.

use crate::stack::Kind;
use crate::table::Case;
use std::collections::{BTreeMap, BTreeSet};

/// The rules whose keeping can be seen through a socket.
pub const RULES: &[&str] = &[
    "W1", "W2", "W3", "W4", "W5", "W6", "W7", "V1", "V2", "V3", "V4", "V5", "V7", "V8", "V9", "V10", "O1",
    "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O10", "P1", "P2", "P3", "P4", "M1", "M2", "M3", "M4",
    "E", "C3", "C6", "C7",
];

/// One side of a rule that has no case, and why. `true` is the accepting side.
pub const EXCEPTIONS: &[(&str, bool, &str)] = &[];

/// Rules without any case, and why.
pub const UNSEEN: &[(&str, &str)] = &[
    ("V6", "a store that fails or is slow cannot be had through the admin interface: the store's own tests"),
    ("C1", "a bound in time, over minutes: the store's own tests"),
    ("C2", "a bound in time, with a store across a network: the store's own tests"),
    ("C4", "needs a store that is cut off: the store's own tests"),
    ("C5", "the number of the store's reads cannot be seen from here: the store's own tests"),
    ("C8", "a connection that outlives its request: the gateway's own tests"),
];

/// What is missing, as sentences.
pub fn gaps(cases: &[Case]) -> Vec<String> {
    let mut sides: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    let mut gaps = Vec::new();
    for case in cases {
        for rule in &case.rules {
            if !RULES.contains(&rule.as_str()) {
                gaps.push(format!("{} names {rule}, which is no rule to be seen from here", case.id));
            }
            for step in &case.steps {
                for kind in [Kind::Layer, Kind::Gateway] {
                    let expect = step.expect.of(kind);
                    sides.entry(rule).or_default().extend(expect.is.accepts(expect));
                }
            }
        }
    }
    for rule in RULES {
        for side in [true, false] {
            let there = sides.get(rule).is_some_and(|sides| sides.contains(&side));
            let excepted = EXCEPTIONS.iter().any(|(name, which, _)| name == rule && *which == side);
            let name = if side { "accepting" } else { "refusing" };
            if !there && !excepted {
                gaps.push(format!("{rule} has no {name} case"));
            }
            if there && excepted {
                gaps.push(format!("{rule} has an {name} case, and an exception from having one"));
            }
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn a_missing_side_is_a_gap() {
        let case = "[[case]]\nid='x'\nrules=['V1']\ntitle='t'\nexpect='accept'";
        let gaps = gaps(&table::parse(case).unwrap());
        assert!(gaps.contains(&"V1 has no refusing case".to_owned()));
        assert!(!gaps.contains(&"V1 has no accepting case".to_owned()));
    }

    #[test]
    fn every_rule_is_seen_or_has_a_reason() {
        for (family, last) in [("W", 7), ("V", 10), ("O", 10), ("P", 4), ("M", 4), ("C", 8)] {
            for number in 1..=last {
                let rule = format!("{family}{number}");
                let seen = RULES.contains(&rule.as_str());
                assert_ne!(seen, UNSEEN.iter().any(|(name, _)| *name == rule), "{rule}");
            }
        }
    }

    #[test]
    fn a_rule_nobody_knows_is_a_gap() {
        let case = "[[case]]\nid='x'\nrules=['V11']\ntitle='t'\nexpect='accept'";
        assert!(gaps(&table::parse(case).unwrap())[0].contains("V11"));
    }
}
