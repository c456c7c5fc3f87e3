//! From a part's characters to its bytes, and from these to text, each as leniently as any judge.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Class, Classes};

/// A decoder that forgives unused bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes a part. `None`: nobody can.
pub(super) fn decode(part: &[u8], classes: &mut Classes) -> Option<Vec<u8>> {
    let mut text: Vec<u8> = part.iter().copied().filter(|byte| !b" \t\n\r\x0c".contains(byte)).collect();
    if text.len() < part.len() {
        classes.insert(Class::WhiteSpace);
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 0 {
        let is_right = padding <= 2 && text.len().is_multiple_of(4);
        classes.insert(if is_right { Class::Padding } else { Class::WrongPadding });
        text.truncate(text.len() - padding);
    }
    if !text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)) {
        classes.insert(Class::Alphabet);
        return None;
    }
    if text.len() % 4 == 1 {
        classes.insert(Class::Dangling);
        text.pop();
    }
    let bytes = LENIENT.decode(&text).ok()?;
    if URL_SAFE_NO_PAD.encode(&bytes).as_bytes() != text {
        classes.insert(Class::TrailingBits);
    }
    Some(bytes)
}

/// The text that bytes stand for. `None`: it is none to anybody.
pub(super) fn characters(bytes: &[u8], classes: &mut Classes) -> Option<String> {
    if let Some(text) = wide(bytes) {
        classes.insert(Class::OtherEncoding);
        return text;
    }
    let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => {
            classes.insert(Class::ByteOrderMark);
            rest
        }
        None => bytes,
    };
    if let Ok(text) = str::from_utf8(bytes) {
        return Some(text.to_owned());
    }
    // What is left when surrogates are taken for characters: ED, A0 to BF, 80 to BF.
    let mut rest = bytes.to_vec();
    let mut at = 0;
    let mut surrogates = false;
    while at + 2 < rest.len() {
        if rest[at] == 0xed && rest[at + 1] >= 0xa0 && rest[at + 1] < 0xc0 && rest[at + 2] & 0xc0 == 0x80 {
            rest.splice(at..at + 3, "\u{fffd}".bytes());
            surrogates = true;
        }
        at += 1;
    }
    if surrogates {
        classes.insert(Class::EncodedSurrogate);
    }
    if str::from_utf8(&rest).is_err() {
        classes.insert(Class::InvalidUtf8);
    }
    Some(String::from_utf8_lossy(&rest).into_owned())
}

/// The text of what is UTF-16 or UTF-32 by its byte-order mark or by where its zeros are (RFC 4627 section 3); within, `None`
/// if that is broken.
fn wide(bytes: &[u8]) -> Option<Option<String>> {
    let of_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units = units.iter().map(|bytes| unit(*bytes));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.ok().filter(|_| rest.is_empty())
    };
    let of_32 = |bytes: &[u8], unit: fn([u8; 4]) -> u32| {
        let (units, rest) = bytes.as_chunks::<4>();
        let text: Option<String> = units.iter().map(|bytes| char::from_u32(unit(*bytes))).collect();
        text.filter(|_| rest.is_empty())
    };
    Some(match bytes {
        [0xff, 0xfe, 0, 0, rest @ ..] => of_32(rest, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, rest @ ..] => of_32(rest, u32::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => of_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => of_16(rest, u16::from_be_bytes),
        [0, 0, _, _, ..] => of_32(bytes, u32::from_be_bytes),
        [0, _, _, _, ..] => of_16(bytes, u16::from_be_bytes),
        [_, 0, 0, 0, ..] => of_32(bytes, u32::from_le_bytes),
        [_, 0, _, _, ..] => of_16(bytes, u16::from_le_bytes),
        _ => return None,
    })
}
