//! Header and payload of a token that is signed rightly (rules W1 to W5): what they say, read in every way.
//!
//! The input is a header (ours if empty), what two payloads begin with, and the two ends of them. The first is read until its
//! beginning is known, and then the other.

use voicegain_auth_core::Secret;
use voicegain_auth_core::fuzzing::Key;

use super::fields;
use super::token::{check_token, key};
use crate::reference::mac;

pub fn check(input: &[u8]) {
    let [header, beginning, end, other_end] = fields(input);
    let header = if header.is_empty() { mac::HEADER } else { header };
    let secret = key();
    let (prepared, secret) = (Key::new(&secret), Secret::from_bytes(&secret).expect("a secret"));
    for end in [end, other_end] {
        let payload = [beginning, end].concat();
        let text = mac::sign(secret.expose(), header, &payload);
        let said = check_token(&text, &prepared, &secret);
        // Said once more in a spelling that no short way knows.
        let spelt = [b" ", &payload[..]].concat();
        let header = br#"{"typ":"JWT","alg":"HS256"}"#;
        let strictly = check_token(&mac::sign(secret.expose(), header, &spelt), &prepared, &secret);
        if said.is_some() {
            assert_eq!(said, strictly);
        }
        // The other's beginning is known now, if it is in the form of a page's.
        check_token(&text, &prepared, &secret);
    }
}
