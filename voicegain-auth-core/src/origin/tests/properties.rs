//! What holds for all texts, tried with generated ones.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::pattern::audience_matches_as_pattern;
use super::super::{AnyOrigin, Origin, OriginPattern, audience_matches};

const CASES: u32 = 2_048;

const PUNYCODE: &[&str] = &[
    "xn--bcher-kva",
    "XN--Bcher-KVA",
    "xn--a",
    "xn--",
    "xn--4ca",
    "xn--fa-hia",
    "xn--55qx5d",
    "xn--a-",
    "xn--mgba3a4f16a",
];

/// Characters that IDNA maps to nothing, to a pattern's syntax, or to something else of interest.
const MAPPED: &[char] =
    &['\u{ad}', '\u{200d}', '\u{3002}', '\u{ff0a}', '\u{ff0e}', '\u{ff0f}', '\u{2024}', '\u{fc}', '\u{df}'];

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_global_rejects: CASES * 16,
        ..ProptestConfig::default()
    }
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-cA-C0-9_-]{1,4}",
        2 => select(vec!["example", "com", "localhost", "EXAMPLE", "a", "b", "evil"]).prop_map(String::from),
        2 => select(PUNYCODE).prop_map(String::from),
        1 => "(0x?)?[0-9a-f]{0,3}",
        1 => "[!-~]{1,2}",
        1 => Just("l".repeat(70)),
    ]
}

fn domain() -> impl Strategy<Value = String> {
    (prop::collection::vec(label(), 1..4), prop::bool::weighted(0.1))
        .prop_map(|(labels, dot)| labels.join(".") + if dot { "." } else { "" })
}

fn ipv6() -> impl Strategy<Value = String> {
    prop_oneof![
        // Close to serialised, zeros in all places.
        prop::collection::vec(select(vec![0_u16, 0, 0, 1, 0xff, 0xabcd, 0xffff]), 8).prop_map(|segments| {
            let segments: [u16; 8] = segments.try_into().unwrap();
            format!("[{}]", std::net::Ipv6Addr::from(segments))
        }),
        (any::<u16>(), any::<u16>()).prop_map(|(high, low)| format!("[::ffff:{high:x}:{low:x}]")),
        any::<u128>().prop_map(|bits| format!("[{}]", std::net::Ipv6Addr::from_bits(bits))),
        "\\[([0-9a-fA-F]{0,2}:){1,7}[0-9a-f]{0,2}\\]",
    ]
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => domain(),
        1 => any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from(bits).to_string()),
        1 => "(0|00|01|1|255|256|0x1|9)(\\.(0|00|01|1|255|256|0x1|9)){0,4}\\.?",
        2 => ipv6(),
    ]
}

fn port() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(String::new()),
        2 => select(vec![":80", ":443", ":8080", ":0", ":65535"]).prop_map(String::from),
        1 => select(vec![":", ":00", ":080", ":65536", ":+80", ":8 0", ":*", ":1:1"]).prop_map(String::from),
        1 => select(vec!["/", "/x", "?", "#"]).prop_map(String::from),
    ]
}

/// Puts one character somewhere, takes one away, or replaces one.
fn mutated(texts: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::char::range('\u{0}', '\u{7f}'),
        1 => select(MAPPED),
        1 => any::<char>(),
    ];
    (texts, prop::option::weighted(0.4, (0..3_u8, any::<Index>(), character))).prop_map(|(text, mutation)| {
        let Some((kind, index, character)) = mutation else { return text };
        let mut characters: Vec<char> = text.chars().collect();
        let at = index.index(characters.len() + 1);
        if kind != 0 && at < characters.len() {
            characters.remove(at);
        }
        if kind != 1 {
            characters.insert(at.min(characters.len()), character);
        }
        characters.into_iter().collect()
    })
}

fn web_origin() -> impl Strategy<Value = String> {
    let scheme = select(vec!["http://", "https://", "HTTP://", "hTTps://"]);
    (scheme, host(), port()).prop_map(|(scheme, host, port)| format!("{scheme}{host}{port}"))
}

fn pattern() -> impl Strategy<Value = String> {
    let scheme = select(vec!["", "", "http://", "https://", "HTTPS://", "capacitor://", "ws://"]);
    let wildcard = select(vec!["", "", "", "*.", "*"]);
    let port = prop_oneof![port(), Just(":*".to_owned())];
    (scheme, wildcard, host(), port)
        .prop_map(|(scheme, wildcard, host, port)| format!("{scheme}{wildcard}{host}{port}"))
}

/// The text with the forgiven differences taken out (rule O2): letter case and an explicit default port.
fn forgiven(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let default_port = if lower.starts_with("https:") { ":443" } else { ":80" };
    lower.strip_suffix(default_port).unwrap_or(&lower).to_owned()
}

/// What a browser could have sent, by the `url` crate; and not one of the two forms that are refused on top.
fn is_serialised_by_url(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let host = url.host_str().unwrap_or_default();
    let domain = host.strip_suffix('.').unwrap_or(host);
    let refused_on_top = host.contains(',') || domain.split('.').any(str::is_empty);
    url.origin().ascii_serialization() == forgiven(text) && !refused_on_top
}

