//! Damage to header or payload as they are encoded: another way to write the same bytes, or no way to write any.

use super::{Damage, PAYLOAD, Stage, either};
use crate::dice::Dice;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What is no character of base64url, white space aside.
const STRANGERS: &[&[u8]] =
    &[b"+", b"/", b"=", b"\0", b"~", b"!", b"\xff", b"\xc3\xa9", b"%3D", b",", b"\x0b", b"\xa0", b":", b"\\"];

const WHITE_SPACE: &[&[u8]] = &[b" ", b"\t", b"\n", b"\r", b"\x0c", b"\r\n", b"   "];

pub(super) const DAMAGES: &[Damage] = &[
    Damage {
        stage: Stage::Text,
        act: |work, dice| {
            let (part, name) = either(dice);
            malleable(&mut work.parts[part], dice) + " of the " + name
        },
    },
    Damage {
        stage: Stage::Text,
        act: |work, dice| {
            let (part, name) = either(dice);
            malleable(&mut work.parts[part], dice) + " of the " + name
        },
    },
    Damage {
        stage: Stage::Text,
        act: |work, dice| {
            let (part, name) = either(dice);
            one_character(&mut work.parts[part], dice) + " of the " + name
        },
    },
    Damage {
        stage: Stage::Text,
        act: |work, dice| {
            let (part, name) = either(dice);
            let what = *dice.pick(&["empty", "lower case", "standard alphabet", "twice"]);
            let text = &mut work.parts[part];
            match what {
                "empty" => text.clear(),
                "lower case" => text.make_ascii_lowercase(),
                "twice" => text.extend_from_within(..),
                _ => text.iter_mut().for_each(|byte| match *byte {
                    b'-' => *byte = b'+',
                    b'_' => *byte = b'/',
                    _ => {}
                }),
            }
            format!("{name} in base64url: {what}")
        },
    },
    Damage {
        stage: Stage::Text,
        act: |work, dice| {
            // RFC 7797: a payload that is not encoded, which only its header's `b64` can announce.
            let header = br#"{"alg":"HS256","b64":false,"crit":["b64"]}"#;
            work.parts[super::HEADER] = super::encode(header);
            let id = work.owners[work.owner].id;
            let json = *dice.pick(&[
                r#"{"sub":"ID"}"#,
                r#"{"sub":"ID","exp":2100000060}"#,
                r#"{"sub":"ID","exp":1}"#,
                "x",
                "",
            ]);
            work.parts[PAYLOAD] = json.replace("ID", id).into_bytes();
            format!("payload {json} not encoded")
        },
    },
];

/// Writes the same bytes in another way, or comes near to it.
pub(super) fn malleable(text: &mut Vec<u8>, dice: &mut Dice) -> String {
    let at = dice.below(text.len() + 1);
    match dice.below(8) {
        0 | 1 => trailing_bits(text, dice),
        2 => {
            let missing = (4 - text.len() % 4) % 4;
            text.extend(std::iter::repeat_n(b'=', missing));
            format!("{missing} bytes of padding at the end")
        }
        3 => {
            let many = 1 + dice.below(5);
            text.extend(std::iter::repeat_n(b'=', many));
            format!("{many} bytes of padding at the end")
        }
        4 => {
            let white_space = *dice.pick(WHITE_SPACE);
            text.splice(at..at, white_space.iter().copied());
            format!("white space {} at {at}", white_space.escape_ascii())
        }
        5 => {
            let white_space = *dice.pick(WHITE_SPACE);
            text.extend_from_slice(white_space);
            format!("white space {} at the end", white_space.escape_ascii())
        }
        6 => {
            let stranger = *dice.pick(STRANGERS);
            text.splice(at..at, stranger.iter().copied());
            format!("a stranger {} at {at}", stranger.escape_ascii())
        }
        _ => {
            text.push(*dice.pick(ALPHABET));
            "one more character at the end".into()
        }
    }
}

/// Flips bits that the last character has and the last byte does not.
fn trailing_bits(text: &mut [u8], dice: &mut Dice) -> String {
    let unused = match text.len() % 4 {
        2 => 4,
        3 => 2,
        _ => 0,
    };
    if let Some(last) = text.last_mut()
        && let Some(value) = ALPHABET.iter().position(|byte| byte == last)
        && unused > 0
    {
        let flipped = 1 + dice.below((1 << unused) - 1);
        *last = ALPHABET[value ^ flipped];
        return format!("{flipped} in the {unused} trailing bits at the end");
    }
    "no trailing bits to flip at the end".into()
}

/// Puts another character of the alphabet in a place.
pub(super) fn one_character(text: &mut [u8], dice: &mut Dice) -> String {
    let at = dice.below(text.len());
    let byte = *dice.pick(ALPHABET);
    if let Some(place) = text.get_mut(at) {
        *place = byte;
    }
    format!("character {} at {at}", char::from(byte))
}
