//! Damage to the header's members.

use super::{Damage, HEADER, Member, Stage, Work, short};
use crate::setup::Hash;

const ALGORITHMS: &[&str] = &[
    "\"none\"",
    "\"None\"",
    "\"nOnE\"",
    "\"NONE\"",
    "\"\"",
    "\"hs256\"",
    "\"HS256 \"",
    "\"HS384\"",
    "\"HS512\"",
    "\"RS256\"",
    "\"ES256\"",
    "\"PS256\"",
    "\"EdDSA\"",
    "\"HS256\\u0000\"",
    "null",
    "256",
    "true",
    "[\"HS256\"]",
    "{\"HS256\":null}",
    "{\"HS256\":{}}",
    "{\"alg\":\"HS256\"}",
    "{}",
    "[]",
];

/// `crit`, and with it `b64`.
const CRITICAL: &[(&str, &str)] = &[
    ("[\"exp\"]", ""),
    ("[\"b64\"]", ""),
    ("[\"b64\"]", "true"),
    ("[\"b64\"]", "false"),
    ("[\"b64\"]", "null"),
    ("[\"b64\"]", "\"x\""),
    ("[\"b64\"]", "0"),
    ("[\"b64\",\"b64\"]", "true"),
    ("[\"typ\"]", ""),
    ("[\"alg\"]", ""),
    ("[\"b64\",\"alg\"]", "true"),
    ("[\"b64\",\"alg\"]", "false"),
    ("[\"b64\",\"alg\"]", "1"),
    ("[\"b64\",\"exp\"]", "true"),
    ("[]", ""),
    ("[]", "false"),
    ("null", ""),
    ("null", "false"),
    ("false", ""),
    ("true", ""),
    ("0", ""),
    ("1", ""),
    ("\"\"", ""),
    ("\"b64\"", "true"),
    ("\"exp\"", ""),
    ("{}", ""),
    ("{\"b64\":true}", "true"),
    ("[1]", ""),
    ("[null]", ""),
    ("[[\"b64\"]]", "true"),
    ("[\"\"]", ""),
    ("[\"alg\",\"alg\"]", ""),
    ("[\"kid\"]", ""),
    ("[\"__proto__\"]", ""),
    ("[\"constructor\"]", ""),
];

/// Values of every type, and some that look like what they are not.
pub(super) const ANY: &[&str] = &[
    "\"x\"",
    "\"\"",
    "0",
    "1",
    "-1",
    "5",
    "1.5",
    "true",
    "false",
    "null",
    "[]",
    "[\"x\"]",
    "[1]",
    "{}",
    "{\"x\":\"y\"}",
    "\"https://evil.test/\"",
    "[null]",
    "\"2100000060\"",
    "[\"x\",\"y\"]",
    "[[\"x\"]]",
];

const NAMES: &[&str] = &[
    "typ",
    "cty",
    "kid",
    "jku",
    "x5u",
    "x5t",
    "x5t#S256",
    "x5c",
    "jwk",
    "b64",
    "enc",
    "zip",
    "url",
    "nonce",
    "x",
    "iss",
    "exp",
    "Alg",
    "ALG",
    "alg ",
    "Crit",
    "__proto__",
];

pub(super) const DAMAGES: &[Damage] = &[
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let value = *dice.pick(ALGORITHMS);
            work.set(HEADER, "alg", value);
            work.hash = match value {
                "\"HS384\"" => Hash::Sha384,
                "\"HS512\"" => Hash::Sha512,
                _ => Hash::Sha256,
            };
            format!("alg {value}")
        },
    },
    Damage {
        stage: Stage::Members,
        act: |work, _| {
            work.unset(HEADER, "alg");
            "without alg".into()
        },
    },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let (crit, b64) = *dice.pick(CRITICAL);
            work.set(HEADER, "crit", crit);
            work.unset(HEADER, "b64");
            if !b64.is_empty() {
                work.set(HEADER, "b64", b64);
            }
            format!("crit {crit} b64 {b64}")
        },
    },
    Damage { stage: Stage::Members, act: typed },
    Damage { stage: Stage::Members, act: typed },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let (name, value) = *dice.pick(&[
                ("jwk", "{\"kty\":\"oct\"}"),
                ("jwk", "{\"kty\":\"oct\",\"kid\":5}"),
                ("jwk", "{\"kty\":\"RSA\",\"e\":\"AQAB\"}"),
                ("jwk", "{\"kty\":\"oct\",\"k\":\"AAAA\"}"),
                ("jku", "\"file:///etc/passwd\""),
                ("x5u", "\"ftp://evil.test\""),
                ("kid", "\"' OR 1=1 --\""),
                ("x", "1e400"),
                ("x", "\"\\ud800\""),
                ("b64", "false"),
            ]);
            work.set(HEADER, name, value);
            format!("header {name} {value}")
        },
    },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let length = *dice.pick(&[300, 330, 340, 350, 360, 400, 1000]);
            work.set(HEADER, "kid", format!("\"{}\"", "k".repeat(length)));
            format!("kid of {length} bytes")
        },
    },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let (name, value) = *dice.pick(&[
                ("\"alg\"", "\"none\""),
                ("\"alg\"", "\"HS256\""),
                ("\"\\u0061lg\"", "\"HS256\""),
                ("\"al\\u0067\"", "\"none\""),
                ("\"typ\"", "\"JWT\""),
                ("\"x\"", "1"),
                ("\"crit\"", "null"),
            ]);
            let member = || Member { name: name.into(), value: value.into() };
            if name == "\"x\"" || name == "\"crit\"" {
                work.members[HEADER].push(member());
            }
            let at = dice.below(work.members[HEADER].len() + 1);
            work.members[HEADER].insert(at, member());
            format!("one more header {name} {value} at {at}")
        },
    },
];

fn typed(work: &mut Work<'_>, dice: &mut crate::dice::Dice) -> String {
    let (name, value) = (*dice.pick(NAMES), *dice.pick(ANY));
    work.set(HEADER, name, value);
    format!("header {name} {}", short(value))
}
