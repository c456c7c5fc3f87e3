//! A pattern and an origin (rules O3 to O7, M4).
//!
//! For every origin that a pattern stands for, its neighbours are asked too, since that is where matching has gone wrong
//! elsewhere: another character or label before the host or behind it, a dot taken away.

use url::Host;
use voicegain_auth_core::origin::{AnyOrigin, Origin, OriginPattern, OriginRules, audience_matches};

use reference::origin::{self, Pattern, Port, Tail};

pub fn check(input: &[u8]) {
    let [pattern, value] = super::fields(input);
    let Ok(text) = std::str::from_utf8(pattern) else { return };
    let [strict, slash, lenient] =
        [Tail::Nothing, Tail::Slash, Tail::Anything].map(|tail| origin::pattern(text, tail));

    let parsed = text.parse::<OriginPattern>().ok();
    assert_eq!(parsed.is_some(), strict.is_some(), "a pattern");
    assert_eq!(
        OriginPattern::parse_minted(text).is_ok(),
        origin::may_be_set(text, Tail::Slash),
        "to be minted"
    );
    assert_eq!(
        OriginPattern::parse_allowed(text).is_ok(),
        origin::may_be_set(text, Tail::Nothing),
        "allowed"
    );
    assert!(slash.is_some() || strict.is_none());
    if let (Some(parsed), Some(strict)) = (&parsed, &strict) {
        assert_eq!(parsed.is_any(), *strict == Pattern::Any);
        assert_eq!(parsed.check_public_suffix().is_err(), origin::is_over_public_suffix(strict));
        assert_eq!(parsed.as_str(), text);
    }

    let rules = OriginRules::from_stored([text]);
    let ask = |value: &[u8]| {
        let (Ok(origin), Some(expected)) = (Origin::parse(value), origin::read(value)) else { return };
        for (any, counts) in [(AnyOrigin::Counts, true), (AnyOrigin::Ignored, false)] {
            let matches = |pattern: &Option<Pattern>| {
                pattern.as_ref().is_some_and(|pattern| origin::matches(pattern, expected.as_ref(), counts))
            };
            let shown = String::from_utf8_lossy(value);
            assert_eq!(audience_matches(text, &origin, any), matches(&lenient), "{text} {shown}");
            assert_eq!(rules.matches(&origin, any), matches(&strict), "{text} {shown}");
        }
        assert_eq!(
            parsed.as_ref().is_some_and(|parsed| parsed.matches(&origin)),
            strict.as_ref().is_some_and(|strict| origin::matches(strict, expected.as_ref(), true)),
        );
    };
    ask(value);
    ask(b"null");
    let theirs = origin::read(value).flatten();
    if let (Some(theirs), Some(lenient)) = (&theirs, &lenient)
        && origin::matches(lenient, Some(theirs), true)
    {
        for neighbour in neighbours(&theirs.host) {
            ask(origin::written(&theirs.scheme, &neighbour, theirs.port).as_bytes());
        }
    }
    if let Some(Pattern::Some { scheme, below, host, port }) = &lenient {
        let scheme = scheme.as_deref().unwrap_or("https");
        let port = if let Port::Is(port) = port { Some(*port) } else { None };
        let good = if *below { before(host, "any.") } else { host.clone() };
        let written = origin::written(scheme, &good, port);
        if let Some(Some(good)) = origin::read(written.as_bytes()) {
            let pattern = lenient.as_ref().expect("it is one");
            assert!(origin::matches(pattern, Some(&good), true), "{text} stands for {written}");
        }
        ask(written.as_bytes());
        for neighbour in neighbours(&good) {
            let written = origin::written(scheme, &neighbour, port);
            ask(written.as_bytes());
            // Said once more without the reference.
            if let (Ok(neighbour), false) = (Origin::parse(written.as_bytes()), *below) {
                assert!(!audience_matches(text, &neighbour, AnyOrigin::Counts), "{text} {written}");
            }
        }
    }
}

fn before(host: &Host<String>, text: &str) -> Host<String> {
    match host {
        Host::Domain(domain) => Host::Domain(format!("{text}{domain}")),
        other => other.clone(),
    }
}

/// Other hosts that look like this one.
fn neighbours(host: &Host<String>) -> Vec<Host<String>> {
    let Host::Domain(domain) = host else { return Vec::new() };
    let mut texts: Vec<String> = ["x", "-", "evil", "evil."].map(|text| format!("{text}{domain}")).into();
    texts.extend(["x", ".evil.test", "-evil.test"].map(|text| format!("{domain}{text}")));
    texts.push(domain.replacen('.', "x", 1));
    texts.extend(domain.split_once('.').map(|(_, base)| base.to_owned()));
    texts.retain(|text| text != domain);
    texts.into_iter().map(Host::Domain).collect()
}
