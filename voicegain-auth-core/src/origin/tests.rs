//! What the rules say about origins, one by one; [`properties`] holds what is true of all texts.

mod minting;
mod origin_header;
mod patterns;
mod properties;

use super::*;

fn origin(text: &str) -> Origin<'_> {
    Origin::parse(text.as_bytes()).unwrap_or_else(|_| panic!("{text:?} is an origin"))
}

/// Through all three doors, which have to agree.
fn matches(pattern: &str, text: &str) -> bool {
    let origin = origin(text);
    let borrowed = audience_matches(pattern, &origin, AnyOrigin::Counts);
    let parsed = pattern.parse::<OriginPattern>().is_ok_and(|pattern| pattern.matches(&origin));
    let stored = OriginRules::from_stored([pattern]).matches(&origin, AnyOrigin::Counts);
    assert_eq!((borrowed, borrowed), (parsed, stored), "{pattern} against {text}");
    borrowed
}

#[track_caller]
fn assert_matches(rule: &str, pattern: &str, origins: &[&str]) {
    for text in origins {
        assert!(matches(pattern, text), "{rule}: {pattern} stands for {text}");
    }
}

#[track_caller]
fn assert_differs(rule: &str, pattern: &str, origins: &[&str]) {
    assert!(pattern.parse::<OriginPattern>().is_ok(), "{rule}: {pattern} is a pattern");
    for text in origins {
        assert!(!matches(pattern, text), "{rule}: {pattern} does not stand for {text}");
    }
}

#[track_caller]
fn assert_no_pattern(rule: &str, text: &str, error: &InvalidPattern) {
    assert_eq!(text.parse::<OriginPattern>().as_ref(), Err(error), "{rule}: {text:?}");
    assert_eq!(OriginPattern::parse_minted(text).as_ref(), Err(error), "{rule}: {text:?}, minted");
    assert_eq!(OriginPattern::parse_allowed(text).as_ref(), Err(error), "{rule}: {text:?}, allowed");
}
