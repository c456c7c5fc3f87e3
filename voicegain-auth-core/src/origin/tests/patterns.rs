//! Rules O3 to O7: what a pattern stands for.

use super::super::*;
use super::*;

#[test]
fn o3_a_host_is_the_whole_host() {
    assert_matches("O3", "example.com", &["https://example.com", "http://example.com"]);
    assert_differs(
        "O3",
        "example.com",
        &[
            "https://evilexample.com",
            "https://-example.com",
            "https://www.example.com",
            "https://example.com.evil.test",
            "https://example.co",
            "https://xample.com",
            "https://example.commm",
            "null",
        ],
    );
}

#[test]
fn o3_a_wildcard_is_one_or_more_labels_below_the_domain() {
    assert_matches(
        "O3",
        "https://*.example.com",
        &[
            "https://a.example.com",
            "https://a.b.example.com",
            "https://A.EXAMPLE.com:443",
            "https://xn--bcher-kva.example.com",
        ],
    );
    assert_differs(
        "O3, O5",
        "https://*.example.com",
        &[
            "https://example.com",
            "https://evilexample.com",
            "https://aexample.com",
            "https://-example.com",
            "https://example.com.evil.test",
            "https://a.example.com.evil.test",
            "https://a.examplexcom",
            "https://axexample.com",
            "https://a.example.org",
            "http://a.example.com",
            "https://a.example.com:8443",
            "null",
        ],
    );
    assert_matches("O3", "*.example.com:8080", &["http://a.example.com:8080", "https://a.example.com:8080"]);
    assert_differs("O3", "*.example.com:8080", &["http://a.example.com", "http://example.com:8080"]);
    assert_matches("O3", "*.example.com:*", &["http://a.example.com:1", "https://a.example.com"]);
    assert_differs("O3", "*.example.com:*", &["http://example.com:1"]);
    assert_differs("O3", "*.d", &["https://1.2.3.4", "https://[::d]"]);
}

#[test]
fn o3_a_star_in_any_other_place_is_no_pattern() {
    for text in [
        "https://*",
        "*:8080",
        "*:*",
        "**",
        "* ",
        " *",
        "a.*.com",
        "a.*",
        "*a.com",
        "a*.com",
        "*.*.com",
        "*.a*.com",
        "**.example.com",
        "*\u{301}.example.com",
        "*\u{ad}.example.com",
        "*://example.com",
        "http*://example.com",
        "localhost:80*",
        "localhost:*0",
        "localhost:**",
    ] {
        assert_no_pattern("O3", text, &InvalidPattern::Wildcard);
        for any in [AnyOrigin::Counts, AnyOrigin::Ignored] {
            for other in ["https://a.example.com", "https://a.com", "http://localhost:8080", "null"] {
                assert!(!audience_matches(text, &origin(other), any), "O3: {text} is no pattern");
            }
        }
    }
    for text in ["*.1.2.3.4", "*.127.0.0.1:8080", "*.[::1]", "http://*.[::1]:80"] {
        assert_no_pattern("O3", text, &InvalidPattern::WildcardAddress);
    }
    // Nothing but the whole text is the star that stands for everything.
    for text in ["*/", "*/v1"] {
        assert!(!audience_matches(text, &origin("https://a.example"), AnyOrigin::Counts), "O3: {text}");
    }
}

#[test]
fn o3_a_pattern_is_never_a_regular_expression() {
    assert_differs("O3", "a.example.com", &["https://axexample.com", "https://a.examplexcom"]);
    for text in [
        ".*",
        "https://.*",
        "^https://a.example$",
        "https://(a|b).example",
        "https://a?.example",
        "[a-z].example",
    ] {
        assert!(text.parse::<OriginPattern>().is_err(), "O3: {text}");
    }
}

