//! The cipher. Nothing else touches its crate.

use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// How many bytes a key has.
pub(super) const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// A key, on the heap, so that moving it leaves no copy behind.
pub(super) type Key = Box<Zeroizing<[u8; KEY_LEN]>>;

/// There is no randomness for a nonce.
#[derive(Debug)]
pub(super) struct NoRandomness;

/// Nonce, ciphertext and tag in one.
pub(super) fn seal(key: &Key, plain: &[u8], associated: &[u8]) -> Result<Vec<u8>, NoRandomness> {
    let mut nonce = [0_u8; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| NoRandomness)?;
    // As long as it will get, so that growing leaves no plain copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(plain.len()));
    text.extend_from_slice(plain);
    let tag = cipher(key)
        .encrypt_inout_detached(<&XNonce>::from(&nonce), associated, text.as_mut_slice().into())
        // The cipher refuses nothing that is shorter than 256 GiB.
        .map_err(|_| NoRandomness)?;
    let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + TAG_LEN);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&text);
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// What was sealed, if it was sealed like that under this key.
pub(super) fn open(key: &Key, sealed: &[u8], associated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let (text, tag) = rest.split_last_chunk::<TAG_LEN>()?;
    let mut plain = Zeroizing::new(text.to_vec());
    cipher(key)
        .decrypt_inout_detached(
            <&XNonce>::from(nonce),
            associated,
            plain.as_mut_slice().into(),
            <&Tag>::from(tag),
        )
        .ok()?;
    Some(plain)
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    // It wipes its copy of the key.
    let key: &[u8; KEY_LEN] = key;
    XChaCha20Poly1305::new(key.into())
}

/// What a ciphertext is bound to: each field with its length before it, so that no two lists of fields
/// encode alike.
#[derive(Default)]
pub(super) struct Associated(Vec<u8>);

impl Associated {
    pub(super) fn field(mut self, bytes: &[u8]) -> Self {
        // No field comes near the limit of 64 bits on any machine.
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Box::new(Zeroizing::new([byte; KEY_LEN]))
    }

    #[test]
    fn what_was_sealed_opens() {
        for length in [0, 1, 32, 256, 10_000] {
            let plain = vec![7; length];
            let sealed = seal(&key(1), &plain, b"bound").unwrap();
            assert_eq!(sealed.len(), length + NONCE_LEN + TAG_LEN);
            assert_eq!(open(&key(1), &sealed, b"bound").unwrap().as_slice(), plain);
        }
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_refused() {
        let sealed = seal(&key(1), &[7; 32], b"bound").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key(1), &changed, b"bound").is_none(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open(&key(1), &sealed[..length], b"bound").is_none(), "cut to {length}");
            assert!(open(&key(1), &sealed[sealed.len() - length..], b"bound").is_none(), "last {length}");
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert!(open(&key(1), &longer, b"bound").is_none());
    }

    #[test]
    fn another_key_or_another_binding_is_refused() {
        let sealed = seal(&key(1), &[7; 32], b"bound").unwrap();
        assert!(open(&key(2), &sealed, b"bound").is_none());
        for associated in [&b""[..], b"bounD", b"bound\0", b"boun"] {
            assert!(open(&key(1), &sealed, associated).is_none());
        }
    }

    #[test]
    fn nonces_are_not_used_again() {
        let nonces: std::collections::BTreeSet<_> =
            (0..1_000).map(|_| seal(&key(1), b"", b"").unwrap()[..NONCE_LEN].to_vec()).collect();
        assert_eq!(nonces.len(), 1_000);
    }

    /// The test vector of draft-irtf-cfrg-xchacha-03, A.3.1: the cipher is the one it says it is.
    #[test]
    fn the_cipher_is_xchacha20_poly1305() {
        let hex = |text: &str| -> Vec<u8> {
            let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
            digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
        };
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
                      future, sunscreen would be it.";
        let mut sealed = hex("404142434445464748494a4b4c4d4e4f5051525354555657");
        sealed.extend(hex(concat!(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb",
            "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452",
            "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9",
            "21f9664c97637da9768812f615c68b13b52e",
        )));
        sealed.extend(hex("c0875924c1c7987947deafd8780acf49"));
        let mut key = key(0);
        key.copy_from_slice(&hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
        let opened = open(&key, &sealed, &hex("50515253c0c1c2c3c4c5c6c7")).unwrap();
        assert_eq!(opened.as_slice(), plain);
    }

    #[test]
    fn no_two_lists_of_fields_encode_alike() {
        let encode = |fields: &[&[u8]]| {
            fields.iter().fold(Associated::default(), |list, field| list.field(field)).as_bytes().to_vec()
        };
        assert_ne!(encode(&[b"ab", b"c"]), encode(&[b"a", b"bc"]));
        assert_ne!(encode(&[b"", b"a"]), encode(&[b"a", b""]));
        assert_ne!(encode(&[b"a"]), encode(&[b"a", b""]));
    }
}
