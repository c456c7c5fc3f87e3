//! The request's own host and port (rule O8).

use std::net::Ipv6Addr;

use voicegain_auth_core::{Field, Reason, Rejection, RequestHead};

/// Refuses a request without an authority, with two, or with one that is none.
///
/// # Errors
/// `invalid_request`.
pub(crate) fn check<H: RequestHead>(head: &H) -> Result<(), Rejection> {
    let refuse = |detail: &'static str| Err(Rejection::new(Reason::InvalidRequest, detail));
    let mut hosts = head.values(Field::Host);
    let host = hosts.next();
    if hosts.next().is_some() {
        return refuse("There are two Host headers; send one.");
    }
    let Ok(host) = host.map(str::from_utf8).transpose() else {
        return refuse("The Host header is no host; send the host's name.");
    };
    let (authority, other) = match (head.target_authority(), host) {
        (Some(target), host) => (target, host),
        (None, Some(host)) => (host, None),
        (None, None) => return refuse("There is no Host header; send one."),
    };
    if other.is_some_and(|other| !other.eq_ignore_ascii_case(authority)) {
        return refuse("The Host header and the request's target name two hosts; send one.");
    }
    if is_host_and_port(authority) {
        return Ok(());
    }
    refuse("The request's host is none; send a name or an address, and perhaps a port.")
}

/// Whether this is `uri-host [":" port]` (RFC 9110 section 7.2, RFC 3986 section 3.2), as every reader reads it.
fn is_host_and_port(text: &str) -> bool {
    let (is_host, rest) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, rest)) => (address.parse::<Ipv6Addr>().is_ok(), rest),
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_name(name), rest)
        }
    };
    is_host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// What RFC 3986 lets a name have, but for two: with a comma two joined headers would be one host, and it is passed on
/// in `X-Forwarded-Host`, which is a list; what is behind a `%` is read by some as the character it stands for.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain)
}

/// A port may be empty.
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text.is_empty() || text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HttpHead;

    #[test]
    fn o8_what_a_host_and_its_port_are() {
        for text in [
            "gw.example",
            "gw.example.",
            "my_service:8080",
            "gw:",
            "gw:0",
            "gw:080",
            "gw:65535",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:",
        ] {
            assert!(is_host_and_port(text), "{text}");
        }
        for text in [
            "",
            ":80",
            "gw:80x",
            "gw:x",
            "gw:+80",
            "gw:-1",
            "gw:80:80",
            "gw:65536",
            "gw: 80",
            "a,b",
            "a b",
            " a",
            "a\tb",
            "a@b",
            "a@b:80",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%62",
            "b\u{fc}cher.example",
            "http://gw",
            "[::1",
            "[::1]x",
            "[::1]80",
            "[::1]:80x",
            "[gw]",
            "[]",
            "::1",
            "[fe80::1%25eth0]",
        ] {
            assert!(!is_host_and_port(text), "{text}");
        }
    }

    #[test]
    fn o8_one_authority() {
        for (target, hosts, good) in [
            ("/v1/x", &["gw.example"] as &[&str], true),
            ("/v1/x", &["gw.example:8080"], true),
            ("http://gw.example/v1/x", &[], true),
            ("http://gw.example/v1/x", &["GW.example"], true),
            ("http://gw.example/v1/x", &["other.example"], false),
            ("http://gw.example/v1/x", &["gw.example:81"], false),
            ("http://gw.example:80x/v1/x", &[], false),
            ("http://gw.example:80x/v1/x", &["gw.example:80x"], false),
            ("http://user@gw.example/v1/x", &[], false),
            ("/v1/x", &[], false),
            ("/v1/x", &[""], false),
            ("/v1/x", &["gw.example", "gw.example"], false),
            ("/v1/x", &["gw.example:80x"], false),
            ("/v1/x", &["gw.example, other.example"], false),
        ] {
            let mut request = http::Request::get(target);
            for host in hosts {
                request = request.header("host", *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let checked = check(&HttpHead(&parts)).map_err(|refused| refused.reason());
            let expected = if good { Ok(()) } else { Err(Reason::InvalidRequest) };
            assert_eq!(checked, expected, "{target} {hosts:?}");
        }
    }
}