#[test]
fn o3_a_lone_star_is_every_origin() {
    assert_matches(
        "O3",
        "*",
        &["https://a.example", "http://localhost:1", "capacitor://localhost", "http://[::1]", "null"],
    );
    for text in ["https://a.example", "null"] {
        assert!(!audience_matches("*", &origin(text), AnyOrigin::Ignored), "O1: {text} with a cookie");
        assert!(
            !OriginRules::from_stored(["*"]).matches(&origin(text), AnyOrigin::Ignored),
            "O1: {text} with a cookie"
        );
    }
    let own = origin("https://a.example");
    assert!(audience_matches("a.example", &own, AnyOrigin::Ignored), "O1: only the bare star is ignored");
    assert!(audience_matches("a.example:*", &own, AnyOrigin::Ignored), "O1: only the bare star is ignored");
    assert!(OriginRules::from_stored(["*", "a.example"]).matches(&own, AnyOrigin::Ignored), "O1");
}

#[test]
fn o3_addresses() {
    assert_matches("O3", "127.0.0.1:8080", &["http://127.0.0.1:8080", "https://127.0.0.1:8080"]);
    assert_differs(
        "O3",
        "127.0.0.1:8080",
        &["http://127.0.0.2:8080", "http://127.0.0.1", "http://[::1]:8080"],
    );
    for pattern in ["http://[::1]", "http://[0:0:0:0:0:0:0:1]", "http://[0000::0001]", "http://[::0.0.0.1]"] {
        assert_matches("O3, by value", pattern, &["http://[::1]"]);
        assert_differs(
            "O3, by value",
            pattern,
            &["http://[::2]", "http://[1::]", "https://[::1]", "http://[::1]:8080"],
        );
    }
    assert_matches("O3", "[::ffff:1.2.3.4]:1", &["http://[::ffff:102:304]:1"]);
    assert_differs("O3", "[::ffff:1.2.3.4]", &["http://1.2.3.4"]);
    assert_matches("O3", "[2001:DB8::1]:*", &["http://[2001:db8::1]:9"]);
    for text in [
        "[::1",
        "[]",
        "[::1]x",
        "[::1]8080",
        "::1",
        "2001:db8::1",
        "http://[fe80::1%eth0]",
        "[fe80::1%25eth0]",
    ] {
        assert_no_pattern("O3", text, &InvalidPattern::Ipv6);
    }
    for text in [
        "127.1",
        "127.0.0.01",
        "0x7f.0.0.1",
        "2130706433",
        "256.0.0.1",
        "1.2.3.4.",
        "a.1",
        "a.0x",
        "*.4",
        "\u{ff11}27.1",
    ] {
        assert_no_pattern("O3, O2", text, &InvalidPattern::Ipv4);
    }
}

#[test]
fn o4_without_a_scheme_http_and_https() {
    assert_matches(
        "O4",
        "localhost:8080",
        &["http://localhost:8080", "https://localhost:8080", "HTTP://LOCALHOST:8080"],
    );
    assert_differs(
        "O4",
        "localhost:8080",
        &[
            "http://localhost",
            "https://localhost",
            "http://localhost:808",
            "ws://localhost:8080",
            "capacitor://localhost:8080",
        ],
    );
    assert_matches(
        "O4",
        "localhost",
        &["http://localhost", "https://localhost", "http://localhost:80", "https://localhost:443"],
    );
    assert_differs(
        "O4",
        "localhost",
        &["http://localhost:443", "https://localhost:80", "capacitor://localhost"],
    );
    assert_matches("O4", "localhost:80", &["http://localhost", "https://localhost:80"]);
    assert_differs("O4", "localhost:80", &["https://localhost"]);
    assert_differs("O4", "localhost:*", &["capacitor://localhost"]);
}

#[test]
fn o4_with_a_scheme_exactly_that() {
    for pattern in ["https://a.example", "https://a.example:443", "HTTPS://A.example"] {
        assert_matches("O4", pattern, &["https://a.example", "https://a.example:443"]);
        assert_differs(
            "O4",
            pattern,
            &["http://a.example", "http://a.example:443", "https://a.example:444", "httpss://a.example"],
        );
    }
    assert_matches("O4", "http://a.example:443", &["http://a.example:443"]);
    assert_differs("O4", "http://a.example:443", &["http://a.example", "https://a.example"]);
    assert_matches(
        "O4",
        "https://a.example:*",
        &["https://a.example", "https://a.example:0", "https://a.example:65535"],
    );
    assert_differs("O4", "https://a.example:*", &["http://a.example", "https://b.example:1"]);
}

