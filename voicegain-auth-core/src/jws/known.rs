//! How short-lived tokens that were right began, a few for each thread.
//!
//! The tokens that a page is given one after the other differ in `exp` alone (rule W3). base64 stands in groups of four
//! characters, of which each is decoded by itself: so where a token begins with the same groups as another, it begins with the
//! same `aud` and `sub`, and what is left to be read is its end. That takes a tenth off deciding about such a token.
//!
//! What is kept is a text and what it reads, and nothing that says of a token that it is right: its signature is looked at as
//! any other's. That it was right once only keeps out the texts of strangers, who could push out everybody's.
//!
//! The state of a hash that is kept beside it is half of what makes a MAC: of no use without the other half, which stays with
//! the record. It is wiped once another token of the page is right by another key, once another page has its place, or with the
//! thread.

use std::cell::RefCell;
use std::mem;

use super::{Beginning, HEADER, SIGNATURE_CHARS, UnverifiedToken, decode_signature};
use crate::base64url;
use crate::claims::AllButExpiry;
use crate::mac::Begun;

/// Of beginnings, as they are written. One is longer if the `aud` has over a hundred characters.
const MAX_CHARS: usize = 256;
const MAX_BYTES: usize = MAX_CHARS / 4 * 3;
/// So many characters at least are not of the beginning: twelve bytes, so that the ten digits of an `exp` are not, before the
/// year 2286. Some of a longer one may be.
const MIN_END_CHARS: usize = 16;
const MAX_END_BYTES: usize = 15;
const SLOTS: usize = 256;
/// Odd, and with as many ones as zeros.
const MIX: u128 = 0x9e37_79b9_7f4a_7c15_d1b5_4a32_d192_ed03;

thread_local! {
    static SLOTS_OF_THREAD: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Slot {
    /// Of the last beginning that came here, mixed.
    missed: u64,
    /// It has come once. Then it is not kept, and the second time is the only one that this is tried: there are right tokens
    /// that are not in our form, time and again.
    once: bool,
    known: Option<Box<Known>>,
}

struct Known {
    length: usize,
    text: [u8; MAX_CHARS],
    /// What the payload's part of it reads, with room for the end.
    payload: [u8; MAX_BYTES + MAX_END_BYTES],
    decoded: usize,
    claims: AllButExpiry,
    hash: Begun,
}

/// Hands a token to `act` whose beginning is known, and gives `act` back for any other.
pub(super) fn read<R, F: FnOnce(UnverifiedToken<'_>) -> R>(token: &[u8], act: F) -> Result<R, F> {
    let Some(parts) = Parts::of(token) else { return Err(act) };
    // In a thread that is ending nothing is known.
    if SLOTS_OF_THREAD.try_with(|_| ()).is_err() {
        return Err(act);
    }
    SLOTS_OF_THREAD.with(|slots| {
        let Ok(mut slots) = slots.try_borrow_mut() else { return Err(act) };
        let known = slots.get_mut(parts.slot()).and_then(|slot| slot.known.as_mut());
        match known.and_then(|known| known.read(&parts)) {
            Some(token) => Ok(act(token)),
            None => Err(act),
        }
    })
}

/// Keeps how a token began that was right, if it is one of a page's and not the first of its kind.
pub(super) fn keep(token: &[u8]) {
    let Some(parts) = Parts::of(token) else { return };
    let _ = SLOTS_OF_THREAD.try_with(|slots| {
        let mut slots = slots.try_borrow_mut().ok()?;
        if slots.is_empty() {
            slots.resize_with(SLOTS, Slot::default);
        }
        let slot = slots.get_mut(parts.slot())?;
        if slot.missed != parts.mixed {
            (slot.missed, slot.once) = (parts.mixed, true);
        } else if mem::take(&mut slot.once) {
            slot.known = Some(Box::new(Known::of(&parts)?));
        }
        Some(())
    });
}

/// A token in our form (rule W2) whose payload is cut between two groups, near the digits of its `exp`.
struct Parts<'t> {
    signing_input: &'t [u8],
    /// With the header.
    beginning: &'t [u8],
    end: &'t [u8],
    signature: &'t [u8; SIGNATURE_CHARS],
    mixed: u64,
}

