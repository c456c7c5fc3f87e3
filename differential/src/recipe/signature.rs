//! Damage to the signature.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::text::{malleable, one_character};
use super::{Damage, PAYLOAD, Stage, encode};
use crate::setup::{Hash, mac};

pub(super) const DAMAGES: &[Damage] = &[
    Damage {
        stage: Stage::Signature,
        act: |work, dice| malleable(&mut work.signature, dice) + " of the signature",
    },
    Damage {
        stage: Stage::Signature,
        act: |work, dice| malleable(&mut work.signature, dice) + " of the signature",
    },
    Damage {
        stage: Stage::Signature,
        act: |work, dice| one_character(&mut work.signature, dice) + " of the signature",
    },
    Damage {
        stage: Stage::Signature,
        act: |work, dice| {
            let mut bytes = URL_SAFE_NO_PAD.decode(&work.signature).unwrap_or_default();
            let length = dice.below(bytes.len() + 8);
            bytes.resize(length, dice.throw() as u8);
            work.signature = encode(&bytes);
            format!("signature of {length} bytes")
        },
    },
    Damage {
        stage: Stage::Signature,
        act: |work, dice| {
            let (input, other) = (work.signing_input(), &work.owners[(work.owner + 1) % work.owners.len()]);
            let owner = &work.owners[work.owner];
            let (whose, key) = *dice.pick::<(&str, &[u8])>(&[
                ("another's", &*other.secret),
                ("the empty", b""),
                ("the older", &*owner.older),
                ("a cut", &owner.secret[..16]),
                ("a guessed", b"secret"),
                ("the id as a", owner.id.as_bytes()),
            ]);
            work.signature = encode(&mac(Hash::Sha256, key, &input));
            // With another's `sub` that is another's own token.
            if whose == "another's" && work.get(PAYLOAD, "sub").is_some_and(|sub| sub.contains(other.id)) {
                work.owner = (work.owner + 1) % work.owners.len();
            }
            format!("signed with {whose} secret")
        },
    },
    Damage {
        stage: Stage::Signature,
        act: |work, dice| {
            let bytes = URL_SAFE_NO_PAD.decode(&work.signature).unwrap_or_default();
            let what = *dice.pick(&[
                "empty",
                "zeros",
                "hexadecimal",
                "standard base64",
                "lower case",
                "another algorithm's",
            ]);
            work.signature = match what {
                "empty" => Vec::new(),
                "zeros" => encode(&[0; 32]),
                "hexadecimal" => {
                    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
                }
                "standard base64" => STANDARD.encode(bytes).into_bytes(),
                "lower case" => work.signature.to_ascii_lowercase(),
                _ => encode(&mac(Hash::Sha512, &work.key, &work.signing_input())),
            };
            format!("signature: {what}")
        },
    },
];
