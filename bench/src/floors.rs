//! The steps that no verifier of these tokens can do without, each alone and on the same bytes.

use std::hint::black_box;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::Deserialize;
use sha2::Sha256;
use uuid::Uuid;
use voicegain_auth_core::Clock;
use voicegain_auth_core::clock::SystemClock;

use crate::sample::{Contender, Floor, Role};
use crate::tokens::Sent;

/// A token, taken apart beforehand.
struct Parts {
    signing_input: Vec<u8>,
    encoded: [Vec<u8>; 3],
    header: Vec<u8>,
    payload: Vec<u8>,
    subject: String,
    id: Uuid,
}

impl Parts {
    fn of(sent: &Sent) -> Self {
        let encoded: Vec<&str> = sent.token.split('.').collect();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("a token of ours");
        let (header, payload) = (decode(encoded[0]), decode(encoded[1]));
        let subject = read::<Payload<'_>>(&payload).sub.rsplit(':').next().unwrap_or_default().to_owned();
        Self {
            signing_input: format!("{}.{}", encoded[0], encoded[1]).into(),
            encoded: [encoded[0].into(), encoded[1].into(), encoded[2].into()],
            id: subject.parse().expect("a web config's id"),
            header,
            payload,
            subject,
        }
    }
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "reading them is the work")]
struct Payload<'a> {
    aud: &'a str,
    sub: &'a str,
    exp: Option<u64>,
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> T {
    serde_json::from_slice(json).expect("a token of ours")
}

/// The floors of these tokens, used in turn.
pub(crate) fn contenders<'a>(tokens: &[Sent]) -> Vec<Contender<'a>> {
    let parts: Arc<[Parts]> = tokens.iter().map(Parts::of).collect();
    let cached = cache(parts.iter().map(|parts| parts.id).collect());

    let key = Hmac::<Sha256>::new_from_slice(&[7; 32]).expect("HMAC takes keys of any length");
    let mut floors = vec![
        floor("HMAC-SHA256 of the signing input, key prepared", Floor::ByMac, &parts, move |parts| {
            let mac = key.clone().chain_update(&parts.signing_input).finalize();
            black_box(mac);
        }),
        floor("base64 of the three parts", Floor::Every, &parts, |parts| {
            let mut bytes = [0; 512];
            for part in &parts.encoded {
                let length = URL_SAFE_NO_PAD.decode_slice(part, &mut bytes);
                black_box((length.is_ok(), &mut bytes));
            }
        }),
        floor("JSON members, by serde_json, borrowed", Floor::Every, &parts, |parts| {
            black_box(read::<Header<'_>>(&parts.header).alg);
            black_box(read::<Payload<'_>>(&parts.payload).sub);
        }),
        floor("UUID", Floor::Every, &parts, |parts| {
            let id = Uuid::try_parse_ascii(parts.subject.as_bytes());
            black_box(id.is_ok());
        }),
        floor("both clocks", Floor::Every, &parts, |_| {
            black_box(SystemClock::default().read());
        }),
        floor("moka get", Floor::Every, &parts, move |parts| {
            black_box(cached.get(&parts.id));
        }),
    ];
    if tokens.len() == 1 {
        let crowded = cache((1..10_000).map(Uuid::from_u128).chain([parts[0].id]).collect());
        floors.push(floor("moka get, one of 10,000 entries", Floor::None, &parts, move |parts| {
            black_box(crowded.get(&parts.id));
        }));
    }
    floors
}

/// A cache as ours is, with something small in it.
fn cache(mut ids: Vec<Uuid>) -> Cache<Uuid, Arc<Uuid>> {
    let cache = Cache::builder().max_capacity(100_000).eviction_policy(EvictionPolicy::lru()).build();
    // As they lie in our cache: not in the order in which they are asked for.
    ids.sort_unstable();
    ids.into_iter().for_each(|id| cache.insert(id, Arc::new(id)));
    cache
}

fn floor<'a>(
    name: &'static str,
    floor: Floor,
    parts: &Arc<[Parts]>,
    mut step: impl FnMut(&Parts) + 'a,
) -> Contender<'a> {
    let parts = Arc::clone(parts);
    let mut next = 0;
    Contender::new(name, Role::Floor(floor), move || {
        step(black_box(&parts[next]));
        next = if next + 1 == parts.len() { 0 } else { next + 1 };
    })
}
