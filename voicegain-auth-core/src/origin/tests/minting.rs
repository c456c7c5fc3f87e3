//! Rules M2, M4 and O8: patterns that somebody asks for.

use super::super::*;
use super::*;

#[test]
fn m2_the_aud_of_a_short_lived_token() {
    for text in [
        "https://a.example",
        "https://a.example/",
        "localhost:8080",
        "localhost:8080/",
        "[::1]:1/",
        "*",
        "*.internal/",
        "capacitor://localhost",
    ] {
        let pattern = OriginPattern::parse_minted(text).unwrap_or_else(|error| panic!("M2: {text}: {error}"));
        assert_eq!((pattern.as_str(), pattern.to_string().as_str()), (text, text), "M2: shown as written");
    }
    let slash = OriginPattern::parse_minted("https://a.example/").unwrap();
    assert!(
        slash.matches(&origin("https://a.example")) && !slash.matches(&origin("https://b.example")),
        "M2"
    );
    for text in ["https://a.example//", "https://a.example/v1", "https://a.example/?x", "a.example/ "] {
        assert_no_pattern("M2", text, &InvalidPattern::Path);
    }
    assert_eq!(
        "https://a.example/".parse::<OriginPattern>(),
        Err(InvalidPattern::Path),
        "the slash is for `aud` alone"
    );
    assert_eq!(
        OriginPattern::parse_allowed("https://a.example/"),
        Err(InvalidPattern::Path),
        "the slash is for `aud` alone"
    );
    for text in ["wss://a.example", "WS://a.example:8080", "ws://*.com/x"] {
        let error = OriginPattern::parse_minted(text).unwrap_err();
        assert_eq!(error, InvalidPattern::WebSocketScheme, "M2: {text}");
        assert!(error.to_string().contains("write https://"), "M2: a hint");
        assert_eq!(OriginPattern::parse_allowed(text), Err(InvalidPattern::WebSocketScheme), "M2: {text}");
    }
    for (text, error) in [
        ("", InvalidPattern::EmptyHost),
        ("https://", InvalidPattern::EmptyHost),
        ("https://:443", InvalidPattern::EmptyHost),
        ("*.", InvalidPattern::EmptyHost),
        ("\u{ad}", InvalidPattern::EmptyHost),
        ("https://user@a.example", InvalidPattern::UserInfo),
        ("example.com@evil.test", InvalidPattern::UserInfo),
        ("https://a b", InvalidPattern::HostCharacter),
        ("https://a.example\n", InvalidPattern::HostCharacter),
        ("https://a.example?x", InvalidPattern::HostCharacter),
        ("https://a.example#x", InvalidPattern::HostCharacter),
        ("a%2eexample", InvalidPattern::HostCharacter),
        ("https://a.example,https", InvalidPattern::HostCharacter),
    ] {
        assert_no_pattern("M2", text, &error);
    }
}

#[test]
fn m4_no_wildcard_over_a_public_suffix() {
    for (base, shown) in [
        ("com", "com"),
        ("COM.", "com"),
        ("co.uk", "co.uk"),
        ("github.io", "github.io"),
        ("GitHub.IO", "github.io"),
        ("ck", "ck"),
        ("foo.ck", "foo.ck"),
        ("kawasaki.jp", "kawasaki.jp"),
        ("foo.kawasaki.jp", "foo.kawasaki.jp"),
        ("compute.amazonaws.com", "compute.amazonaws.com"),
        ("eu-1.compute.amazonaws.com", "eu-1.compute.amazonaws.com"),
        ("\u{516c}\u{53f8}.cn", "xn--55qx5d.cn"),
        ("xn--55qx5d.cn", "xn--55qx5d.cn"),
        ("XN--55QX5D.CN", "xn--55qx5d.cn"),
    ] {
        let error = InvalidPattern::PublicSuffix(shown.into());
        for text in [format!("*.{base}"), format!("https://*.{base}"), format!("https://*.{base}:*")] {
            assert_eq!(OriginPattern::parse_minted(&text), Err(error.clone()), "M4: {text}");
            assert_eq!(OriginPattern::parse_allowed(&text), Err(error.clone()), "M4: {text}");
            let pattern: OriginPattern = text.parse().unwrap();
            assert_eq!(pattern.check_public_suffix(), Err(error.clone()), "M4: {text}");
        }
    }
}

#[test]
fn m4_other_patterns_are_allowed() {
    for text in [
        "*",
        "*.internal",
        "*.localhost",
        "*.example.com",
        "*.example.co.uk",
        "*.me.github.io",
        "*.city.kawasaki.jp",
        "*.www.ck",
        "*.a.foo.ck",
        "*.a.eu-1.compute.amazonaws.com",
        "*.b\u{fc}cher.example",
        // No wildcard host, nothing to ask the list about.
        "com",
        "co.uk:*",
        "https://github.io",
        "kawasaki.jp",
    ] {
        assert!(OriginPattern::parse_minted(text).is_ok(), "M4: {text}");
        assert!(OriginPattern::parse_allowed(text).is_ok(), "M4: {text}");
    }
}

#[test]
fn o8_allowed_origins() {
    let texts = ["https://A.example", "*.b.example", "localhost:*"];
    let rules = OriginRules::parse_allowed(&texts).unwrap();
    assert!(rules.patterns().eq(texts), "kept as written");
    assert_eq!(rules, OriginRules::from_stored(texts));
    for (text, expected) in [
        ("https://a.example", true),
        ("https://x.b.example", true),
        ("http://localhost:5173", true),
        ("https://b.example", false),
        ("null", false),
    ] {
        for any in [AnyOrigin::Counts, AnyOrigin::Ignored] {
            assert_eq!(rules.matches(&origin(text), any), expected, "O8: {text}");
        }
    }
    assert!(
        !OriginRules::default().matches(&origin("https://a.example"), AnyOrigin::Counts),
        "O3: none matches nothing"
    );
}

#[test]
fn m4_the_first_bad_member_is_named() {
    let texts = ["https://a.example", "*.co.uk", "https://*"].map(String::from);
    assert_eq!(OriginRules::parse_allowed(&texts), Err((1, InvalidPattern::PublicSuffix("co.uk".into()))));
}

#[test]
fn o3_a_stored_member_that_is_no_pattern_matches_nothing() {
    let texts = ["https://*", "", "a.example/v1", "*.com"];
    let rules = OriginRules::from_stored(texts);
    assert!(rules.patterns().eq(texts), "kept as they are");
    assert!(!rules.matches(&origin("https://a.example"), AnyOrigin::Counts));
    assert!(rules.matches(&origin("https://a.com"), AnyOrigin::Counts), "set before the suffix was listed");
}

#[test]
fn messages_say_what_to_do() {
    for text in [
        "https://*",
        "_://a",
        "a/b",
        "u@a",
        "",
        "a b",
        "a..b",
        "xn--a",
        "\u{ff0a}",
        "1.2",
        "::1",
        "*.1.2.3.4",
        "a:x",
        "*.com",
        "ws://a",
    ] {
        let message = OriginPattern::parse_minted(text).unwrap_err().to_string();
        assert!(message.is_ascii() || text.contains('\u{ff0a}'), "{message}");
        assert!(
            message.len() > 40 && !message.contains(['\n']) && !message.contains("  "),
            "{text}: {message}"
        );
    }
    assert!(OriginPattern::parse_allowed("*").unwrap().is_any());
    assert!(!OriginPattern::parse_allowed("*.a.example").unwrap().is_any());
}
