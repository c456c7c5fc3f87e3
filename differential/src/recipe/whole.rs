//! Damage to the token as a whole.

use super::text::malleable;
use super::{Damage, Stage};

/// What stands before or behind a token that was copied carelessly.
const AROUND: &[&[u8]] = &[
    b" ",
    b"   ",
    b"\t",
    b"\n",
    b"\r\n",
    b"\0",
    b".",
    b"\"",
    b",",
    b"Bearer ",
    b"=",
    b"\x0c",
    b"\xef\xbb\xbf",
];

pub(super) const DAMAGES: &[Damage] = &[
    Damage {
        stage: Stage::Whole,
        act: |work, dice| {
            let at = dice.below(work.token.len());
            let byte = dice.throw() as u8;
            if let Some(place) = work.token.get_mut(at) {
                *place = byte;
            }
            format!("byte {byte:#04x} at {at} of the token")
        },
    },
    Damage {
        stage: Stage::Whole,
        act: |work, dice| {
            let around = *dice.pick(AROUND);
            let before = dice.percent(50);
            if before {
                work.token.splice(0..0, around.iter().copied());
            } else {
                work.token.extend_from_slice(around);
            }
            format!("{} {} the token", around.escape_ascii(), if before { "before" } else { "behind" })
        },
    },
    Damage { stage: Stage::Whole, act: |work, dice| malleable(&mut work.token, dice) + " of the token" },
    Damage {
        stage: Stage::Whole,
        act: |work, dice| {
            let mut parts: Vec<Vec<u8>> =
                work.token.split(|byte| *byte == b'.').map(<[u8]>::to_vec).collect();
            let at = dice.below(parts.len());
            let what = *dice.pick(&["removed", "swapped with the first", "twice", "emptied", "added"]);
            match what {
                "removed" => drop(parts.remove(at)),
                "swapped with the first" => parts.swap(0, at),
                "twice" => parts.insert(at, parts[at].clone()),
                "added" => parts.insert(at, Vec::new()),
                _ => parts[at].clear(),
            }
            work.token = parts.join(&b'.');
            format!("part {at} of the token {what}")
        },
    },
    Damage {
        stage: Stage::Whole,
        act: |work, dice| {
            let text = String::from_utf8_lossy(&work.token).into_owned();
            let mut parts = text.split('.');
            let (header, payload, signature) =
                (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let (what, token) = match dice.below(7) {
                0 => (
                    "flattened JSON",
                    format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
                ),
                1 => (
                    "general JSON",
                    format!(
                        r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
                    ),
                ),
                2 => ("a polyglot", format!(r#"{{" {header}.{payload}.{signature}":1}}"#)),
                3 => ("dots", "..".to_owned()),
                4 => ("nothing", String::new()),
                5 => ("five parts", format!("{text}.{header}.{payload}")),
                _ => ("twice, with a comma", format!("{text},{text}")),
            };
            work.token = token.into_bytes();
            format!("the token is {what}")
        },
    },
];
