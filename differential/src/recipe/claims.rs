//! Damage to the payload's members.

use super::headers::ANY;
use super::{Damage, Member, PAYLOAD, Stage, Work, either, short};
use crate::dice::Dice;

const TIMES: &[&str] = &[
    "-1",
    "-0",
    "-0.0",
    "0",
    "-0.5",
    "1",
    "2147483647",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "1e400",
    "-1e400",
    "1e-400",
    "2100000000000",
    "2100000060000",
    "2099999999",
    "2100000000",
    "2100000001",
    "2099999999.4",
    "2099999999.5",
    "2099999999.6",
    "2100000000.4",
    "2100000000.5",
    "2100000000.6",
    "2100000000.0000000001",
    "2099999999.9999999999",
    "21e8",
    "2.1e9",
    "2.1E+9",
    "2100000000.0",
    "253402300799",
    "253402300800",
    "253402300799.5",
    "1e17",
    "1.8446744073709552e19",
    "2100000001.0",
    "1e18",
    "99999999999999999999999999",
    "NaN",
    "Infinity",
    "-Infinity",
    "02100000060",
    "2100000060.",
    ".5",
    "+2100000060",
    "0x7d2b7500",
    "2_100_000_060",
    "2100000060e0",
    "2100000000.9999999",
    "2100000000.25",
];

const TEXTS: &[&str] = &[
    "\"2100000060\"",
    "\"2100000000\"",
    "\"1\"",
    "\" 2100000060 \"",
    "\"2_100_000_060\"",
    "\"2100000060.5\"",
    "\"+2100000060\"",
    "\"0x7d2b7500\"",
    "\"2036-07-18T13:20:00Z\"",
    "\"never\"",
    "\"-1\"",
    "\"1e10\"",
];

pub(super) const DAMAGES: &[Damage] = &[
    Damage { stage: Stage::Members, act: typed },
    Damage { stage: Stage::Members, act: time },
    Damage { stage: Stage::Members, act: time },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let (name, value) = (*dice.pick(&["exp", "nbf", "iat"]), *dice.pick(TEXTS));
            work.set(PAYLOAD, name, value);
            format!("{name} {value}")
        },
    },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let (id, other) =
                (work.owners[work.owner].id, work.owners[(work.owner + 1) % work.owners.len()].id);
            let bare = id.replace('-', "");
            let sub = match dice.below(26) {
                0 => format!("urn:uuid:{id}"),
                1 => format!("{{{id}}}"),
                2 => bare,
                3 => format!("{bare}----"),
                4 => format!(" {id}"),
                5 => format!("{id}\\n"),
                6 => format!("{id}\\u0000"),
                7 => id[1..].to_owned(),
                8 => format!("../{id}"),
                9 => other.to_owned(),
                10 => "ffffffff-ffff-4fff-8fff-ffffffffffff".to_owned(),
                11 => format!("api:{id}"),
                12 => format!("api::{id}"),
                13 => format!("api:data-prep:{id}"),
                14 => format!("api:/data-prep/../asr:{id}"),
                15 => format!("api:/%2e%2e/asr:{id}"),
                16 => format!("api://asr:{id}"),
                17 => format!("api:/data-prep:{other}"),
                18 => format!("API:/data-prep:{id}"),
                19 => format!("api:/a:b:{id}"),
                20 => format!("api:/data-prep:{}", id.to_uppercase()),
                21 => format!("api:/data%2fprep:{id}"),
                22 => format!("api:/data-prep?x=1:{id}"),
                23 => String::new(),
                24 => format!("{id}{id}"),
                _ => "' OR 1=1 --".to_owned(),
            };
            work.set(PAYLOAD, "sub", format!("\"{sub}\""));
            format!("sub {sub}")
        },
    },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let name = *dice.pick(&["sub", "sub", "aud", "exp"]);
            work.unset(PAYLOAD, name);
            format!("without {name}")
        },
    },
    Damage { stage: Stage::Members, act: twice },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let depth = *dice
                .pick(&[10, 61, 62, 63, 64, 65, 66, 100, 120, 125, 126, 127, 128, 129, 200, 500, 1500, 2500]);
            let (part, name) = if depth < 70 { either(dice) } else { (PAYLOAD, "payload") };
            let (open, close) = *dice.pick(&[("[", "]"), ("{\"x\":", "}")]);
            let depth = if open == "[" { depth } else { depth.min(600) };
            work.set(part, "x", format!("{}0{}", open.repeat(depth), close.repeat(depth)));
            format!("{name} with {depth} levels of {open}")
        },
    },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let value = *dice.pick(&[
                "\"\\ud800\"",
                "\"\\udc00\"",
                "\"\\ud800\\ud800\"",
                "\"\\ud800x\"",
                "\"\\udc00\\ud800\"",
                "1e400",
                "-1e400",
                "NaN",
                "Infinity",
                "-Infinity",
                "{\"\\ud800\":1}",
                "[1e400]",
                "\"\\x41\"",
                "\"\\u12\"",
                "'x'",
                "undefined",
                "01",
                "1.",
                "[1,]",
                "{\"a\":1,}",
                "/*x*/1",
                "True",
                "nul",
                "\"\t\"",
                "\"\u{7f}\"",
                "1e99999999999999999999",
                "0e99999999999",
            ]);
            work.set(PAYLOAD, "x", value);
            format!("claim x {}", value.escape_debug())
        },
    },
    Damage {
        stage: Stage::Members,
        act: |work, dice| {
            let digits = *dice.pick(&[300, 308, 309, 310, 400, 4299, 4300, 4301, 5000]);
            let name = *dice.pick(&["x", "x", "iat", "exp"]);
            work.set(PAYLOAD, name, "9".repeat(digits));
            format!("claim {name} of {digits} digits")
        },
    },
    Damage { stage: Stage::Members, act: long },
];

