//! What a token says (rules W1 to W6).

use std::time::Duration;

use base64::Engine as _;
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::fuzzing::Said;

use super::json::{Kind, Members};
use super::mac::{BASE64URL, mac};
use super::path;

/// A token that is well formed.
pub struct Token {
    pub said: Said,
    signing_input: Vec<u8>,
    signature: Vec<u8>,
}

impl Token {
    /// Whether it is signed with this key.
    pub fn is_signed(&self, key: &[u8]) -> bool {
        mac(key, &self.signing_input)[..] == self.signature
    }
}

/// `None`: it is malformed.
pub fn read(token: &[u8]) -> Option<Token> {
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let [header, payload, signature] = parts[..] else { return None };
    if token.len() > 8_192 || header.is_empty() || payload.is_empty() || signature.is_empty() {
        return None;
    }
    let [header_json, payload_json, signature] =
        [header, payload, signature].map(|part| BASE64URL.decode(part).ok());
    let (header_json, payload_json, signature) = (header_json?, payload_json?, signature?);
    let header_members = Members::read(&header_json)?;
    let is_hs256 = matches!(header_members.get("alg"), Some(Kind::Text(alg)) if alg == "HS256");
    if signature.len() != 32 || !is_hs256 || header_members.has("crit") {
        return None;
    }
    let signing_input = token[..header.len() + 1 + payload.len()].to_vec();
    Some(Token { said: said(&payload_json)?, signing_input, signature })
}

/// What a payload says.
pub fn said(payload: &[u8]) -> Option<Said> {
    let members = Members::read(payload)?;
    let Some(Kind::Text(sub)) = members.get("sub") else { return None };
    let (id, api_path) = subject(&sub)?;
    let audience = match members.get("aud") {
        None => None,
        Some(Kind::Text(text)) => Some(vec![text]),
        Some(Kind::Texts(texts)) => Some(texts),
        Some(_) => return None,
    };
    let time = |name| match members.get(name) {
        None => Some(None),
        Some(Kind::Number(text)) => time(&text).map(Some),
        Some(_) => None,
    };
    Some(Said { audience, id, api_path, expires_at: time("exp")?, not_before: time("nbf")? })
}

/// Rule W4.
fn subject(sub: &str) -> Option<(WebConfigId, Option<String>)> {
    let (path, id) = match sub.strip_prefix("api:") {
        None => (None, sub),
        Some(rest) => {
            let at = rest.rfind(':')?;
            (Some(&rest[..at]), &rest[at + 1..])
        }
    };
    if path.is_some_and(|path| path::is_refused(path, false)) {
        return None;
    }
    Some((uuid(id)?, path.map(str::to_owned)))
}

/// Eight, four, four, four and twelve hexadecimal digits.
pub fn uuid(text: &str) -> Option<WebConfigId> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    if lengths != [8, 4, 4, 4, 12] {
        return None;
    }
    let digits = groups.concat();
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(WebConfigId::from_bytes(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes()))
}

/// The exact value of a JSON number in nanoseconds, rounded up, if it is from 0 to the end of the year 9999.
fn time(text: &str) -> Option<Duration> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let text = text.to_ascii_lowercase();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{integer}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(Duration::ZERO);
    }
    // An exponent that does not fit is far beyond what any digits of a token can bring back.
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') {
        i64::MIN / 2
    } else {
        i64::MAX / 2
    });
    let before_point = integer.len() as i64 - (digits.len() - significant.len()) as i64 + exponent;
    if negative || before_point > 12 {
        return None;
    }
    let wanted = before_point + 9;
    let (whole, finer) = if wanted <= 0 {
        (0, true)
    } else {
        let wanted = wanted as usize;
        let taken: String = significant.chars().chain(std::iter::repeat('0')).take(wanted).collect();
        let finer = significant.chars().skip(wanted).any(|digit| digit != '0');
        (taken.parse::<u128>().ok()?, finer)
    };
    let nanos = whole + u128::from(finer);
    (nanos <= 253_402_300_799 * 1_000_000_000)
        .then(|| Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32))
}
