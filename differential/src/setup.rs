//! What every judge knows: the time, and whose secret is which.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};

use crate::dice::Dice;

/// When all tokens are judged, in seconds since the Unix epoch: 2036. jsonwebtoken cannot be told the time, but for a time
/// that is still to come it can be told a leeway that amounts to it.
pub(crate) const NOW: u64 = 2_100_000_000;

/// The last second of the year 9999 (rule W5).
pub(crate) const MAX_TIME: u64 = 253_402_300_799;

/// The deployment's API URL, the `aud` of its long-lived tokens.
pub(crate) const API_URL: &str = "https://api.voicegain.ai/v1";

/// Where the request goes. Tokens that are limited to `/data-prep` are good for it.
pub(crate) const REQUEST_PATH: &str = "/v1/data-prep/files/7";

/// A web config.
pub(crate) struct Owner {
    pub(crate) id: &'static str,
    pub(crate) secret: Vec<u8>,
    /// The secret it had before.
    pub(crate) older: Vec<u8>,
}

/// All web configs there are, with secrets of every sort of length (rule W7).
pub(crate) fn owners() -> Vec<Owner> {
    let mut dice = Dice::new(0x5eed_0f5e_c4e7);
    let mut secret = |length: usize| (0..length).map(|_| dice.throw() as u8).collect::<Vec<_>>();
    [
        ("bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729", 32),
        ("0f5a7c1e-93ab-4d22-b6f0-2ad40b7c9e11", 33),
        ("7e57ab1e-0000-4000-8000-00000000cafe", 64),
        ("c0ffee00-dead-4bee-9f00-abcdefabcdef", 256),
    ]
    .map(|(id, length)| Owner { id, secret: secret(length), older: secret(32) })
    .into()
}

/// Which hash is in the MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The MAC of a text.
pub(crate) fn mac(hash: Hash, key: &[u8], text: &[u8]) -> Vec<u8> {
    fn with<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }
    match hash {
        Hash::Sha256 => with::<Hmac<Sha256>>(key, text),
        Hash::Sha384 => with::<Hmac<Sha384>>(key, text),
        Hash::Sha512 => with::<Hmac<Sha512>>(key, text),
    }
}
