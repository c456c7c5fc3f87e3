//! Long-lived tokens, known without being read.
//!
//! A long-lived token is a constant of its secret (rule W2). What all of a deployment have in common is prepared once, here,
//! and what the signature must be is prepared with each record that is loaded. A token that is written in just that way and
//! has that signature is the one that was issued: reading its JSON and computing a MAC have nothing to add. Whatever differs
//! in a byte is read in full, as if this were not here, so that a wrong signature costs what rule V5 wants it to cost.
//!
//! It saves nearly two thirds of what deciding about such a token takes.

use crate::base64url;
use crate::claims::{Claims, long_lived_payload};
use crate::ids::WebConfigId;
use crate::json::END_OF_STRING;
use crate::jws;
use crate::mac::MacKey;

/// A signature as it is written.
pub(crate) type Signature = [u8; jws::SIGNATURE_CHARS];

/// A signature that no token has.
pub(crate) static NOBODY: Signature = [0; jws::SIGNATURE_CHARS];

/// What follows the id in the payload.
const CLOSING: &[u8] = b"\"}";
/// What precedes the id in its first group of three bytes, at most, then the id and what follows it.
const MAX_BYTES: usize = 2 + WebConfigId::TEXT_LEN + CLOSING.len();

/// How a deployment writes its long-lived tokens.
#[derive(Debug)]
pub(crate) struct LongLivedForm {
    api_url: Box<str>,
    /// The claim `aud`, as [`Claims`] has it.
    audience: Box<[u8]>,
    /// How each token begins, up to the group of four characters that holds the first of the id.
    beginning: Box<[u8]>,
    /// What that group holds of what comes before the id.
    before: Box<[u8]>,
    /// How many characters there are from there to the dot.
    rest: usize,
}

/// A token in this form. Nobody has looked at its signature.
pub(crate) struct Recognised<'a> {
    pub(crate) id: WebConfigId,
    pub(crate) signature: &'a Signature,
}

impl LongLivedForm {
    pub(crate) fn new(api_url: &str) -> Self {
        let any = long_lived_payload(api_url, WebConfigId::from_bytes([0; 16]));
        let id_at = any.len().saturating_sub(WebConfigId::TEXT_LEN + CLOSING.len());
        let input = jws::signing_input(&any).into_bytes();
        // The groups of four characters that hold nothing of the id, each three bytes.
        let whole = id_at / 3;
        let split = (jws::HEADER.len() + 1).saturating_add(whole * 4).min(input.len());
        let (beginning, rest) = input.split_at(split);
        Self {
            api_url: api_url.into(),
            audience: api_url.bytes().chain([END_OF_STRING]).collect(),
            beginning: beginning.into(),
            before: any.bytes().take(id_at).skip(whole * 3).collect(),
            rest: rest.len(),
        }
    }

    /// The signature of the long-lived token of this web config under this key.
    pub(crate) fn signature(&self, key: &MacKey, id: WebConfigId) -> Signature {
        jws::signature(key, &jws::signing_input(&long_lived_payload(&self.api_url, id)))
    }

