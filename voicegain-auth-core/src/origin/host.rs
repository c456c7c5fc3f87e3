//! Hosts: domains, IPv4 and IPv6 addresses.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;

/// A host. `D` is the text of a domain: ASCII in any letter case, without its trailing dot, no label empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host<D> {
    Domain(D),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// The longest name in the DNS as it is written, with a dot at its end (RFC 1035 section 3.1).
const MAX_DNS_NAME: usize = 254;

/// Why a text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidHost {
    Empty,
    /// A character that no host has.
    Character,
    /// Two dots in a row, at the beginning or at the end.
    EmptyLabel,
    /// It ends like an address and is none: shorthand, hexadecimal, octal, leading zeros, a part above 255.
    Ipv4,
    Ipv6,
    /// A label that begins with `xn--` and is no Punycode of an international one.
    Punycode,
}

impl<'a> Host<&'a str> {
    /// Reads an ASCII host: a domain, four decimal parts, or an IPv6 address in brackets. Nothing is decoded.
    pub(super) fn parse(text: &'a str) -> Result<Self, InvalidHost> {
        if let Some(rest) = text.strip_prefix('[') {
            let address = rest.strip_suffix(']').and_then(|inner| inner.parse().ok());
            return address.map(Self::V6).ok_or(InvalidHost::Ipv6);
        }
        if text.is_empty() {
            return Err(InvalidHost::Empty);
        }
        if text.bytes().fold(false, |any, byte| any | FORBIDDEN.get(usize::from(byte)).unwrap_or(&true)) {
            return Err(InvalidHost::Character);
        }
        let domain = text.strip_suffix('.').unwrap_or(text);
        let bytes = domain.as_bytes();
        // This is done for every request of a page, and looking at label after label takes three times as long.
        let pairs = || bytes.iter().zip(bytes.iter().skip(1));
        let twice = |byte| pairs().fold(false, |any, (one, next)| any | ((*one == byte) & (*next == byte)));
        if domain.is_empty() || bytes.starts_with(b".") || bytes.ends_with(b".") || twice(b'.') {
            return Err(InvalidHost::EmptyLabel);
        }
        let last = bytes.iter().rposition(|byte| *byte == b'.').and_then(|dot| bytes.get(dot + 1..));
        if is_number(last.unwrap_or(bytes)) {
            // Not of `domain`: an address has no trailing dot.
            return text.parse().map(Self::V4).map_err(|_| InvalidHost::Ipv4);
        }
        let punycode = twice(b'-') && bytes.split(|byte| *byte == b'.').any(is_punycode);
        // One that is too long for a name in the DNS is no page's, and IDNA would take long over it.
        if punycode && (text.len() > MAX_DNS_NAME || !is_normal(text)) {
            return Err(InvalidHost::Punycode);
        }
        Ok(Self::Domain(domain))
    }

    /// Reads a host the way a browser serialises it, in any letter case: as [`Host::parse`], and an IPv6
    /// address in its shortest form only.
    pub(super) fn parse_serialised(text: &'a str) -> Result<Self, InvalidHost> {
        match Self::parse(text)? {
            Self::V6(address) if !is_serialised_v6(text, address) => Err(InvalidHost::Ipv6),
            host => Ok(host),
        }
    }
}

impl<D: AsRef<str>> Host<D> {
    /// Whether both are the same host (rule O5).
    pub(super) fn is_same<E: AsRef<str>>(&self, other: &Host<E>) -> bool {
        match (self, other) {
            (Self::Domain(one), Host::Domain(other)) => one.as_ref().eq_ignore_ascii_case(other.as_ref()),
            (Self::V4(one), Host::V4(other)) => one == other,
            (Self::V6(one), Host::V6(other)) => one == other,
            _ => false,
        }
    }

    /// Whether this is a domain with one or more labels before `base` (rule O3).
    pub(super) fn is_below(&self, base: &str) -> bool {
        let Self::Domain(domain) = self else { return false };
        let (domain, base) = (domain.as_ref().as_bytes(), base.as_bytes());
        let Some((rest, end)) =
            domain.len().checked_sub(base.len()).and_then(|at| domain.split_at_checked(at))
        else {
            return false;
        };
        end.eq_ignore_ascii_case(base) && rest.ends_with(b".")
    }
}

/// The forbidden domain code points of the URL standard, everything that is not ASCII, and the comma: it
/// would let two joined headers read as one host (rule O2).
const fn is_forbidden(byte: u8) -> bool {
    !byte.is_ascii_graphic()
        || matches!(
            byte,
            b'%' | b'#' | b'/' | b':' | b'<' | b'>' | b'?' | b'@' | b'[' | b'\\' | b']' | b'^' | b'|' | b','
        )
}

#[allow(clippy::indexing_slicing, reason = "a constant that panics is not compiled")]
static FORBIDDEN: [bool; 256] = {
    let mut forbidden = [false; 256];
    let mut byte = 0;
    while byte < forbidden.len() {
        forbidden[byte] = is_forbidden(byte as u8);
        byte += 1;
    }
    forbidden
};

/// Whether a host with this last label is an IPv4 address or nothing: the "ends in a number" check of the URL
/// standard.
fn is_number(label: &[u8]) -> bool {
    let hexadecimal = label.strip_prefix(b"0x").or_else(|| label.strip_prefix(b"0X"));
    label.iter().all(u8::is_ascii_digit)
        || hexadecimal.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn is_punycode(label: &[u8]) -> bool {
    label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"xn--"))
}

/// Whether IDNA leaves this ASCII host as it is, letter case aside.
fn is_normal(host: &str) -> bool {
    idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::URL)
        .is_ok_and(|ascii| ascii.eq_ignore_ascii_case(host))
}

/// Whether `text` is how the URL standard serialises this address, letter case aside.
fn is_serialised_v6(text: &str, address: Ipv6Addr) -> bool {
    let mut expected = Expected { rest: text.as_bytes() };
    let written = match address.segments() {
        // The standard library writes these as `::ffff:1.2.3.4`, the URL standard does not.
        [0, 0, 0, 0, 0, 0xffff, high, low] => write!(expected, "[::ffff:{high:x}:{low:x}]"),
        _ => write!(expected, "[{address}]"),
    };
    written.is_ok() && expected.rest.is_empty()
}

/// Fails as soon as something else is written than the text that is left, letter case aside.
struct Expected<'a> {
    rest: &'a [u8],
}

impl fmt::Write for Expected<'_> {
    fn write_str(&mut self, written: &str) -> fmt::Result {
        let (next, rest) = self.rest.split_at_checked(written.len()).ok_or(fmt::Error)?;
        self.rest = rest;
        if next.eq_ignore_ascii_case(written.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}
