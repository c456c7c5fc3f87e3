//! One strict JSON object (rule W5), on top of serde_json.
//!
//! Where serde_json is of another mind: it takes duplicate members, nests 128 deep, skips over lone surrogates in what it does
//! not read, and refuses numbers that no `f64` holds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of an object, in order, each value as it was written.
pub struct Members(Vec<(String, Box<RawValue>)>);

/// A value as it counts here.
pub enum Kind {
    Text(String),
    Texts(Vec<String>),
    /// As it was written.
    Number(String),
    Flag(bool),
    Other,
}

impl Members {
    /// `None`: it is not one strict object.
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let plain = without_numbers(text);
        if depth(text) > 64 || !serde_json::from_str::<Value>(&plain).ok()?.is_object() {
            return None;
        }
        let members: Self = serde_json::from_str(text).expect("with its numbers in place");
        let is_repeated = |at: usize| members.0[..at].iter().any(|(name, _)| *name == members.0[at].0);
        (0..members.0.len()).all(|at| !is_repeated(at)).then_some(members)
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<Kind> {
        let (_, raw) = self.0.iter().find(|(other, _)| other == name)?;
        let raw = raw.get();
        if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Some(Kind::Number(raw.to_owned()));
        }
        let value = serde_json::from_str(&without_numbers(raw)).expect("it was read before");
        Some(match value {
            Value::String(text) => Kind::Text(text),
            Value::Bool(flag) => Kind::Flag(flag),
            Value::Array(values) => values
                .into_iter()
                .map(|value| if let Value::String(text) = value { Some(text) } else { None })
                .collect::<Option<_>>()
                .map_or(Kind::Other, Kind::Texts),
            _ => Kind::Other,
        })
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is such a member.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The text's pieces: strings with their quotes, and what stands between them.
fn pieces(text: &str) -> Vec<(bool, &str)> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find('"') {
        let mut escaped = false;
        let end = rest.bytes().enumerate().skip(start + 1).find_map(|(at, byte)| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends.then_some(at + 1)
        });
        let end = end.unwrap_or(rest.len());
        pieces.push((false, &rest[..start]));
        pieces.push((true, &rest[start..end]));
        rest = &rest[end..];
    }
    pieces.push((false, rest));
    pieces
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for (is_string, piece) in pieces(text) {
        for byte in piece.bytes().filter(|_| !is_string) {
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
    }
    deepest
}

/// The text with a zero in the place of every number that is written as JSON writes them.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    for (is_string, piece) in pieces(text) {
        if is_string {
            plain.push_str(piece);
            continue;
        }
        let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        // `true` and `false` have an `e` and are no numbers.
        let mut rest = piece;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '-') {
            let end = rest[start..].find(|c| !is_of_number(c)).map_or(rest.len(), |end| start + end);
            plain.push_str(&rest[..start]);
            plain.push_str(if is_number(&rest[start..end]) { "0" } else { &rest[start..end] });
            rest = &rest[end..];
        }
        plain.push_str(rest);
    }
    plain
}

/// RFC 8259 section 6.
pub fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(integer)
        && (integer.len() == 1 || !integer.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}
