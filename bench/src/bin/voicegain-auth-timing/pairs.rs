//! What is measured against what, and what is to be expected of it.

use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::fuzzing_timing::InHand;

use crate::ground::Ground;
use crate::measure::{Pair, SCHEME};
use crate::tokens::{Kind, Leaky, Signature, same_by_memcmp, same_until_it_differs, token};

/// What must come of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Told apart, or the test sees nothing.
    Difference,
    /// Not told apart: a secret would show.
    None,
    /// The same work by the same code, give or take what it makes where in memory a record lies: whether a web config exists is no
    /// secret, but anything left out would be more than that (rule V5).
    SameWork,
    /// Either.
    Either,
}

/// A pair with its name, before it is made.
pub(crate) struct Entry<'a> {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) expected: Expected,
    pub(crate) make: Box<dyn Fn() -> Pair<'a> + 'a>,
}

pub(crate) const CONTROLS: &str = "controls";
pub(crate) const IN_HAND: &str = "A, record in hand";
pub(crate) const DECIDE: &str = "B, whole decision";

/// The length of a signature as it is written.
const SIGNATURE_CHARS: usize = 43;

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";
const OTHERS: &str = "-_";

/// Pairs that differ in the signature alone, and are of one web config.
const OF_SIGNATURES: [(&str, Signature, Signature); 10] = [
    ("wrong signature / superseded", Signature::Wrong, Signature::Superseded),
    ("first byte wrong / last", Signature::WrongAt(0), Signature::WrongAt(31)),
    ("first byte wrong / middle", Signature::WrongAt(0), Signature::WrongAt(16)),
    ("first byte wrong / random", Signature::WrongAt(0), Signature::Random),
    ("last byte wrong / random", Signature::WrongAt(31), Signature::Random),
    ("no right bytes / the first 16", Signature::RightFor(0), Signature::RightFor(16)),
    ("no right bytes / the first 31", Signature::RightFor(0), Signature::RightFor(31)),
    ("capitals / small letters", Signature::Of(UPPER), Signature::Of(LOWER)),
    ("capitals / digits", Signature::Of(UPPER), Signature::Of(DIGITS)),
    ("capitals / `-` and `_`", Signature::Of(UPPER), Signature::Of(OTHERS)),
];

/// All pairs, the controls first.
pub(crate) fn all(ground: &Ground) -> Vec<Entry<'_>> {
    let mut all = controls(ground);
    for kind in Kind::ALL {
        all.extend(in_hand(ground, kind));
    }
    for kind in Kind::ALL {
        all.extend(decide(ground, kind));
    }
    all
}

fn controls(ground: &Ground) -> Vec<Entry<'_>> {
    let ends: [Signature; 2] = [Signature::WrongAt(0), Signature::WrongAt(31)];
    let leaky = |name: &str, signatures, known: [bool; 2]| {
        entry(CONTROLS, name, Kind::ShortLived, Expected::Difference, move || {
            let leaky = Leaky::new(&ground.secret);
            let is_right = move |class: usize, token: &[u8]| {
                Leaky::check(known[class].then_some(&leaky), token, same_until_it_differs)
            };
            of_signatures(ground, Kind::ShortLived, signatures, || (), is_right)
        })
    };
    let alone = |name: &str, expected, is_same: fn(&[u8], &[u8]) -> bool| {
        entry(CONTROLS, name, Kind::LongLived, expected, move || {
            let right = token(ground, Kind::LongLived, ground.id, Signature::Right, 0);
            let is_right = move |_: usize, token: &[u8]| {
                let at = token.len() - SIGNATURE_CHARS;
                is_same(&right.as_bytes()[at..], &token[at..])
            };
            of_signatures(ground, Kind::LongLived, ends, || (), is_right)
        })
    };
    let mut controls = vec![
        leaky("a comparison that ends at the first wrong byte: first / last", ends, [true; 2]),
        // What the same work is held against: this must not pass for it.
        leaky(
            "no MAC for an unknown web config: unknown / wrong signature",
            [Signature::Wrong; 2],
            [false, true],
        ),
        alone("the same comparison, alone: first / last", Expected::Difference, same_until_it_differs),
        alone("`==` on slices, alone: first / last", Expected::Either, same_by_memcmp),
    ];
    controls.extend(Kind::ALL.map(|kind| {
        entry(CONTROLS, "wrong signature / wrong signature", kind, Expected::None, move || {
            checked(ground, kind, [Signature::Wrong; 2], [true; 2])
        })
    }));
    // What one may expect of two records that lie in two places.
    controls.extend([Kind::LongLived, Kind::ShortLived].map(|kind| {
        entry(CONTROLS, "one web config / another", kind, Expected::Either, move || {
            let is_right =
                |class: usize, token: &[u8]| [&ground.in_hand, &ground.another][class].check(true, token);
            of_signatures(ground, kind, [Signature::Wrong; 2], || (), is_right)
        })
    }));
    controls
}