fn is_web(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn o2_an_origin_is_what_the_url_standard_serialises(text in mutated(web_origin())) {
        prop_assume!(is_web(&text));
        prop_assert_eq!(Origin::parse(text.as_bytes()).is_ok(), is_serialised_by_url(&text));
    }

    #[test]
    fn o2_no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = Origin::parse(&bytes);
        if let Ok(text) = str::from_utf8(&bytes) {
            let _ = OriginPattern::parse_minted(text);
        }
    }

    #[test]
    fn o3_an_ascii_host_is_a_pattern_exactly_if_an_origin_can_have_it(host in mutated(domain())) {
        prop_assume!(host.is_ascii() && !host.contains(['*', ':', '/']));
        let as_origin = Origin::parse(format!("https://{host}").as_bytes()).is_ok();
        prop_assert_eq!(format!("https://{host}").parse::<OriginPattern>().is_ok(), as_origin);
    }

    #[test]
    fn o3_every_origin_is_its_own_pattern(text in mutated(web_origin())) {
        prop_assume!(!text.contains('*'));
        if let Ok(origin) = Origin::parse(text.as_bytes()) {
            // Which need not be asked where the two are written alike.
            prop_assert!(audience_matches_as_pattern(&text, &origin, AnyOrigin::Ignored));
            prop_assert!(audience_matches(&text, &origin, AnyOrigin::Ignored));
            let upper = text.to_ascii_uppercase();
            prop_assert!(audience_matches(&upper, &origin, AnyOrigin::Ignored));
        }
    }

    #[test]
    fn o3_a_wildcard_does_not_stand_for_itself(text in mutated(web_origin()), at in any::<Index>()) {
        let mut text = text;
        let places: Vec<_> = text.char_indices().map(|(place, _)| place).collect();
        text.insert(places.get(at.index(places.len() + 1)).copied().unwrap_or(text.len()), '*');
        if let Ok(origin) = Origin::parse(text.as_bytes()) {
            let expected = audience_matches_as_pattern(&text, &origin, AnyOrigin::Counts);
            prop_assert_eq!(audience_matches(&text, &origin, AnyOrigin::Counts), expected);
        }
    }

    #[test]
    fn o3_borrowed_and_owned_patterns_agree(text in mutated(pattern()), origin in web_origin()) {
        let behind_scheme = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
        prop_assume!(!behind_scheme.contains('/'));
        let parsed = text.parse::<OriginPattern>();
        // An origin out of the blue, and those made from the pattern, which have a chance to match.
        let bare = text.replace("*.", "x.").replace(":*", ":8080");
        let made = [bare.clone(), format!("https://{bare}"), format!("http://{bare}"), "null".to_owned()];
        for origin in made.iter().chain([&origin]) {
            if let Ok(origin) = Origin::parse(origin.as_bytes()) {
                let owned = parsed.as_ref().is_ok_and(|pattern| pattern.matches(&origin));
                prop_assert_eq!(audience_matches(&text, &origin, AnyOrigin::Counts), owned);
            }
        }
    }

    #[test]
    fn o5_a_character_before_the_host_makes_it_another_host(
        host in host(),
        character in any::<char>(),
        ascii in 0..0x80_u8,
    ) {
        for character in [character, char::from(ascii)] {
            // IDNA drops a few characters, such as the soft hyphen; what is left is the same host.
            let dropped = idna::domain_to_ascii(&format!("{character}a")).is_ok_and(|mapped| mapped == "a");
            prop_assume!(!dropped && Origin::parse(format!("https://{host}").as_bytes()).is_ok());
            // Nor does the pattern begin to stand for what is below the host.
            let originals = ["https://", "http://", "https://x."].map(|before| format!("{before}{host}"));
            let changed = format!("{character}{host}");
            for changed in [format!("https://{changed}"), format!("{changed}:*"), changed] {
                for original in &originals {
                    if let Ok(origin) = Origin::parse(original.as_bytes()) {
                        let matches = audience_matches(&changed, &origin, AnyOrigin::Counts);
                        prop_assert!(!matches, "{} {}", changed, original);
                    }
                }
            }
        }
    }

    #[test]
    fn o3_a_wildcard_is_below_its_domain_only(
        base in domain(),
        below in "[a-z0-9-]{1,5}(\\.[a-z0-9]{1,5}){0,2}",
        glued in "[a-z0-9-]{1,3}",
    ) {
        let pattern = format!("https://*.{base}");
        prop_assume!(pattern.parse::<OriginPattern>().is_ok());
        for (text, expected) in [
            (format!("https://{below}.{base}"), true),
            (format!("https://{base}"), false),
            (format!("https://{glued}{base}"), false),
            (format!("https://{}.evil.test", base.trim_end_matches('.')), false),
            (format!("https://a.{}.evil.test", base.trim_end_matches('.')), false),
        ] {
            // A bidirectional domain does not take every label before it; what is no origin needs no match.
            if let Ok(origin) = Origin::parse(text.as_bytes()) {
                let matches = audience_matches(&pattern, &origin, AnyOrigin::Counts);
                prop_assert_eq!(matches, expected, "{} {}", pattern, text);
            }
        }
    }
}