impl<'t> Parts<'t> {
    #[inline]
    fn of(token: &'t [u8]) -> Option<Self> {
        const PAYLOAD_AT: usize = HEADER.len() + 1;

        let (signing_input, signature) = token.split_last_chunk()?;
        let signing_input = signing_input.strip_suffix(b".")?;
        let payload = signing_input.len().checked_sub(PAYLOAD_AT)?;
        let groups = payload.checked_sub(MIN_END_CHARS)? / 4;
        let (beginning, end) = signing_input.split_at_checked(PAYLOAD_AT + groups * 4)?;
        if beginning.len() > MAX_CHARS {
            return None;
        }
        let (_, payload) = beginning.split_at_checked(PAYLOAD_AT)?;
        // All of `aud` and most of the id count, or the pages of two tenants would push each other out.
        let mut mixed = beginning.len() as u64;
        for (at, chunk) in payload.as_chunks::<16>().0.iter().enumerate() {
            let chunk = u128::from_le_bytes(*chunk) ^ (MIX + at as u128);
            let product = u128::from(chunk as u64) * (chunk >> 64);
            mixed ^= product as u64 ^ (product >> 64) as u64;
        }
        Some(Self { signing_input, beginning, end, signature, mixed })
    }

    /// Where it is kept. Who sends tokens that push each other out has them read, as everybody had before.
    #[inline]
    fn slot(&self) -> usize {
        self.mixed as usize % SLOTS
    }
}

impl Known {
    /// `None`: it is not one of a page's.
    fn of(parts: &Parts<'_>) -> Option<Self> {
        let payload = parts.signing_input.strip_prefix(HEADER.as_bytes())?.strip_prefix(b".")?;
        let mut known = Self {
            length: parts.beginning.len(),
            text: [0; MAX_CHARS],
            payload: [0; MAX_BYTES + MAX_END_BYTES],
            decoded: 0,
            claims: AllButExpiry::find(base64url::decode(payload, &mut [0; MAX_BYTES + MAX_END_BYTES])?)?,
            hash: Begun::default(),
        };
        known.text.get_mut(..known.length)?.copy_from_slice(parts.beginning);
        let (payload, _) = payload.split_at_checked(payload.len() - parts.end.len())?;
        known.decoded = base64url::decode(payload, &mut known.payload)?.len();
        known.claims.prepare(known.payload.get_mut(..known.decoded)?)?;
        Some(known)
    }