#[test]
fn o4_schemes_that_are_not_the_webs_have_no_default_port() {
    assert_matches("O4", "capacitor://localhost", &["capacitor://localhost", "Capacitor://localhost"]);
    assert_differs(
        "O4",
        "capacitor://localhost",
        &["capacitor://localhost:80", "capacitor://localhost:443", "http://localhost", "ionic://localhost"],
    );
    assert_matches("O4", "capacitor://localhost:80", &["capacitor://localhost:80"]);
    assert_differs("O4", "capacitor://localhost:80", &["capacitor://localhost"]);
    assert_matches("O4", "capacitor://localhost:*", &["capacitor://localhost", "capacitor://localhost:80"]);
    let extension = "chrome-extension://abcdefghijklmnopabcdefghijklmnop";
    assert_matches("O4", extension, &[extension]);
    assert_differs("O4", extension, &["chrome-extension://bbcdefghijklmnopabcdefghijklmnop"]);
    for text in
        ["://a.example", "1a://a.example", "a_b://a.example", "\u{e4}://a.example", " https://a.example"]
    {
        assert_no_pattern("O4", text, &InvalidPattern::Scheme);
    }
}

#[test]
fn o4_ports_are_written_as_they_are_serialised() {
    for text in [
        "a.example:",
        "a.example:080",
        "a.example:00",
        "a.example:65536",
        "a.example:+1",
        "a.example:-1",
        "a.example:x",
        "a.example:8 ",
        "[::1]:",
    ] {
        assert_no_pattern("O4", text, &InvalidPattern::Port);
    }
    assert_matches("O4", "a.example:0", &["http://a.example:0"]);
}

#[test]
fn o5_hosts_compare_without_letter_case_and_after_idna() {
    for pattern in [
        "B\u{dc}CHER.example",
        "b\u{fc}cher.example",
        "bu\u{308}cher.example",
        "xn--bcher-kva.example",
        "XN--BCHER-KVA.EXAMPLE",
    ] {
        assert_matches("O5", pattern, &["https://xn--bcher-kva.example", "https://XN--bcher-kva.EXAMPLE"]);
        assert_differs("O5", pattern, &["https://bucher.example", "https://buecher.example"]);
        assert_matches("O5", &format!("*.{pattern}"), &["https://a.xn--bcher-kva.example"]);
    }
    // Non-transitional: the sharp s is a letter of its own.
    assert_matches("O5", "fa\u{df}.de", &["https://xn--fa-hia.de"]);
    assert_differs("O5", "fa\u{df}.de", &["https://fass.de"]);
    assert_matches("O5", "\u{ff45}xample.com", &["https://example.com"]);
    for text in [
        "xn--a.example",
        "xn--.example",
        "*.xn--a",
        "\u{301}a.example",
        "a\u{fffd}.example",
        "a\u{a0}b.example",
        "b\u{fc}cher .example",
        "[b\u{fc}cher]",
    ] {
        assert_no_pattern("O5", text, &InvalidPattern::Idna);
    }
}

#[test]
fn o5_a_trailing_dot_is_dropped_on_both_sides() {
    for pattern in ["a.example", "a.example.", "*.example", "*.example.", "b\u{fc}cher.a.example."] {
        let host = if pattern.starts_with('b') { "xn--bcher-kva.a.example" } else { "a.example" };
        assert_matches("O5", pattern, &[&format!("https://{host}"), &format!("https://{host}.")]);
    }
    for text in [
        "a.example..",
        "a..example",
        "a..b..example",
        ".a.example",
        "*..example",
        ".",
        "*.example..",
        "\u{ad}.example",
    ] {
        assert_no_pattern("O5", text, &InvalidPattern::EmptyLabel);
    }
}

/// Every character beyond ASCII whose compatibility decomposition (NFKC) has a `*`, `.` or `/`.
const LOOKALIKES: &str = "\
    \u{2024}\u{2025}\u{2026}\u{2100}\u{2101}\u{2105}\u{2106}\u{2488}\u{2489}\u{248a}\
    \u{248b}\u{248c}\u{248d}\u{248e}\u{248f}\u{2490}\u{2491}\u{2492}\u{2493}\u{2494}\
    \u{2495}\u{2496}\u{2497}\u{2498}\u{2499}\u{249a}\u{249b}\u{33c2}\u{33c7}\u{33d8}\
    \u{fe19}\u{fe30}\u{fe52}\u{fe61}\u{ff0a}\u{ff0e}\u{ff0f}\u{1f100}";

