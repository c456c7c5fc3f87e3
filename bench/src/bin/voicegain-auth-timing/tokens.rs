//! The tokens of each class.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use voicegain_auth_core::{Secret, WebConfigId};

use crate::ground::{API_URL, Ground};
use crate::random::Random;

/// A MAC, as bytes.
type Bytes = [u8; 32];

/// What a token is, and what is remembered of others like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    LongLived,
    /// Of a page that the thread has had no right token of.
    ShortLived,
    /// Of one that it has.
    KnownPage,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::LongLived, Self::ShortLived, Self::KnownPage];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LongLived => "long-lived",
            Self::ShortLived => "short-lived",
            Self::KnownPage => "short-lived, known page",
        }
    }
}

/// What a token's signature is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signature {
    Right,
    /// Right but for one byte, anywhere.
    Wrong,
    /// Right but for this byte.
    WrongAt(usize),
    /// So many right bytes, then a wrong one, then any.
    RightFor(usize),
    Random,
    /// Of one of the secrets before.
    Superseded,
    /// Of these characters.
    Of(&'static str),
}

/// A token as the web config of this id would have it; the `at`th, which tells short-lived ones apart, and old secrets.
pub(crate) fn token(ground: &Ground, kind: Kind, id: WebConfigId, signature: Signature, at: usize) -> String {
    let payload = match kind {
        Kind::LongLived => format!(r#"{{"aud":"{API_URL}","sub":"{id}"}}"#),
        Kind::ShortLived | Kind::KnownPage => {
            // Ten digits, of which the last three differ.
            let exp = ground.now - ground.now % 1_000 + 2_000 + at as u64;
            format!(r#"{{"aud":"https://app.example.com","sub":"{id}","exp":{exp}}}"#)
        }
    };
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let mut random = Random::seeded_by_the_clock();
    let right = mac(&ground.secret, &input);
    let bytes = match signature {
        Signature::Right => right,
        Signature::Wrong => wrong_at(right, random.below(32) as usize, &mut random),
        Signature::WrongAt(at) => wrong_at(right, at, &mut random),
        Signature::RightFor(count) => {
            let mut bytes = wrong_at(right, count, &mut random);
            bytes[count + 1..].fill_with(|| random.next() as u8);
            bytes
        }
        Signature::Random => std::array::from_fn(|_| random.next() as u8),
        Signature::Superseded => mac(&ground.superseded[at % ground.superseded.len()], &input),
        Signature::Of(characters) => {
            let pick = |_| characters.as_bytes()[random.below(characters.len() as u64) as usize];
            let text: String = (0..42).map(pick).map(char::from).collect();
            // The last stands for four bits: one of those that leave nothing over.
            return format!("{input}.{text}A");
        }
    };
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn wrong_at(mut bytes: Bytes, at: usize, random: &mut Random) -> Bytes {
    bytes[at] ^= 1 + random.below(255) as u8;
    bytes
}

fn mac(secret: &Secret, input: &str) -> Bytes {
    Leaky::new(secret).mac(input.as_bytes())
}

/// A check as it must not be.
#[derive(Debug, Clone)]
pub(crate) struct Leaky(Hmac<Sha256>);

impl Leaky {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(Hmac::new_from_slice(secret.expose()).expect("HMAC takes keys of any length"))
    }

    fn mac(&self, input: &[u8]) -> Bytes {
        self.0.clone().chain_update(input).finalize().into_bytes().into()
    }

    /// Whether the token's signature holds, by the comparison given. Who is not known is refused without a MAC.
    pub(crate) fn check(this: Option<&Self>, token: &[u8], is_same: fn(&[u8], &[u8]) -> bool) -> bool {
        let Some(dot) = token.iter().rposition(|byte| *byte == b'.') else { return false };
        let mut signature = [0; 32];
        let decoded = URL_SAFE_NO_PAD.decode_slice(&token[dot + 1..], &mut signature);
        let Some(this) = this else { return false };
        decoded.is_ok() && is_same(&this.mac(&token[..dot]), &signature)
    }
}

/// Ends at the first difference, as the simplest `memcmp` does.
#[inline(never)]
pub(crate) fn same_until_it_differs(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

/// What `==` makes of slices: the C library's `memcmp`, which looks at many bytes at a step.
#[inline(never)]
pub(crate) fn same_by_memcmp(one: &[u8], other: &[u8]) -> bool {
    one == other
}
