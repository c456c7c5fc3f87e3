//! A token as it is sent (rules W1 to W6): every reader of it says the same, and what the reference says.

use std::sync::OnceLock;

use voicegain_auth_core::Secret;
use voicegain_auth_core::fuzzing::{Key, LongLived, Reading, Said, read, readings};

use crate::world::{API_URL, IDS, secret};
use reference::{mac, token};

/// What signs the right tokens of the corpus.
pub fn key() -> Vec<u8> {
    secret(0, 1)
}

/// Two tokens of a page, so that the beginning of its others is known.
pub fn of_a_page() -> [Vec<u8>; 2] {
    [1_800_000_001, 1_800_000_002].map(|exp| {
        let payload = format!(r#"{{"aud":"https://app.example.com","sub":"{}","exp":{exp}}}"#, IDS[0]);
        mac::sign(&key(), mac::HEADER, payload.as_bytes())
    })
}

struct Prepared {
    key: Key,
    secret: Secret,
    page: [Vec<u8>; 2],
    long_lived: LongLived,
}

fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(|| Prepared {
        key: Key::new(&key()),
        secret: Secret::from_bytes(&key()).expect("a secret"),
        page: of_a_page(),
        long_lived: LongLived::new(API_URL),
    })
}

pub fn check(input: &[u8]) {
    let prepared = prepared();
    // Whatever came before, these are known now.
    for token in &prepared.page {
        assert!(matches!(read(token, &prepared.key), Some((_, Some(_)))), "a page's own token");
    }
    let said = token::read(input).map(|token| (token.is_signed(prepared.secret.expose()), token.said));
    check_token(input, said.clone(), &prepared.key, &prepared.secret);
    if let Some((of_form, signature)) = prepared.long_lived.recognise(input, &prepared.key) {
        let has_it = input.ends_with(&signature);
        match said {
            Some((is_signed, said)) => assert_eq!((of_form, has_it), (said, is_signed)),
            // Nobody has looked at the signature, which may be none.
            None => assert!(!has_it),
        }
    }
}

/// Holds every reading of a token against what it says, and whether it is signed.
pub fn check_token(text: &[u8], expected: Option<(bool, Said)>, prepared: &Key, secret: &Secret) {
    let told: [Reading; 3] = readings(text, secret);
    let [one, ..] = &told;
    assert!(told.iter().all(|other| other == one), "the readers differ: {told:?}");
    let holds = expected.as_ref().map(|(is_signed, _)| *is_signed);
    assert_eq!(one.as_ref().map(|(_, holds)| *holds), holds);
    // Once more, since now the beginning may be known.
    let expected = expected.map(|(is_signed, said)| (said.id, Some(said).filter(|_| is_signed)));
    assert_eq!(read(text, prepared), expected);
}
