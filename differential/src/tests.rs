//! What can be held without the libraries of other languages.

use crate::classify::{Class, expect};
use crate::dice::Dice;
use crate::judge::{Ours, Reading, Verdict, by_jsonwebtoken};
use crate::recipe::{Made, make};
use crate::report::{Judged, Report};
use crate::setup::owners;

fn tokens(seed: u64, many: usize) -> Vec<Made> {
    let (owners, mut dice) = (owners(), Dice::new(seed));
    (0..many).map(|_| make(&owners, &mut dice)).collect()
}

fn accepted() -> Verdict {
    Verdict::Accepted(Reading { sub: None, exp: None })
}

/// A report on one token, of which each judge says what is foretold, but for the one that says the opposite.
fn findings(made: &Made, wrong: Option<usize>) -> Vec<String> {
    let owners = owners();
    let expected = expect(&made.token, &owners[made.owner], &owners);
    let verdicts = std::array::from_fn(|judge| {
        if expected[judge].accepts() == (wrong != Some(judge)) {
            accepted()
        } else {
            Verdict::Refused { refused: expected[0].our_reason().into(), foreign: false }
        }
    });
    let mut report = Report::new(Default::default());
    report.add(&Judged { made, expected, verdicts });
    report.findings(1)
}

#[test]
fn the_same_seed_makes_the_same_tokens() {
    let [one, again, other] = [1, 1, 2].map(|seed| tokens(seed, 200).into_iter().map(|made| made.token));
    assert!(one.clone().eq(again));
    assert!(one.ne(other));
}

#[test]
fn one_wrong_verdict_of_anybody_is_a_finding() {
    for made in tokens(3, 100) {
        assert_eq!(findings(&made, None), Vec::<String>::new(), "{:?}", made.recipe);
        for judge in 0..6 {
            assert!(!findings(&made, Some(judge)).is_empty(), "{judge}: {:?}", made.recipe);
        }
    }
}

#[test]
fn another_understanding_is_a_finding() {
    let owners = owners();
    let made = tokens(4, 50).into_iter().find(|made| made.damages == 0).expect("half are sound");
    let reading = |sub: &str| Verdict::Accepted(Reading { sub: Some(sub.into()), exp: None });
    let mut verdicts = [(); 6].map(|()| reading("x"));
    verdicts[4] = reading("y");
    let mut report = Report::new(Default::default());
    report.add(&Judged {
        made: &made,
        expected: expect(&made.token, &owners[made.owner], &owners),
        verdicts,
    });
    assert_eq!(report.findings(1).len(), 1);
}

#[test]
fn ours_and_jsonwebtoken_say_what_is_foretold() {
    let owners = owners();
    let ours = Ours::new(&owners).expect("a store in memory");
    let mut seen = [0; 2];
    for made in tokens(5, 4_000) {
        let owner = &owners[made.owner];
        let expected = expect(&made.token, owner, &owners);
        let verdicts = [ours.judge(&made.token), by_jsonwebtoken(&owner.secret, &made.token)];
        for (verdict, expected) in verdicts.iter().zip(&expected) {
            assert_eq!(verdict.accepts(), expected.accepts(), "{:?}: {expected:?}", made.recipe);
            seen[usize::from(verdict.accepts())] += 1;
        }
        let is_rounded = expected[0].classes.contains(&Class::ExpiryRounded);
        assert!(
            is_rounded || verdicts[0].differs_from(&verdicts[1]).is_none(),
            "{:?}: {verdicts:?}",
            made.recipe
        );
        if let Verdict::Refused { refused, .. } = &verdicts[0] {
            assert_eq!(refused, expected[0].our_reason(), "{:?}", made.recipe);
        }
    }
    assert!(seen.iter().all(|many| *many > 1_000), "{seen:?}");
}
