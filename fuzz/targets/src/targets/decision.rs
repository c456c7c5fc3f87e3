//! A whole request, decided (rules V1 to V9, W, O, P).
//!
//! The input has seven parts: settings, the time, which secret signs, the token's header, its payload, damage to it, and the
//! request, in which `$T` stands for the token.

use std::time::Duration;

use voicegain_auth_core::{Caller, Mode, Policy, Progress, TokenKind, TokenSource, TokenSources, Verifier};

use super::{credentials, fields};
use crate::allocations::counted;
use crate::world::{NOW, id, secret, set_wall, world};
use reference::decision::{Admitted, Settings, decide};
use reference::head::Head;
use reference::mac;

/// What deciding may allocate besides a few times the request: a token in the query or the path of one that is limited is copied,
/// hosts in Punycode go through IDNA, and moka and the thread's records now and then make room.
const BYTES: usize = 96 * 1_024;
const BYTES_PER_BYTE: usize = 64;

pub fn check(input: &[u8]) {
    let [settings, now, key, header, payload, damage, request] = fields(input);
    let settings = read_settings(settings);
    let now = set_wall(read_now(now));
    let header = if header.is_empty() { mac::HEADER } else { header };
    let mut token = mac::sign(&read_key(key), header, payload);
    for change in damage.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % token.len();
        token[at] ^= change[2];
    }
    let head = Head::read(&with_token(request, &token));

    let world = world();
    let expected = decide(&world.configs, &settings, &head, now);
    let verifier = Verifier::new(world.cache.clone(), policy(&settings));
    // Twice, since the second time more may be at hand.
    for _ in 0..2 {
        let (progress, bytes) = counted(|| verifier.decide(&head));
        assert!(bytes <= BYTES + BYTES_PER_BYTE * input.len(), "{bytes} bytes were allocated");
        let Progress::Decided(decision) = progress else { panic!("everything is known") };
        match (&decision, &expected) {
            (Ok(admitted), Ok(expected)) => check_admitted(admitted, expected),
            (Err(rejection), Err(reason)) => {
                assert_eq!(rejection.reason(), *reason);
                let body = format!("{} {:?}", rejection.body(), rejection.www_authenticate());
                let token = String::from_utf8_lossy(&token);
                assert!(token.len() < 32 || !body.contains(&*token), "the token is in the answer");
            }
            _ => panic!("{decision:?}, but {expected:?}"),
        }
    }
}

fn check_admitted(admitted: &voicegain_auth_core::Admitted, expected: &Admitted) {
    match (admitted.caller(), expected) {
        (Caller::Preflight, Admitted::Preflight) | (Caller::Anonymous, Admitted::Anonymous) => {
            assert_eq!(admitted.source(), None);
        }
        (Caller::Identified(identity), Admitted::Caller(said, source)) => {
            assert_eq!(admitted.source(), Some(*source));
            assert_eq!(admitted.is_private(), matches!(source, TokenSource::Query | TokenSource::Cookie));
            assert_eq!(identity.web_config_id(), said.id);
            let config = (0..5).find(|config| id(*config) == said.id).expect("it lives");
            assert_eq!(identity.context_id().as_str(), format!("context-{config}"));
            assert_eq!(identity.account_id().as_str(), format!("account-{}", config / 2));
            assert_eq!(identity.api_path().map(ToString::to_string), said.api_path);
            assert_eq!(identity.token_kind() == TokenKind::ShortLived, said.expires_at.is_some());
            for (name, value) in identity.headers() {
                let plain = |byte: u8| (b'!'..=b'~').contains(&byte);
                assert!(name.starts_with("x-voicegain-") && value.bytes().all(plain), "{name}: {value}");
            }
        }
        other => panic!("{other:?}"),
    }
}

fn read_settings(text: &[u8]) -> Settings {
    let byte = |at: usize| text.get(at).copied().unwrap_or(b'1');
    let mut sources = credentials::sources(byte(0));
    if sources == TokenSources::none() {
        sources.header = true;
    }
    Settings {
        sources,
        mode: if byte(1) & 1 == 0 { Mode::Optional } else { Mode::Required },
        base_path: ["/v1", "/", "/ascalon-web-api", "/a%20b/c"][usize::from(byte(2)) % 4].to_owned(),
        leeway: Duration::from_secs([0, 0, 1, 300][usize::from(byte(3)) % 4]),
        long_lived_from_any_origin: byte(4) & 2 != 0,
    }
}

fn policy(settings: &Settings) -> Policy {
    Policy::builder()
        .mode(settings.mode)
        .token_sources(settings.sources.clone())
        .base_path(settings.base_path.clone())
        .leeway(settings.leeway)
        .dangerously_allow_long_lived_tokens_from_any_origin(settings.long_lived_from_any_origin)
        .build()
        .expect("a policy")
}

/// Milliseconds since the Unix epoch.
fn read_now(text: &[u8]) -> Duration {
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().map_or(NOW, Duration::from_millis)
}

/// A web config's number and a generation, or the key itself.
fn read_key(text: &[u8]) -> Vec<u8> {
    match text {
        [] => world().configs[0].secret.clone(),
        [config @ b'0'..=b'5', generation @ b'1'..=b'2'] => {
            secret(usize::from(config - b'0'), generation - b'0')
        }
        other => other.to_vec(),
    }
}

fn with_token(request: &[u8], token: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = request;
    while let Some(at) = rest.windows(2).position(|two| two == b"$T") {
        text.extend_from_slice(&rest[..at]);
        text.extend_from_slice(token);
        rest = &rest[at + 2..];
    }
    text.extend_from_slice(rest);
    text
}
