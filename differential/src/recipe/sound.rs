//! Sound tokens: in our own form, and in those that others would write.

use super::{HEADER, Member, PAYLOAD, Work};
use crate::dice::Dice;
use crate::setup::{API_URL, Hash, NOW, Owner};

/// Begins a token that nothing is wrong with.
pub(super) fn begin<'o>(owners: &'o [Owner], dice: &mut Dice) -> (Work<'o>, Vec<String>) {
    let owner = dice.below(owners.len());
    let mut work = Work {
        owners,
        owner,
        members: [Vec::new(), Vec::new()],
        spaced: false,
        parts: [Vec::new(), Vec::new()],
        hash: Hash::Sha256,
        key: owners[owner].secret.clone(),
        signature: Vec::new(),
        token: Vec::new(),
    };
    work.set(HEADER, "alg", "\"HS256\"");
    work.set(HEADER, "typ", "\"JWT\"");
    let id = owners[owner].id;
    let mut recipe = vec![];
    if dice.percent(40) {
        recipe.push("long-lived".to_owned());
        work.set(PAYLOAD, "aud", format!("\"{API_URL}\""));
        work.set(PAYLOAD, "sub", format!("\"{id}\""));
    } else {
        let exp = NOW + 1 + dice.throw() % 3600;
        recipe.push(format!("short-lived, exp {exp}"));
        let aud = *dice.pick(&[
            "https://app.example.com",
            "*.example.com",
            "localhost:8080",
            "*",
            "https://bücher.example",
        ]);
        work.set(PAYLOAD, "aud", format!("\"{aud}\""));
        let path = *dice.pick(&["", "", "api:/data-prep:", "api:/:", "api:/data-prep/files:", "api:/asr:"]);
        work.set(PAYLOAD, "sub", format!("\"{path}{id}\""));
        work.set(PAYLOAD, "exp", exp.to_string());
    }
    if dice.percent(50) {
        for _ in 0..1 + dice.below(3) {
            recipe.push(dice.pick(FORMS)(&mut work, dice));
        }
    }
    (work, recipe)
}

/// How others write what means the same, or what must be ignored.
const FORMS: &[fn(&mut Work<'_>, &mut Dice) -> String] = &[
    |work, _| {
        work.members[HEADER].reverse();
        "header in another order".into()
    },
    |work, dice| {
        let by = dice.below(work.members[PAYLOAD].len());
        work.members[PAYLOAD].rotate_left(by);
        "payload in another order".into()
    },
    |work, _| {
        work.spaced = true;
        "with spaces".into()
    },
    |work, _| {
        work.unset(HEADER, "typ");
        "without typ".into()
    },
    |work, dice| {
        let value = *dice.pick(&["\"at+jwt\"", "\"application/jwt\"", "\"jwt\"", "\"JOSE\""]);
        work.set(HEADER, "typ", value);
        format!("typ {value}")
    },
    |work, dice| {
        let (name, value) = *dice.pick(&[
            ("kid", "\"1\""),
            ("kid", "\"../../etc/passwd\""),
            ("cty", "\"JWT\""),
            ("jku", "\"https://evil.test/jwks\""),
            ("x5u", "\"http://evil.test/x5u\""),
            ("x5t", "\"abc\""),
            ("x5t#S256", "\"abc\""),
            ("x5c", "[\"MIIB\"]"),
            ("jwk", "{\"kty\":\"oct\",\"k\":\"AAAA\"}"),
            ("b64", "true"),
        ]);
        work.set(HEADER, name, value);
        format!("header {name} {value}")
    },
    |work, dice| {
        let value = *dice.pick(&["[]", "[\"https://app.example.com\",\"*.example.com\"]", "\"\"", "[\"\"]"]);
        work.set(PAYLOAD, "aud", value);
        format!("aud {value}")
    },
    |work, _| {
        work.unset(PAYLOAD, "aud");
        "without aud".into()
    },
    |work, dice| {
        let value = *dice.pick(&[
            "2100000001",
            "2100000060.25",
            "2.2e9",
            "22E+8",
            "253402300799",
            "2147483648",
            "2147483647.0",
        ]);
        work.set(PAYLOAD, "exp", value);
        format!("exp {value}")
    },
    |work, dice| {
        let value = *dice.pick(&["0", "2100000000", "2099999999.5", "1e9", "-0", "-0.0", "0.000001", "21e8"]);
        work.set(PAYLOAD, "nbf", value);
        format!("nbf {value}")
    },
    |work, dice| {
        let value = *dice.pick(&["2099999000", "2099999000.75", "0", "1.5e9"]);
        work.set(PAYLOAD, "iat", value);
        format!("iat {value}")
    },
    |work, dice| {
        let (name, value) = *dice.pick(&[
            ("iss", "\"https://issuer.test/\""),
            ("jti", "\"9b1deb4d\""),
            ("scope", "\"read write\""),
            ("nested", "{\"a\":[1,2.5e-3,{\"b\":null}],\"c\":false}"),
            ("twice", "{\"a\":1,\"a\":2}"),
            ("__proto__", "{\"sub\":\"x\"}"),
            ("constructor", "null"),
            ("name", "\"Ünïcödé \u{1f511} \u{2028}\""),
            ("name", "\"\\ud83d\\udd11 \\u0000 \\b\\f\\n\\r\\t\\/\\\\\\\"\""),
            ("", "0"),
            ("Sub", "\"x\""),
            ("exp ", "1"),
            ("big", "123456789012345678901234567890"),
            ("tiny", "1e-400"),
        ]);
        work.set(PAYLOAD, name, value);
        format!("claim {name} {value}")
    },
    |work, dice| {
        let name = *dice.pick(&["sub", "exp", "aud"]);
        let first = name.chars().next().map_or(0, u32::from);
        let written = format!("\"{name}\"");
        let escaped = format!("\"\\u{first:04x}{}\"", &name[1..]);
        if let Some(member) = work.members[PAYLOAD].iter_mut().find(|member| member.name == written) {
            member.name = escaped;
        }
        format!("{name} with an escape in its name")
    },
    |work, _| {
        let id = work.owners[work.owner].id;
        work.set(PAYLOAD, "sub", format!("\"\\u{:04X}{}\"", u32::from(id.as_bytes()[0]), &id[1..]));
        "sub with an escape in it".into()
    },
    |work, _| {
        work.set(PAYLOAD, "sub", format!("\"{}\"", work.owners[work.owner].id.to_uppercase()));
        "sub in upper case".into()
    },
    |work, _| {
        work.set(HEADER, "alg", "\"\\u0048S256\"");
        "alg with an escape in it".into()
    },
    |work, dice| {
        let length = 1 + dice.below(900);
        let value = format!("\"{}\"", "x".repeat(length));
        work.members[PAYLOAD].insert(0, Member { name: "\"pad\"".into(), value });
        format!("{length} bytes of padding")
    },
];
