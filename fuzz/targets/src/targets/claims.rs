//! Header and payload of a token that is signed rightly (rules W1 to W5): what they say, read in every way.
//!
//! The input is a header (ours if empty), what two payloads begin with, and the two ends of them. The first is read until its
//! beginning is known, and then the other.

use std::sync::OnceLock;

use voicegain_auth_core::Secret;
use voicegain_auth_core::fuzzing::Key;

use super::fields;
use super::token::{check_token, key};
use reference::{mac, token};

pub fn check(input: &[u8]) {
    static KEYS: OnceLock<(Key, Secret)> = OnceLock::new();
    let (prepared, secret) =
        KEYS.get_or_init(|| (Key::new(&key()), Secret::from_bytes(&key()).expect("a secret")));
    let [header, beginning, end, other_end] = fields(input);
    let header = if header.is_empty() { mac::HEADER } else { header };
    for end in [end, other_end] {
        let text = mac::sign(secret.expose(), header, &[beginning, end].concat());
        let said = token::read(&text).map(|token| (true, token.said));
        check_token(&text, said, prepared, secret);
    }
}
