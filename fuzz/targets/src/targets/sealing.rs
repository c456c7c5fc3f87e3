//! Sealed secrets (in front of every store): what was not sealed so does not open.
//!
//! The first byte chooses: `o` opens what the input holds, `s` seals and then changes something, `k` reads a key file.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use voicegain_auth_core::{Generation, Secret, WebConfigId};
use voicegain_auth_store::fuzzing::{Bound, Sealed, open, seal};
use voicegain_auth_store::sealing::{MasterKeys, Sealing};

use super::fields;
use reference::sealing::{self, KEYS};

/// The master keys of the reference.
pub fn sealing() -> &'static Sealing {
    static SEALING: OnceLock<Sealing> = OnceLock::new();
    SEALING.get_or_init(|| {
        let lines = KEYS.map(|(id, key)| format!("{id}:{}\n", STANDARD.encode(key)));
        Sealing::Keys(MasterKeys::parse(&lines.concat()).expect("keys"))
    })
}

pub fn check(input: &[u8]) {
    match input.split_first() {
        Some((b'o', rest)) => opens_what_was_sealed(rest),
        Some((b's', rest)) => does_not_open_when_changed(rest),
        Some((_, rest)) => key_file(rest),
        None => {}
    }
}

fn bound(id: &[u8], account: &[u8], context: &[u8], generation: &[u8]) -> Option<Bound> {
    let number = generation.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
    Some(Bound {
        id: WebConfigId::from_bytes(bytes),
        account_id: std::str::from_utf8(account).ok()?.parse().ok()?,
        context_id: std::str::from_utf8(context).ok()?.parse().ok()?,
        generation: Generation::new(number),
    })
}

fn opens_what_was_sealed(input: &[u8]) {
    let [format, key_id, id, account, context, generation, bytes] = fields(input);
    let Some(bound) = bound(id, account, context, generation) else { return };
    let format = std::str::from_utf8(format).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let key_id = std::str::from_utf8(key_id).ok().filter(|id| !id.is_empty()).map(str::to_owned);
    let sealed = Sealed { format, key_id, bytes: bytes.to_vec() };
    let opened = open(sealing(), &sealed, &bound).map(|secret| secret.expose().to_vec());
    assert_eq!(opened, sealing::open(&sealed, &bound));
    let plain = open(&Sealing::Plain, &sealed, &bound).map(|secret| secret.expose().to_vec());
    let is_plain = format == 0 && (32..=256).contains(&bytes.len());
    assert_eq!(plain, is_plain.then(|| bytes.to_vec()));
}

fn does_not_open_when_changed(input: &[u8]) {
    let [control, account, context, secret] = fields(input);
    let at = |place: usize| control.get(place).copied().unwrap_or(7);
    let Some(bound) = bound(&control[..control.len().min(16)], account, context, &[at(16)]) else { return };
    let Ok(secret) = Secret::from_bytes(secret) else { return };
    let nonce = std::array::from_fn(|place| at(place + 17));
    let sealed = sealing::seal(usize::from(at(41)) % 2, nonce, secret.expose(), &bound);
    assert_eq!(open(sealing(), &sealed, &bound).as_ref(), Some(&secret), "what was sealed opens");

    let mut changed = sealed.clone();
    let bit = usize::from(u16::from_be_bytes([at(42), at(43)])) % (sealed.bytes.len() * 8);
    changed.bytes[bit / 8] ^= 1 << (bit % 8);
    assert_eq!(open(sealing(), &changed, &bound), None, "bit {bit}");
    let cut = &sealed.bytes[..usize::from(at(42)) % sealed.bytes.len()];
    assert_eq!(open(sealing(), &Sealed { bytes: cut.to_vec(), ..sealed.clone() }, &bound), None);
    for key_id in [None, Some("old-key"), Some("new-key"), Some("")] {
        let other = Sealed { key_id: key_id.map(str::to_owned), ..sealed.clone() };
        assert_eq!(open(sealing(), &other, &bound).is_some(), other.key_id == sealed.key_id);
    }
    assert_eq!(open(sealing(), &Sealed { format: 0, ..sealed.clone() }, &bound), None);

    let mut other = bound.clone();
    match at(44) % 5 {
        0 => other.generation = other.generation.next(),
        1 => other.generation = Generation::new(other.generation.get().wrapping_sub(1)),
        2 => {
            other.account_id = bound.context_id.as_str().parse().expect("an id is an id");
            other.context_id = bound.account_id.as_str().parse().expect("an id is an id");
        }
        3 => other = moved_border(&bound),
        _ => {
            let mut id = *bound.id.as_bytes();
            id[usize::from(at(45)) % 16] ^= at(46).max(1);
            other.id = WebConfigId::from_bytes(id);
        }
    }
    let is_same = (other.id, &other.account_id, &other.context_id, other.generation)
        == (bound.id, &bound.account_id, &bound.context_id, bound.generation);
    assert_eq!(open(sealing(), &sealed, &other).is_some(), is_same, "bound to its record");

    // The nonce of this one is the system's.
    let ours = seal(sealing(), &secret, &bound).expect("sealed");
    assert_eq!(ours.key_id.as_deref(), Some(KEYS[0].0), "the first key seals");
    assert_eq!(sealing::open(&ours, &bound).as_deref(), Some(secret.expose()));
}

/// The same characters, divided in another way.
fn moved_border(bound: &Bound) -> Bound {
    let all = format!("{}{}", bound.account_id, bound.context_id);
    let at = (bound.account_id.as_str().len() + 1).min(all.len() - 1);
    let (account, context) = all.split_at(at);
    match (account.parse(), context.parse()) {
        (Ok(account_id), Ok(context_id)) => Bound { account_id, context_id, ..bound.clone() },
        _ => bound.clone(),
    }
}

/// Keys, one a line, or none of them.
fn key_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    match MasterKeys::parse(text) {
        Ok(keys) => {
            let ids = keys.key_ids();
            assert_eq!(ids.len(), lines.len(), "every line is a key");
            for (at, (id, line)) in ids.iter().zip(&lines).enumerate() {
                let is_of_id = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                assert!((1..=64).contains(&id.len()) && id.chars().all(is_of_id));
                assert!(line.starts_with(id.as_str()) && !ids[..at].contains(id));
                let encoded = line.split_once(':').expect("a colon").1.trim().trim_end_matches('=');
                assert_eq!(encoded.len(), 43, "32 bytes");
                assert!(encoded.chars().any(|c| c != 'A'), "not all zeros");
            }
        }
        Err(error) => {
            let said = format!("{error} {error:?}");
            let pairs: Vec<_> = lines.iter().filter_map(|line| line.split_once(':')).collect();
            // What may be a key, and not a part of the message itself: that has spaces, and names key ids.
            let of_key = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
            let is_named = |text: &str| pairs.iter().any(|(id, _)| id.contains(text));
            let keys = pairs.iter().map(|(_, encoded)| encoded.trim());
            for encoded in keys.filter(|it| it.len() >= 43 && it.chars().all(of_key) && !is_named(it)) {
                assert!(!said.contains(encoded), "no part of a key is shown");
            }
        }
    }
}
