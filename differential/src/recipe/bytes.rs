//! Damage to the bytes of header or payload, before they are encoded.

use super::{Damage, Stage, Work, either};
use crate::dice::Dice;

/// What is put into a string that is no plain text.
const IN_STRINGS: &[(&str, &[u8])] = &[
    ("a byte that is no UTF-8", b"\xff"),
    ("a cut character", b"\xe2\x82"),
    ("an overlong slash", b"\xc0\xaf"),
    ("an encoded surrogate", b"\xed\xa0\x80"),
    ("an encoded pair of surrogates", b"\xed\xa0\xbd\xed\xb4\x91"),
    ("a character past the last", b"\xf4\x90\x80\x80"),
    ("a NUL", b"\0"),
    ("a newline", b"\n"),
    ("a unit separator", b"\x1f"),
    ("a byte-order mark", b"\xef\xbb\xbf"),
];

pub(super) const DAMAGES: &[Damage] = &[
    Damage { stage: Stage::Bytes, act: one_byte },
    Damage { stage: Stage::Bytes, act: one_byte },
    Damage {
        stage: Stage::Bytes,
        act: |work, dice| {
            let (part, name) = either(dice);
            let (what, bytes) = *dice.pick(IN_STRINGS);
            let json = &mut work.parts[part];
            // In a string of its own, at the end of the object.
            let end = json.iter().rposition(|byte| *byte == b'}').unwrap_or(json.len());
            let member = [b",\"x\":\"", bytes, b"\""].concat();
            json.splice(end..end, member);
            format!("{what} in a string of the {name}")
        },
    },
    Damage {
        stage: Stage::Bytes,
        act: |work, dice| {
            let (part, name) = either(dice);
            let (what, bytes) = *dice.pick::<(&str, &[u8])>(&[
                ("a byte-order mark", b"\xef\xbb\xbf"),
                ("two byte-order marks", b"\xef\xbb\xbf\xef\xbb\xbf"),
                ("a space", b" "),
                ("white space", b"\r\n\t "),
                ("a NUL", b"\0"),
                ("a form feed", b"\x0c"),
                ("half a byte-order mark", b"\xef\xbb"),
                ("XSSI protection", b")]}'\n"),
            ]);
            work.parts[part].splice(0..0, bytes.iter().copied());
            format!("{what} before the {name}")
        },
    },
    Damage {
        stage: Stage::Bytes,
        act: |work, dice| {
            let (part, name) = either(dice);
            let (what, bytes) = *dice.pick::<(&str, &[u8])>(&[
                ("white space", b" \r\n\t"),
                ("a NUL", b"\0"),
                ("a brace", b"}"),
                ("an object", b"{}"),
                ("a comma", b","),
                ("a letter", b"x"),
                ("a comment", b"//"),
                ("a byte-order mark", b"\xef\xbb\xbf"),
                ("a byte that is no UTF-8", b"\xff"),
                ("a no-break space", b"\xc2\xa0"),
            ]);
            work.parts[part].extend_from_slice(bytes);
            format!("{what} behind the {name}")
        },
    },
    Damage {
        stage: Stage::Bytes,
        act: |work, dice| {
            let (part, name) = either(dice);
            let json = String::from_utf8_lossy(&work.parts[part]).into_owned();
            let other = match dice.below(8) {
                0 => format!("[{json}]"),
                1 => format!("{json:?}"),
                2 => "null".into(),
                3 => "1".into(),
                4 => String::new(),
                5 => "{}".into(),
                6 => "\"alg\"".into(),
                _ => "[\"alg\"]".into(),
            };
            let recipe = format!("{name} is {}", super::short(&other));
            work.parts[part] = other.into_bytes();
            recipe
        },
    },
    Damage {
        stage: Stage::Bytes,
        act: |work, dice| {
            let (part, name) = either(dice);
            let length = dice.below(work.parts[part].len());
            work.parts[part].truncate(length);
            format!("{name} cut after {length} bytes")
        },
    },
    Damage { stage: Stage::Bytes, act: other_encoding },
];

fn one_byte(work: &mut Work<'_>, dice: &mut Dice) -> String {
    let (part, name) = either(dice);
    let json = &mut work.parts[part];
    let at = dice.below(json.len());
    let byte =
        if dice.percent(60) { *dice.pick(b"0123456789abzAS\"{}[],:.-+eE \\/") } else { dice.throw() as u8 };
    let how = dice.below(3);
    match (how, json.get_mut(at)) {
        (0, Some(place)) => *place = byte,
        (1, Some(_)) => drop(json.remove(at)),
        _ => json.insert(at.min(json.len()), byte),
    }
    format!("{} byte {byte:#04x} at {at} of the {name}", ["other", "removed, not", "one more"][how])
}

fn other_encoding(work: &mut Work<'_>, dice: &mut Dice) -> String {
    let (part, name) = either(dice);
    let text = String::from_utf8_lossy(&work.parts[part]).into_owned();
    let mark = dice.percent(50);
    let text = if mark { format!("\u{feff}{text}") } else { text };
    let (encoding, bytes): (_, Vec<u8>) = match dice.below(5) {
        0 => ("UTF-16LE", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        1 => ("UTF-16BE", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        2 => ("UTF-32LE", text.chars().flat_map(|it| u32::from(it).to_le_bytes()).collect()),
        3 => ("UTF-32BE", text.chars().flat_map(|it| u32::from(it).to_be_bytes()).collect()),
        _ => ("ISO 8859-1", text.chars().map(|it| u8::try_from(u32::from(it)).unwrap_or(b'?')).collect()),
    };
    work.parts[part] = bytes;
    format!("{name} in {encoding}{}", if mark { " with a byte-order mark" } else { "" })
}