#[test]
fn o5_a_character_that_maps_to_pattern_syntax_makes_no_pattern() {
    let targets =
        ["https://a.example.com", "https://aexample.com", "https://a.example.com.evil.test", "null"];
    for character in LOOKALIKES.chars().chain("\u{3002}\u{ff61}".chars()) {
        for text in [
            format!("{character}"),
            format!("{character}.example.com"),
            format!("a{character}example.com"),
            format!("https://a.example.com{character}"),
            format!("*{character}example.com"),
            format!("https://*.a{character}com"),
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "O5: {text:?}");
            for target in targets {
                assert!(
                    !audience_matches(&text, &origin(target), AnyOrigin::Counts),
                    "O5: {text:?} against {target}"
                );
            }
        }
    }
    for (text, lookalike) in [
        ("\u{ff0a}", '\u{ff0a}'),
        ("\u{ff0a}.example.com", '\u{ff0a}'),
        ("a\u{3002}example", '\u{3002}'),
        ("a\u{ff0e}example", '\u{ff0e}'),
        ("a\u{ff61}example", '\u{ff61}'),
        ("evil.test\u{ff0f}.example", '\u{ff0f}'),
        ("\u{2100}.example", '\u{2100}'),
    ] {
        assert_no_pattern("O5", text, &InvalidPattern::Lookalike(lookalike));
    }
    // Other syntax that comes out of IDNA is refused by it.
    for text in ["a\u{ff1a}80", "user\u{ff20}a.example", "\u{ff3b}::1]", "a.example\u{ff1f}b", "a\u{ff05}41"]
    {
        assert!(text.parse::<OriginPattern>().is_err(), "O5: {text:?}");
    }
    assert_no_pattern("O5", "a\u{ff0c}b.example", &InvalidPattern::HostCharacter);
}

#[test]
fn o6_null_matches_the_star_alone() {
    for text in ["null", "NULL"] {
        assert!(origin(text).is_null(), "{text}");
        assert_matches("O6", "*", &[text]);
        for pattern in ["null", "null:*", "https://null", "*.null", "localhost:*"] {
            assert_differs("O6", pattern, &[text]);
        }
    }
    assert!(!origin("https://null").is_null(), "O6: a host of that name");
}

#[test]
fn o7_a_path_behind_the_authority_counts_for_nothing() {
    let own = origin("https://api.voicegain.ai");
    let other = origin("https://evil.test");
    for aud in [
        "https://api.voicegain.ai/v1",
        "https://api.voicegain.ai/",
        "api.voicegain.ai/v1",
        "api.voicegain.ai:*/http://x",
    ] {
        assert!(audience_matches(aud, &own, AnyOrigin::Counts), "O7: {aud}");
        assert!(!audience_matches(aud, &other, AnyOrigin::Counts), "O7: {aud}");
        assert!(aud.parse::<OriginPattern>().is_err(), "O7 is for `aud` alone: {aud}");
    }
    for aud in [
        "https://api.voicegain.ai?x",
        "https://api.voicegain.ai#x",
        "https://api.voicegain.ai\\v1",
        "/https://api.voicegain.ai",
        "https:///api.voicegain.ai",
        "",
        "/",
        " https://api.voicegain.ai",
    ] {
        assert!(!audience_matches(aud, &own, AnyOrigin::Counts), "O7: {aud:?} is no pattern");
    }
    for aud in [
        "https://evil.test/.api.voicegain.ai",
        "https://evil.test/https://api.voicegain.ai",
        "evil.test/://api.voicegain.ai",
        "https://evil.test#.api.voicegain.ai",
        "https://api.voicegain.ai@evil.test",
        "https://evil.test@api.voicegain.ai",
    ] {
        assert!(!audience_matches(aud, &own, AnyOrigin::Counts), "O7: {aud:?}");
    }
}