fn typed(work: &mut Work<'_>, dice: &mut Dice) -> String {
    let name = *dice.pick(&["sub", "aud", "exp", "nbf", "iat", "jti", "iss", "x"]);
    let value = *dice.pick(ANY);
    work.set(PAYLOAD, name, value);
    format!("claim {name} {}", short(value))
}

fn time(work: &mut Work<'_>, dice: &mut Dice) -> String {
    let (name, value) = (*dice.pick(&["exp", "exp", "nbf", "nbf", "iat"]), *dice.pick(TIMES));
    work.set(PAYLOAD, name, value);
    format!("{name} {value}")
}

fn twice(work: &mut Work<'_>, dice: &mut Dice) -> String {
    let name = *dice.pick(&["sub", "exp", "aud", "nbf", "x", "iss"]);
    let other = work.owners[(work.owner + 1) % work.owners.len()].id;
    let value = match (name, dice.below(3)) {
        ("sub", 0) => format!("\"{other}\""),
        ("exp", 0) => "1".to_owned(),
        ("exp" | "nbf", _) => "2100000000".to_owned(),
        (_, 1) => "null".to_owned(),
        _ => work.get(PAYLOAD, name).unwrap_or("\"y\"").to_owned(),
    };
    if work.get(PAYLOAD, name).is_none() {
        work.set(PAYLOAD, name, value.clone());
    }
    let written = if dice.percent(50) {
        let first = name.chars().next().map_or(0, u32::from);
        format!("\"\\u{first:04x}{}\"", &name[1..])
    } else {
        format!("\"{name}\"")
    };
    let at = dice.below(work.members[PAYLOAD].len() + 1);
    let recipe = format!("one more claim {written} {} at {at}", short(&value));
    work.members[PAYLOAD].insert(at, Member { name: written, value });
    recipe
}

/// A token whose length is at the border that rule W6 draws, or past it.
fn long(work: &mut Work<'_>, dice: &mut Dice) -> String {
    // As the token is now, with an empty claim to fill.
    work.set(PAYLOAD, "pad", "\"\"");
    let parts = super::encoded(super::written(work.clone())).parts;
    let length = parts[0].len() + parts[1].len() + 2 + 43;
    let wanted = *dice.pick(&[8_189, 8_190, 8_191, 8_192, 8_193, 8_194, 8_196, 8_300, 20_000]);
    let fill = (wanted - length.min(wanted)) / 4 * 3 + dice.below(3);
    work.set(PAYLOAD, "pad", format!("\"{}\"", "p".repeat(fill)));
    format!("a claim of {fill} bytes for {wanted} in all")
}