/// Level A.
fn in_hand(ground: &Ground, kind: Kind) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    // The very same tokens: what differs is whether there is a record.
    for (name, other) in [("wrong signature", Signature::Wrong), ("superseded", Signature::Superseded)] {
        entries.push(entry(IN_HAND, &format!("unknown / {name}"), kind, Expected::SameWork, move || {
            checked(ground, kind, [other; 2], [false, true])
        }));
    }
    for (name, one, other) in OF_SIGNATURES {
        entries.push(entry(IN_HAND, name, kind, Expected::None, move || {
            checked(ground, kind, [one, other], [true; 2])
        }));
    }
    if kind == Kind::LongLived {
        for (name, one, other) in OF_SIGNATURES {
            let name = format!("the constant alone: {name}");
            entries.push(entry(IN_HAND, &name, kind, Expected::None, move || {
                let is_right = move |_: usize, token: &[u8]| ground.in_hand.is_as_issued(true, token);
                of_signatures(ground, kind, [one, other], || (), is_right)
            }));
        }
    }
    entries
}

/// Level B.
fn decide(ground: &Ground, kind: Kind) -> Vec<Entry<'_>> {
    let of = |name: &str, expected, ids, signatures| {
        entry(DECIDE, name, kind, expected, move || decided(ground, kind, ids, signatures))
    };
    let of_one = |(name, one, other): (&str, _, _)| of(name, Expected::None, [ground.id; 2], [one, other]);
    let mut entries: Vec<_> = OF_SIGNATURES.into_iter().map(of_one).collect();
    // An unknown id is looked for in more places.
    let ids = [ground.unknown_id, ground.id];
    for (name, other) in [("wrong signature", Signature::Wrong), ("superseded", Signature::Superseded)] {
        let name = format!("unknown / {name}");
        entries.push(of(&name, Expected::Either, ids, [Signature::Wrong, other]));
    }
    entries
}

fn entry<'a>(
    group: &'static str,
    name: &str,
    kind: Kind,
    expected: Expected,
    make: impl Fn() -> Pair<'a> + 'a,
) -> Entry<'a> {
    Entry { group, name: name.to_owned(), kind, expected, make: Box::new(make) }
}

/// A pair whose tokens are of the one web config, and must not be right.
fn of_signatures<'a>(
    ground: &'a Ground,
    kind: Kind,
    signatures: [Signature; 2],
    prepare: impl Fn() + Sync + 'a,
    is_right: impl Fn(usize, &[u8]) -> bool + Sync + 'a,
) -> Pair<'a> {
    let tokens =
        (0..).map(move |at| signatures.map(|signature| token(ground, kind, ground.id, signature, at)));
    Pair::new(tokens, prepare, move |class, header| !is_right(class, &header[SCHEME.len()..]))
}

fn checked<'a>(ground: &'a Ground, kind: Kind, signatures: [Signature; 2], known: [bool; 2]) -> Pair<'a> {
    let prepare = move || {
        let right = token(ground, kind, ground.id, Signature::Right, 0);
        if kind == Kind::KnownPage {
            (0..3).for_each(|_| {
                assert!(ground.in_hand.check(true, right.as_bytes()), "a right token was refused")
            });
        }
        assert_eq!(InHand::is_remembered(right.as_bytes()), kind == Kind::KnownPage);
    };
    let is_right = move |class: usize, token: &[u8]| ground.in_hand.check(known[class], token);
    of_signatures(ground, kind, signatures, prepare, is_right)
}

fn decided(ground: &Ground, kind: Kind, ids: [WebConfigId; 2], signatures: [Signature; 2]) -> Pair<'_> {
    let tokens =
        (0..).map(move |at| [0, 1].map(|class| token(ground, kind, ids[class], signatures[class], at)));
    let prepare = move || {
        let right = |kind| token(ground, kind, ground.id, Signature::Right, 0);
        let admit = |kind| (0..4).for_each(|_| ground.admit(format!("{SCHEME}{}", right(kind)).as_bytes()));
        // So that the record is near at hand.
        admit(Kind::LongLived);
        if kind == Kind::KnownPage {
            admit(kind);
        }
        assert_eq!(InHand::is_remembered(right(Kind::ShortLived).as_bytes()), kind == Kind::KnownPage);
    };
    Pair::new(tokens, prepare, move |_, header| ground.refuses(header))
}
