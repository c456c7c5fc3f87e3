//! What a token's size costs.

use std::hint::black_box;

use voicegain_auth_core::Verifier;

use crate::ask::{Ask, filled, padded, payload_bytes, token};
use crate::core_stack::verify;
use crate::sample::{Contender, Role};
use crate::tokens::Tokens;

const SIZES: [(usize, &str, &str); 6] = [
    (200, "200 bytes, one member", "200 bytes, many members"),
    (500, "500 bytes, one member", "500 bytes, many members"),
    (1_000, "1,000 bytes, one member", "1,000 bytes, many members"),
    (2_000, "2,000 bytes, one member", "2,000 bytes, many members"),
    (4_000, "4,000 bytes, one member", "4,000 bytes, many members"),
    (8_192, "8,192 bytes, one member", "8,192 bytes, many members"),
];

/// Short, so that there is room for a member in 200 bytes.
const ORIGIN: &str = "https://a.co";

/// The same token without anything unknown, then padded to each size by one long string.
pub(crate) fn one_member(tokens: &Tokens) -> Vec<Contender<'_>> {
    let members = members(tokens);
    let plain = contender("as minted", &tokens.hot, token(&members));
    let padded = SIZES
        .into_iter()
        .map(|(size, name, _)| contender(name, &tokens.hot, exactly(size, padded(&members, size))));
    std::iter::once(plain).chain(padded).collect()
}

/// Padded by as many members as there is room for.
pub(crate) fn many_members(tokens: &Tokens) -> Vec<Contender<'_>> {
    let members = members(tokens);
    let plain = contender("as minted", &tokens.hot, token(&members));
    let padded = SIZES.into_iter().map(|(size, _, name)| {
        let crowded = crowded(&members, payload_bytes(size) - 2);
        contender(name, &tokens.hot, exactly(size, token(&crowded)))
    });
    std::iter::once(plain).chain(padded).collect()
}

/// These members and as many more as fit into so many bytes, in no order, so that finding duplicates is work. The last is a
/// string that fills what is left.
pub(crate) fn crowded(members: &str, size: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = members.to_owned();
    // What the last one needs at least.
    let room = size.saturating_sub(r#","x":"""#.len());
    for turn in 0_usize.. {
        // Every name of two letters once.
        let name = turn * 1_531 % (64 * 64);
        let (first, second) = (char::from(LETTERS[name / 64]), char::from(LETTERS[name % 64]));
        let comma = if text.is_empty() { "" } else { "," };
        let member = format!(r#"{comma}"{first}{second}":0"#);
        if text.len() + member.len() > room {
            break;
        }
        text.push_str(&member);
    }
    filled(&text, size, |room| "a".repeat(room))
}

fn members(tokens: &Tokens) -> String {
    tokens.short_lived_members().replace(crate::tokens::ORIGIN, "a.co")
}

fn exactly(size: usize, token: String) -> String {
    assert_eq!(token.len(), size);
    token
}

fn contender<'a>(name: &'static str, verifier: &'a Verifier, token: String) -> Contender<'a> {
    let ask = Ask::with(&token).only_from(ORIGIN);
    Contender::new(name, Role::Ours, move || {
        let decision = black_box(verify(verifier, &ask));
        assert!(decision.is_ok(), "{name}: {decision:?}");
    })
}
