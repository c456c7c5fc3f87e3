//! What an origin pattern means, shown by examples. The matcher that decides about requests judges each of them, so that what
//! is shown is what happens.

use serde::Serialize;
use voicegain_auth_core::origin::{Origin, OriginPattern};

/// How many examples of a kind are shown.
const EXAMPLES: usize = 3;

/// What a pattern means, or what is wrong with it.
#[derive(Debug, Serialize)]
pub(super) struct Meaning {
    pattern: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Origins that it matches.
    matches: Vec<String>,
    /// Origins that somebody might expect it to match.
    differs: Vec<String>,
}

/// Of each line of a text that is not empty.
pub(super) fn of_lines(text: &str) -> Vec<Meaning> {
    lines(text).map(Meaning::of).collect()
}

/// The patterns of a text, one on each line.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

impl Meaning {
    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    pub(super) fn matches(&self) -> &[String] {
        &self.matches
    }

    pub(super) fn differs(&self) -> &[String] {
        &self.differs
    }

    fn of(text: &str) -> Self {
        let pattern = text.to_owned();
        match OriginPattern::parse_allowed(text) {
            Err(error) => {
                let (problem, matches, differs) = (Some(error.to_string()), Vec::new(), Vec::new());
                Self { pattern, problem, matches, differs }
            }
            Ok(read) => {
                let (mut matches, mut differs) = (Vec::new(), Vec::new());
                for text in candidates(text) {
                    let Ok(origin) = Origin::parse(text.as_bytes()) else { continue };
                    let examples = if read.matches(&origin) { &mut matches } else { &mut differs };
                    if examples.len() < EXAMPLES {
                        examples.push(text);
                    }
                }
                Self { pattern, problem: None, matches, differs }
            }
        }
    }
}

/// Origins that have to do with a pattern, the nearest first.
fn candidates(pattern: &str) -> Vec<String> {
    if pattern == "*" {
        return ["https://any.example", "http://localhost:3000", "null"].map(str::to_owned).into();
    }
    let (scheme, rest) =
        pattern.split_once("://").map_or((None, pattern), |(scheme, rest)| (Some(scheme), rest));
    let rest = rest.split('/').next().unwrap_or_default();
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let port = port.filter(|port| *port != "*").map_or(String::new(), |port| format!(":{port}"));
    let host = ascii(host);
    let own = scheme.unwrap_or("https").to_ascii_lowercase();
    let other = if own == "https" { "http" } else { "https" };
    let mut all = Vec::new();
    match host.strip_prefix("*.") {
        Some(base) => {
            all.push(format!("{own}://a.{base}{port}"));
            all.push(format!("{own}://b.a.{base}{port}"));
            all.push(format!("{own}://{base}{port}"));
            all.push(format!("{other}://a.{base}{port}"));
            all.push(format!("{own}://a.{base}:9443"));
        }
        None => {
            all.push(format!("{own}://{host}{port}"));
            all.push(format!("{other}://{host}{port}"));
            all.push(format!("{own}://{host}:9443"));
            all.push(format!("{own}://www.{host}{port}"));
        }
    }
    all
}

/// As browsers write a host in an origin.
fn ascii(host: &str) -> String {
    let (wildcard, name) = host.strip_prefix("*.").map_or(("", host), |name| ("*.", name));
    let name = idna::domain_to_ascii(name).unwrap_or_else(|_| name.to_ascii_lowercase());
    format!("{wildcard}{}", name.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &str) -> String {
        let meaning = Meaning::of(pattern);
        match meaning.problem {
            Some(problem) => problem,
            None => format!("{} | {}", meaning.matches.join(" "), meaning.differs.join(" ")),
        }
    }

    #[test]
    fn what_a_pattern_matches_and_what_not() {
        for (pattern, expected) in [
            (
                "https://*.shop.example",
                "https://a.shop.example https://b.a.shop.example | https://shop.example http://a.shop.example https://a.shop.example:9443",
            ),
            (
                "HTTPS://App.Shop.example",
                "https://app.shop.example | http://app.shop.example https://app.shop.example:9443 https://www.app.shop.example",
            ),
            (
                "localhost:8080",
                "https://localhost:8080 http://localhost:8080 | https://localhost:9443 https://www.localhost:8080",
            ),
            ("http://127.0.0.1:*", "http://127.0.0.1 http://127.0.0.1:9443 | https://127.0.0.1"),
            ("[::1]:8080", "https://[::1]:8080 http://[::1]:8080 | https://[::1]:9443"),
            ("*", "https://any.example http://localhost:3000 null | "),
        ] {
            assert_eq!(shown(pattern), expected, "{pattern}");
        }
        assert!(shown("*.com").contains("strangers"), "M4: {}", shown("*.com"));
        assert!(shown("https://*").contains('*'));
    }

    #[test]
    fn every_pattern_has_an_example_of_both_kinds() {
        for pattern in [
            "bücher.example",
            "*.bücher.example",
            "a.example.",
            "capacitor://localhost",
            "https://a.example:8443",
        ] {
            let meaning = Meaning::of(pattern);
            assert!(!meaning.matches.is_empty() && !meaning.differs.is_empty(), "{meaning:?}");
        }
    }

    #[test]
    fn a_text_is_read_line_by_line() {
        assert_eq!(lines(" a.example \n\n\r\nb.example").collect::<Vec<_>>(), ["a.example", "b.example"]);
        assert_eq!(of_lines("a.example\nhttps://*").iter().filter(|it| it.problem.is_some()).count(), 1);
    }
}