    #[inline]
    fn read<'a>(&'a mut self, parts: &Parts<'a>) -> Option<UnverifiedToken<'a>> {
        let Self { length, text, payload, decoded, claims, hash } = self;
        if text.get(..*length)? != parts.beginning {
            return None;
        }
        let end = base64url::decode(parts.end, payload.get_mut(*decoded..)?)?.len();
        let signature = decode_signature(parts.signature).ok()?;
        let claims = claims.with_end(payload.get(..*decoded + end)?)?;
        Some(UnverifiedToken {
            signing_input: parts.signing_input,
            signature,
            claims,
            beginning: Beginning::Known(*length, hash),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{read_whole, sign, tests::*};
    use super::*;
    use crate::claims::{long_lived_payload, short_lived_payload};
    use crate::jws;
    use crate::mac::{MacKey, tests::BLOCKS};
    use crate::subject::Subject;

    const API: &str = "api:/data/%C3%A9:bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729";

    fn forget() {
        SLOTS_OF_THREAD.with_borrow_mut(Vec::clear);
    }

    fn is_known(token: &[u8]) -> bool {
        read(token, |_| ()).is_ok()
    }

    fn page_token(aud: &str, sub: &str, exp: u64) -> Vec<u8> {
        sign(&key(), &short_lived_payload(aud, Subject::parse(sub).unwrap(), exp)).into_bytes()
    }

    /// All that a token was read as, and whether its signature holds.
    fn all_of(token: UnverifiedToken<'_>) -> (String, bool) {
        let read = format!("{:?} {:?} {:?}", token.signing_input, token.signature, token.claims);
        (read, token.verify(Some(&key())).is_some())
    }

    /// That with what is known of its beginning it is read as it is without.
    fn is_read_alike(token: &[u8]) -> bool {
        let whole = read_whole(token, all_of);
        match read(token, all_of) {
            Ok(read) => {
                assert_eq!(Ok(read), whole, "{}", String::from_utf8_lossy(token));
                true
            }
            Err(_) => false,
        }
    }

    #[test]
    fn w3_the_next_token_of_a_page_is_known_by_its_beginning() {
        let auds = ["*", "", "https://app.example.com", "https://a.example", "https://b.example", "a b"];
        for (aud, sub) in auds.map(|aud| (aud, ID)).into_iter().chain([("*", API), ("a", API), ("ab", API)]) {
            for exp in [1_000_000_099, 4_102_444_800, 10_000_000_099, 253_402_300_799] {
                forget();
                let token = page_token(aud, sub, exp);
                assert!(!is_known(&token), "{aud} {exp}");
                assert!(jws::read(&token, all_of).unwrap().1);
                assert!(!is_known(&token), "{aud} {exp}: once is not enough");
                jws::read(&token, all_of).unwrap();
                for later in 0..100 {
                    assert!(is_read_alike(&page_token(aud, sub, exp - later)), "{aud} {exp}");
                }
            }
        }
    }

    #[test]
    fn w3_pages_do_not_push_each_other_out() {
        forget();
        let auds: Vec<_> = (0..20).map(|at| format!("https://customers.tenant-{at:02}.example")).collect();
        let tokens: Vec<_> = auds.iter().map(|aud| page_token(aud, ID, 4_102_444_800)).collect();
        for _ in 0..2 {
            tokens.iter().for_each(|token| assert!(jws::read(token, all_of).unwrap().1));
        }
        let known = tokens.iter().filter(|token| is_known(token)).count();
        assert!(known >= 17, "of twenty in 256 places: {known}");
    }

    #[test]
    fn v5_a_refusal_takes_as_many_blocks_whatever_is_known() {
        forget();
        let blocks = |token: &[u8], act: &dyn Fn(UnverifiedToken<'_>)| {
            let before = BLOCKS.get();
            jws::read(token, act).unwrap();
            BLOCKS.get() - before
        };
        let good = page_token("https://app.example.com", ID, 4_102_444_800);
        let mut wrong = good.clone();
        let last = wrong.len() - 2;
        wrong[last] ^= 1;
        let other_key = MacKey::from_bytes(&[9; 32]);
        let refuse = |token: UnverifiedToken<'_>| assert!(token.verify(Some(&key())).is_none());
        let superseded = |token: UnverifiedToken<'_>| assert!(token.verify(Some(&other_key)).is_none());
        let unknown = |token: UnverifiedToken<'_>| assert!(token.verify(None).is_none());
        // Prepares the key that stands in, at its first use.
        blocks(&wrong, &unknown);
        let (whole, keys) = (blocks(&wrong, &refuse), 2);
        assert_eq!(whole - keys, 4, "three for the text and one around it");
        for _ in 0..2 {
            jws::read(&good, all_of).unwrap();
        }
        assert!(is_known(&wrong));
        let accept = |token: UnverifiedToken<'_>| assert!(token.verify(Some(&key())).is_some());
        assert_eq!(blocks(&good, &accept), whole, "by no key yet");
        assert_eq!(blocks(&good, &accept), whole - 2, "half is known");
        assert_eq!(blocks(&wrong, &refuse), whole);
        assert_eq!(blocks(&good, &superseded), whole - keys);
        assert_eq!(blocks(&good, &unknown), whole - keys);
    }

    #[test]
    fn v5_an_unknown_web_config_gives_nothing_for_a_known_beginning_either() {
        forget();
        let good = page_token("https://app.example.com", ID, 4_102_444_800);
        for _ in 0..3 {
            jws::read(&good, all_of).unwrap();
        }
        let later =
            short_lived_payload("https://app.example.com", Subject::parse(ID).unwrap(), 4_102_444_801);
        for key in [key(), MacKey::from_bytes(&[])] {
            let token = sign(&key, &later).into_bytes();
            assert!(is_known(&token));
            for _ in 0..2 {
                assert_eq!(jws::read(&token, |token| token.verify(None).is_none()), Ok(true));
            }
        }
        // Nor does it spoil what is kept.
        assert_eq!(jws::read(&good, all_of).map(|(_, holds)| holds), Ok(true));
    }

    #[test]
    fn w3_only_what_was_right_is_kept() {
        forget();
        let mut token = page_token("*", ID, 4_102_444_800);
        let last = token.len() - 2;
        token[last] ^= 1;
        for _ in 0..3 {
            assert_eq!(jws::read(&token, all_of).map(|(_, holds)| holds), Ok(false));
        }
        token[last] ^= 1;
        assert!(!is_known(&token));
    }

    #[test]
    fn w3_what_is_no_page_s_or_longer_is_not_kept() {
        forget();
        let long = format!("https://{}.example", "a".repeat(150));
        for token in [
            sign(
                &key(),
                &long_lived_payload("https://api.voicegain.ai/v1", Subject::parse(ID).unwrap().id()),
            )
            .into_bytes(),
            page_token(&long, ID, 4_102_444_800),
            page_token("*", ID, 1),
            token(
                r#"{"typ":"JWT","alg":"HS256"}"#,
                &short_lived_payload("*", Subject::parse(ID).unwrap(), 4_102_444_800),
            )
            .into_bytes(),
        ] {
            for _ in 0..3 {
                assert_eq!(jws::read(&token, all_of).map(|(_, holds)| holds), Ok(true));
            }
            assert!(!is_known(&token));
            // Nor is that tried again each time.
            let slot = Parts::of(&token).map(|parts| parts.slot());
            let once = slot.map(|slot| SLOTS_OF_THREAD.with_borrow(|slots| slots[slot].once));
            assert_ne!(once, Some(true));
        }
    }

    #[test]
    fn w1_a_byte_changed_anywhere_is_read_as_it_is_without() {
        forget();
        let good = page_token("https://app.example.com", ID, 4_102_444_800);
        for _ in 0..2 {
            jws::read(&good, all_of).unwrap();
        }
        let mut known = 0;
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut other = good.clone();
                other[at] = byte;
                known += u32::from(is_read_alike(&other));
            }
            let mut shorter = good.clone();
            shorter.remove(at);
            is_read_alike(&shorter);
            shorter.insert(at, b'A');
            shorter.insert(at, b'.');
            is_read_alike(&shorter);
        }
        assert!(known > 1_000, "{known}");
    }

    proptest! {
        #[test]
        fn w5_payloads_of_any_end_are_read_as_they_are_without(
            end in prop::sample::select(vec![
                r#","exp":1764288000}"#, r#","exp":0764288000}"#, r#","exp":17642880000000}"#, r#","exp":176428800}"#,
                r#","exp":1764288000 }"#, r#","exp":1764288000.5}"#, r#","exp":17642880000,"nbf":1}"#, r#","nbf":1764288000}"#,
                r#","exp":"1764288000"}"#, r#","exp":-1764288000}"#, r#","exp":999999999999}"#, r#", "exp":1764288000}"#,
                r#","exp":1764288000}}"#, r#","exp":1764288000"#, r#"}"#, r#","exp":1764288000,"sub":"x"}"#,
            ]),
            aud in "[a-z]{0,20}",
            at in any::<prop::sample::Index>(),
            byte in prop::option::of(any::<u8>()),
        ) {
            let good = page_token(&aud, ID, 4_102_444_800);
            for _ in 0..2 {
                jws::read(&good, all_of).unwrap();
            }
            let mut payload = format!(r#"{{"aud":"{aud}","sub":"{ID}"{end}"#).into_bytes();
            if let Some(byte) = byte {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            let token = signed(&key(), HEADER, &encode(payload));
            let known = is_read_alike(token.as_bytes());
            if byte.is_none() && end == r#","exp":1764288000}"# {
                assert!(known);
            }
        }
    }
}
