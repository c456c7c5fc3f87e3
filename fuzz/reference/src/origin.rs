//! Origins and patterns (rules O2 to O7), with hosts read by the `url` crate.

use idna::AsciiDenyList;
use unicode_normalization::UnicodeNormalization as _;
use url::Host;

/// An origin that is not `null`.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    pub scheme: String,
    pub host: Host<String>,
    pub port: Option<u16>,
}

/// The value of an `Origin` header: `None` if it is no serialised origin, `Some(None)` for `null`.
pub fn read(value: &[u8]) -> Option<Option<Origin>> {
    if !value.is_ascii() {
        return None;
    }
    let text = String::from_utf8(value.to_vec()).ok()?.to_ascii_lowercase();
    if text == "null" {
        return Some(None);
    }
    let (scheme, authority) = text.split_once("://")?;
    if !is_scheme(scheme) || authority.contains(['/', '@']) {
        return None;
    }
    let (host_text, port) = split_port(authority)?;
    let host = host(host_text)?;
    // As a browser writes it: addresses in their shortest form.
    if let Host::Ipv6(_) = host
        && host.to_string() != host_text
    {
        return None;
    }
    let port = match port {
        Some(port) => Some(self::port(port)?),
        None => default_port(scheme),
    };
    Some(Some(Origin { scheme: scheme.to_owned(), host, port }))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" | "wss" => Some(443),
        "http" | "ws" => Some(80),
        _ => None,
    }
}

fn port(text: &str) -> Option<u16> {
    // The one way to write it.
    text.parse::<u16>().ok().filter(|port| port.to_string() == text)
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let host_end = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    match authority[host_end..].find(':') {
        None if host_end == 0 || host_end == authority.len() => Some((authority, None)),
        Some(at) if host_end == 0 || at == 0 => {
            Some((&authority[..host_end + at], Some(&authority[host_end + at + 1..])))
        }
        _ => None,
    }
}

/// An ASCII host in lower case that a browser leaves as it is; its trailing dot is dropped. Beyond the URL standard no comma, no
/// empty label, and no Punycode in what is longer than any name in the DNS.
pub fn host(text: &str) -> Option<Host<String>> {
    match Host::parse(text).ok()? {
        Host::Domain(domain) => {
            let dotless = domain.strip_suffix('.').unwrap_or(&domain);
            let odd = domain != text
                || domain.contains(',')
                || dotless.split('.').any(str::is_empty)
                || (text.len() > 254 && dotless.split('.').any(|label| label.starts_with("xn--")));
            (!odd).then(|| Host::Domain(dotless.to_owned()))
        }
        Host::Ipv4(address) => (address.to_string() == text).then_some(Host::Ipv4(address)),
        Host::Ipv6(address) => Some(Host::Ipv6(address)),
    }
}

/// A pattern taken apart.
#[derive(Debug, PartialEq)]
pub enum Pattern {
    Any,
    Some { scheme: Option<String>, below: bool, host: Host<String>, port: Port },
}

#[derive(Debug, PartialEq)]
pub enum Port {
    Default,
    Any,
    Is(u16),
}

/// What may follow the authority.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tail {
    Nothing,
    Slash,
    Anything,
}

/// `None`: it is no pattern.
pub fn pattern(text: &str, tail: Tail) -> Option<Pattern> {
    if text == "*" {
        return Some(Pattern::Any);
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => (Some(scheme.to_ascii_lowercase()), rest),
        _ => (None, text),
    };
    if scheme.as_ref().is_some_and(|scheme| !is_scheme(scheme)) {
        return None;
    }
    let (authority, behind) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, ""),
    };
    if !(behind.is_empty() || tail == Tail::Anything || (tail == Tail::Slash && behind == "/")) {
        return None;
    }
    let (host, port) = split_port(authority)?;
    let port = match port {
        None => Port::Default,
        Some("*") => Port::Any,
        Some(text) => Port::Is(self::port(text)?),
    };
    let (below, host) = host.strip_prefix("*.").map_or((false, host), |base| (true, base));
    let host = pattern_host(host)?;
    if below && !matches!(host, Host::Domain(_)) {
        return None;
    }
    Some(Pattern::Some { scheme, below, host, port })
}

/// A pattern's host, in any script. The `*` is looked for before IDNA (rule O5).
fn pattern_host(text: &str) -> Option<Host<String>> {
    // Whatever would become one of the characters that structure a pattern, by its compatibility decomposition or as a full stop.
    let stands_for_another =
        |c: char| !c.is_ascii() && c.nfkc().any(|c| matches!(c, '*' | '.' | '/' | '\u{3002}'));
    if text.contains('*') || text.chars().any(stands_for_another) {
        return None;
    }
    if text.is_ascii() {
        return host(&text.to_ascii_lowercase());
    }
    host(&idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::URL).ok()?)
}

/// Whether a pattern stands for an origin; `*` for `null` too, if it counts.
pub fn matches(pattern: &Pattern, origin: Option<&Origin>, any_counts: bool) -> bool {
    let Pattern::Some { scheme, below, host, port } = pattern else { return any_counts };
    let Some(origin) = origin else { return false };
    let scheme_fits = match scheme {
        None => matches!(&*origin.scheme, "http" | "https"),
        Some(scheme) => *scheme == origin.scheme,
    };
    let port_fits = match port {
        Port::Any => true,
        Port::Default => origin.port == default_port(&origin.scheme),
        Port::Is(port) => origin.port == Some(*port),
    };
    let host_fits = match (host, &origin.host) {
        (Host::Domain(base), Host::Domain(domain)) if *below => {
            domain.strip_suffix(base.as_str()).is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
        }
        (host, other) => !below && host == other,
    };
    scheme_fits && port_fits && host_fits
}

/// Whether a domain is a listed public suffix.
fn is_listed(domain: &str) -> bool {
    let suffix = psl::suffix(domain.as_bytes());
    suffix.is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == domain.as_bytes())
}

/// Whether a pattern is a wildcard over a public suffix (rule M4).
pub fn is_over_public_suffix(pattern: &Pattern) -> bool {
    let Pattern::Some { below: true, host: Host::Domain(base), .. } = pattern else { return false };
    // Under a listed wildcard any label makes a suffix.
    is_listed(base) || is_listed(&format!("--no-such-label.{base}"))
}

/// Whether `aud` may be minted, or stand in `allowedOrigins`.
pub fn may_be_set(text: &str, tail: Tail) -> bool {
    let web_socket = pattern(text, Tail::Anything).is_some_and(|pattern| {
        matches!(&pattern, Pattern::Some { scheme: Some(scheme), .. } if scheme == "ws" || scheme == "wss")
    });
    pattern(text, tail).is_some_and(|pattern| !is_over_public_suffix(&pattern)) && !web_socket
}

/// Whether an origin's host and port are those of an authority (rule O8).
pub fn is_authority(origin: &Origin, authority: &str) -> bool {
    let authority = authority.to_ascii_lowercase();
    let Some((host_text, port)) = split_port(&authority) else { return false };
    let port = match port {
        Some(text) => self::port(text),
        None => default_port(&origin.scheme),
    };
    authority.is_ascii()
        && port.is_some()
        && port == origin.port
        && host(host_text) == Some(origin.host.clone())
}

/// An origin as text.
pub fn written(scheme: &str, host: &Host<String>, port: Option<u16>) -> String {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}")
}
