//! What is there to refuse in a token, by the token alone: which classes it is in. Nothing here asks a judge.

mod claims;
mod class;
mod header;
mod json;
mod number;
mod text;

use std::collections::BTreeSet;

pub(crate) use self::class::{Class, JUDGES};
use self::json::Value;
use crate::setup::{Hash, Owner, mac};

/// The classes of one token.
pub(crate) type Classes = BTreeSet<Class>;

/// What one judge is expected to say of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// What the token is in, as this judge sees it.
    pub(crate) classes: Classes,
    /// Those of them that this judge refuses it for.
    pub(crate) minded: Classes,
}

impl Expected {
    pub(crate) fn accepts(&self) -> bool {
        self.minded.is_empty()
    }

    /// The reason that ours gives, by the order of rule V9: form and signature, then `exp`, then `nbf`.
    pub(crate) fn our_reason(&self) -> &'static str {
        let expired = [Class::ExpiredLong, Class::ExpiredNow, Class::ExpiredJust];
        let early = [Class::EarlyLong, Class::EarlyUnderHalf, Class::EarlyUnderOne, Class::EarlyFiner];
        let is_timely = |class: &Class| expired.contains(class) || early.contains(class);
        if self.minded.iter().all(is_timely) && self.minded.iter().any(|class| expired.contains(class)) {
            "token_expired"
        } else {
            "invalid_token"
        }
    }
}

const OURS: usize = 0;
const JOSERFC: usize = 3;

/// What each judge is expected to say.
pub(crate) fn expect(token: &[u8], owner: &Owner, owners: &[Owner]) -> [Expected; 6] {
    let plain = classify(token, owner, owners, false);
    std::array::from_fn(|judge| {
        let mut classes = match judge {
            // Ours is handed the whole header, and leaves out all spaces behind the scheme.
            OURS if plain.contains(&Class::SpaceBefore) => {
                let spaces = token.iter().take_while(|byte| **byte == b' ').count();
                classify(&token[spaces..], owner, owners, false)
            }
            JOSERFC => classify(token, owner, owners, true),
            _ => plain.clone(),
        };
        if plain.contains(&Class::SpaceBefore) {
            classes.insert(Class::SpaceBefore);
        }
        let minded = classes.iter().copied().filter(|class| class.minded() >> judge & 1 == 1).collect();
        Expected { classes, minded }
    })
}

/// `unencoded`: reads the payload as it stands where the header says so (RFC 7797), as joserfc does.
fn classify(token: &[u8], owner: &Owner, owners: &[Owner], unencoded: bool) -> Classes {
    let mut classes = Classes::new();
    if token.len() > 8192 {
        classes.insert(Class::TooLong);
    }
    if token.first() == Some(&b' ') {
        classes.insert(Class::SpaceBefore);
    }
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let &[header, payload, signature] = &*parts else {
        classes.insert(Class::Parts);
        return classes;
    };
    if [header, payload, signature].contains(&&b""[..]) {
        classes.insert(Class::Parts);
    }
    if header.len() > 512 {
        classes.insert(Class::LongHeader);
    }

    let input = &token[..header.len() + 1 + payload.len()];
    if let Some(bytes) = text::decode(signature, &mut classes)
        && bytes != mac(Hash::Sha256, &owner.secret, input)
    {
        classes.insert(Class::Signature);
    }
    let header = text::decode(header, &mut classes).and_then(|bytes| object(&bytes, true, &mut classes));
    let raw_payload = header.as_ref().is_some_and(|header| header::classify(header, &mut classes));
    let payload =
        if unencoded && raw_payload { Some(payload.to_vec()) } else { text::decode(payload, &mut classes) };
    if let Some(payload) = payload.and_then(|bytes| object(&bytes, false, &mut classes)) {
        claims::classify(&payload, owner, owners, &mut classes);
    }
    classes
}

/// Header members and claims whose type jsonwebtoken knows.
const KNOWN: [&[&str]; 2] = [
    &["sub", "iss", "aud", "exp", "nbf"],
    &[
        "typ", "alg", "cty", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "crit", "enc", "zip",
        "url", "nonce",
    ],
];

/// The members of a part's JSON object; of one that is there twice the last, as all take it who take it at all.
fn object(bytes: &[u8], is_header: bool, classes: &mut Classes) -> Option<Vec<(String, Value)>> {
    let read = text::characters(bytes, classes).and_then(|text| json::read(&text));
    let Some((value, odd)) = read else {
        classes.insert(Class::NotJson);
        return None;
    };
    let mut insert = |is_so: bool, class| is_so.then(|| classes.insert(class));
    insert(odd.constant, Class::Constant);
    insert(odd.lone_surrogate, Class::LoneSurrogate);
    insert(odd.beyond_double, Class::BeyondDouble);
    insert(odd.endless_integer, Class::EndlessInteger);
    match odd.depth {
        0..=64 => {}
        65..=127 => drop(insert(true, Class::Deep)),
        128..=900 => drop(insert(true, Class::Deeper)),
        _ => drop(insert(true, Class::Deepest)),
    }
    let Value::Object(all) = value else {
        insert(true, Class::NotAnObject);
        return None;
    };
    let mut members: Vec<(String, Value)> = Vec::new();
    for (name, value) in all {
        match members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, place)) => {
                let is_known = KNOWN[usize::from(is_header)].contains(&&*name);
                insert(true, if is_known { Class::KnownTwice } else { Class::Twice });
                *place = value;
            }
            None => members.push((name, value)),
        }
    }
    Some(members)
}

fn member<'m>(members: &'m [(String, Value)], name: &str) -> Option<&'m Value> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}
