//! A token as it is sent (rules W1 to W6): every reader of it says the same, and what the reference says.

use std::sync::OnceLock;

use voicegain_auth_core::Secret;
use voicegain_auth_core::fuzzing::{Key, LongLived, Reading, Said, read, readings};

use crate::reference::{mac, token};
use crate::world::{API_URL, IDS, secret};

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
    check_token(input, &prepared.key, &prepared.secret);
    if let Some((said, signature)) = prepared.long_lived.recognise(input, &prepared.key) {
        let whole = token::read(input).expect("it is in the form of a long-lived token");
        assert_eq!(said, whole.said);
        assert_eq!(input.ends_with(&signature), whole.is_signed(&key()), "what its signature must be");
    }
}

/// Holds every reading of a token against the reference, and gives that.
pub fn check_token(text: &[u8], prepared: &Key, secret: &Secret) -> Option<Said> {
    let expected = token::read(text);
    let is_signed = expected.as_ref().is_some_and(|token| token.is_signed(secret.expose()));
    let told: [Reading; 3] = readings(text, secret);
    let [one, ..] = &told;
    assert!(told.iter().all(|other| other == one), "the readers differ: {told:?}");
    assert_eq!(one.as_ref().map(|(_, holds)| *holds), expected.as_ref().map(|_| is_signed));
    let id = expected.as_ref().map(|token| token.said.id);
    let said = expected.map(|token| token.said).filter(|_| is_signed);
    // Twice, since the second time the beginning may be known.
    for _ in 0..2 {
        assert_eq!(read(text, prepared), id.map(|id| (id, said.clone())));
    }
    said
}