    /// Whose token this is, if it is in this form: to the byte, but for the id and the signature.
    pub(crate) fn recognise<'a>(&self, token: &'a [u8]) -> Option<Recognised<'a>> {
        if token.len() > jws::MAX_TOKEN_BYTES {
            return None;
        }
        let (rest, signature) = token.strip_prefix(&*self.beginning)?.split_at_checked(self.rest)?;
        let signature = signature.strip_prefix(b".")?.try_into().ok()?;
        let mut bytes = [0; MAX_BYTES];
        let text = base64url::decode(rest, &mut bytes)?.strip_prefix(&*self.before)?.strip_suffix(CLOSING)?;
        // Read in any letter case, but written in lower case: in another it is another token.
        if text.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase()) {
            return None;
        }
        Some(Recognised { id: WebConfigId::parse(text).ok()?, signature })
    }

    /// What a token in this form says.
    pub(crate) fn claims(&self, id: WebConfigId) -> Claims<'_> {
        Claims::long_lived(&self.audience, id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::Secret;

    fn key() -> MacKey {
        MacKey::new(&Secret::from_bytes(&[7; 32]).unwrap())
    }

    /// URLs of every length modulo three, so that the id begins at every place of a group.
    const URLS: [&str; 4] = [
        "https://api.voicegain.ai/v1",
        "https://api.example.com/v1",
        "https://api.voicegain.ai:8443/v",
        "https://a",
    ];

    fn token(url: &str, id: WebConfigId) -> String {
        jws::sign(&key(), &long_lived_payload(url, id))
    }

    #[test]
    fn the_urls_put_the_id_at_every_place_of_a_group() {
        let places: BTreeSet<_> = URLS.iter().map(|url| LongLivedForm::new(url).before.len()).collect();
        assert_eq!(places, BTreeSet::from([0, 1, 2]));
    }

    #[test]
    fn w6_a_token_that_is_too_long_is_not_recognised() {
        let url = format!("https://{}", "a".repeat(6_200));
        let form = LongLivedForm::new(&url);
        let id = WebConfigId::from_bytes([7; 16]);
        let token = token(&url, id);
        assert!(token.len() > jws::MAX_TOKEN_BYTES && form.recognise(token.as_bytes()).is_none());
    }

    #[test]
    fn w2_every_token_as_it_is_issued_is_recognised_and_says_what_reading_it_says() {
        for url in URLS {
            let form = LongLivedForm::new(url);
            for byte in 0..=255 {
                let id = WebConfigId::from_bytes([byte; 16]);
                let token = token(url, id);
                let Recognised { id: found, signature } = form.recognise(token.as_bytes()).unwrap();
                assert_eq!(found, id);
                assert_eq!(*signature, form.signature(&key(), id));
                jws::read(token.as_bytes(), |read| {
                    assert_eq!(read.verify(Some(&key())), Some(form.claims(id)), "{url}");
                })
                .unwrap();
            }
        }
    }

    #[test]
    fn w4_another_letter_case_of_the_id_is_another_token() {
        let form = LongLivedForm::new(URLS[0]);
        let id: WebConfigId = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729".parse().unwrap();
        let payload = long_lived_payload(URLS[0], id);
        let upper = payload.replace("bd14", "BD14");
        assert!(form.recognise(jws::sign(&key(), &payload).as_bytes()).is_some());
        assert!(form.recognise(jws::sign(&key(), &upper).as_bytes()).is_none());
        assert!(jws::read(jws::sign(&key(), &upper).as_bytes(), |read| read.id() == id).unwrap());
    }

    proptest! {
        /// Whatever is recognised is, byte for byte, the token of that web config but for the signature.
        #[test]
        fn v1_nothing_else_is_recognised(
            url in 0..URLS.len(),
            id in any::<[u8; 16]>(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in 0_usize..3,
            members in prop::sample::select(vec!["", r#","exp":4102444800"#, r#","a":1"#, " "]),
        ) {
            let form = LongLivedForm::new(URLS[url]);
            let id = WebConfigId::from_bytes(id);
            let payload = long_lived_payload(URLS[url], id);
            let payload = format!("{}{members}}}", payload.strip_suffix('}').unwrap());
            let mut token = jws::sign(&key(), &payload).into_bytes();
            if cut > 0 {
                let at = at.index(token.len());
                token[at] = byte;
                token.truncate(token.len() - (cut - 1));
            }
            if let Some(Recognised { id, signature }) = form.recognise(&token) {
                let mut expected = jws::signing_input(&long_lived_payload(URLS[url], id)).into_bytes();
                expected.push(b'.');
                expected.extend(signature);
                prop_assert_eq!(expected, token);
            }
        }
    }
}
