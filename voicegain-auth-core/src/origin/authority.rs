//! What stands around a host: the scheme before it and the port behind it.

/// The text before the first `://` and the text behind it. A `://` further on, in a path, is no scheme's.
pub(super) fn split_scheme(text: &str) -> Option<(&str, &str)> {
    // Nearly every page has this one.
    if let Some(rest) = text.strip_prefix("https://") {
        return Some(("https", rest));
    }
    let at = text.as_bytes().windows(3).position(|three| three == b"://")?;
    let (scheme, rest) = text.split_at_checked(at)?;
    if scheme.bytes().any(|byte| byte == b'/') { None } else { Some((scheme, rest.strip_prefix("://")?)) }
}

/// Whether this is a scheme as RFC 3986 section 3.1 writes it.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Whether pages of the web have this scheme: what a pattern without a scheme stands for (rule O4).
pub(super) fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Whether this is a scheme of WebSocket URLs, which a browser never sends as an origin.
pub(super) fn is_web_socket(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("ws") || scheme.eq_ignore_ascii_case("wss")
}

/// The port that is meant when none is written. Only the web's schemes have one (rule O4); those of WebSocket
/// URLs are here because some clients that are no browsers send the URL they connect to as their origin.
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    const DEFAULT_PORTS: [(&str, u16); 4] = [("https", 443), ("http", 80), ("ws", 80), ("wss", 443)];
    let mut known = DEFAULT_PORTS.iter();
    known.find(|(name, _)| scheme.eq_ignore_ascii_case(name)).map(|&(_, port)| port)
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`, neither of them checked. `None` if something
/// other than a port follows the brackets.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if !authority.starts_with('[') {
        let colon =
            authority.bytes().position(|byte| byte == b':').and_then(|at| authority.split_at_checked(at));
        return Some(match colon {
            Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
            None => (authority, None),
        });
    }
    let (host, rest) = authority.split_at_checked(authority.find(']')?.checked_add(1)?)?;
    if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) }
}

/// A port the way it is serialised: decimal digits without leading zeros, 65535 at most (rule O2).
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    if digits && shortest { text.parse().ok() } else { None }
}
