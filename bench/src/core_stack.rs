//! Verification without a framework: ours on a minimal request head, the peer's as one would write it by
//! hand.

use std::sync::Arc;

use futures_util::future::join_all;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{DecodingKey, Validation, decode};
use moka::sync::Cache;
use voicegain_auth_core::{Admitted, Field, Progress, Rejection, RequestHead, Verifier};

use crate::peer::{Claims, validation};
use crate::sample::{Contender, Role};
use crate::stack::{Door, drive};
use crate::tokens::{Case, HOST, PATH, Sent};

/// As much of a request as the rules look at.
pub(crate) struct Head {
    token: String,
    authorization: String,
    origin: Option<&'static str>,
}

impl Head {
    pub(crate) fn of(sent: &Sent) -> Self {
        Self { token: sent.token.clone(), authorization: sent.authorization(), origin: sent.origin }
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        PATH
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let value = match field {
            Field::Authorization => Some(self.authorization.as_bytes()),
            Field::Origin => self.origin.map(str::as_bytes),
            Field::Host => Some(HOST.as_bytes()),
            _ => None,
        };
        value.into_iter()
    }
}

/// Both verifiers. The peer finds its key by `sub`, as ours does, so that both take the tokens of many web
/// configs; `known` are those whose keys it has.
pub(crate) fn doors<'a>(
    case: &Case<'_>,
    known: impl Iterator<Item = (&'a Sent, &'a [u8])>,
) -> Vec<Door<Head>> {
    let verifier = case.verifier.clone();
    let peer = MokaAndJsonwebtoken::new(known);
    vec![
        Door::new("voicegain-auth-core", Role::Ours, move |head: &Head| match verify(&verifier, head) {
            Ok(_) => 200,
            Err(rejection) => rejection.status(),
        }),
        Door::new("moka + jsonwebtoken 11", Role::Peer, move |head: &Head| {
            if peer.verify(&head.token).is_some() { 200 } else { 401 }
        }),
    ]
}

/// [`Verifier::authorize`] without the future where nothing has to be waited for.
pub(crate) fn verify<H: RequestHead>(verifier: &Verifier, head: &H) -> Result<Admitted, Rejection> {
    let mut progress = verifier.decide(head);
    loop {
        match progress {
            Progress::Decided(decision) => return decision,
            Progress::Pending(pending) => progress = verifier.resume(head, drive(pending)),
        }
    }
}

/// Ours with many requests that wait at the same time, and share what they wait for.
pub(crate) fn together<'a>(name: &'static str, each: u32, case: &Case<'a>) -> Contender<'a> {
    let (verifier, accepted) = (case.verifier, case.accepted);
    let heads: Vec<Head> = case.ours.iter().cycle().take(each as usize).map(Head::of).collect();
    Contender::of_many(name, Role::Ours, each, move || {
        let decisions = drive(join_all(heads.iter().map(|head| verifier.authorize(head))));
        assert!(decisions.iter().all(|decision| decision.is_ok() == accepted), "{name}");
    })
}

/// A cache of keys by `sub`, asked before the signature is checked.
struct MokaAndJsonwebtoken {
    keys: Cache<String, Arc<DecodingKey>>,
    validation: Validation,
}

impl MokaAndJsonwebtoken {
    fn new<'a>(known: impl Iterator<Item = (&'a Sent, &'a [u8])>) -> Self {
        let keys = Cache::new(100_000);
        // In an order that has nothing to do with that of the requests: as in life, what is asked for in turn
        // does not lie side by side in memory. So it is in our cache, which loads web configs in the order of
        // their ids.
        let mut known: Vec<_> = known.collect();
        known.sort_unstable_by_key(|(_, secret)| *secret);
        for (sent, secret) in known {
            let claims: Claims = insecure_decode_claims(&sent.token).expect("a token of ours");
            keys.insert(claims.sub, Arc::new(DecodingKey::from_secret(secret)));
        }
        Self { keys, validation: validation() }
    }

    fn verify(&self, token: &str) -> Option<Claims> {
        let unverified: Claims = insecure_decode_claims(token).ok()?;
        let key = self.keys.get(&unverified.sub)?;
        Some(decode::<Claims>(token, &key, &self.validation).ok()?.claims)
    }
}
