//! What a short-lived token is asked for with, and what comes of it (rules M2, W3, M4).
//!
//! The input is the query; what is minted is then tried from its own origin and from others.

use std::sync::OnceLock;

use voicegain_auth_core::{Admitted, Caller, Identity, Policy, Progress, Reason, TokenKind, Verifier};

use crate::world::{API_URL, NOW, id, set_wall, world};
use reference::head::Head;
use reference::mint::wanted;
use reference::origin::{self, Pattern, Port, Tail};
use reference::{mac, token};

fn deployment() -> &'static (Verifier, Identity) {
    static DEPLOYMENT: OnceLock<(Verifier, Identity)> = OnceLock::new();
    DEPLOYMENT.get_or_init(|| {
        let verifier = Verifier::new(world().cache.clone(), Policy::default());
        let payload = format!(r#"{{"aud":"{API_URL}","sub":"{}"}}"#, id(0));
        let long_lived = mac::sign(&world().configs[0].secret, mac::HEADER, payload.as_bytes());
        let caller = ask(&verifier, &long_lived, "/v1", None).expect("a long-lived token").into_caller();
        let Caller::Identified(identity) = caller else { panic!("nobody") };
        (verifier, identity)
    })
}

fn ask(verifier: &Verifier, token: &[u8], path: &str, origin: Option<&str>) -> Result<Admitted, Reason> {
    let token = String::from_utf8_lossy(token);
    let origin = origin.map(|origin| format!("\norigin: {origin}")).unwrap_or_default();
    let head = Head::read(format!("GET {path}\nauthorization: Bearer {token}{origin}").as_bytes());
    match verifier.decide(&head) {
        Progress::Decided(decision) => decision.map_err(|rejection| rejection.reason()),
        Progress::Pending(_) => panic!("everything is known"),
    }
}

pub fn check(input: &[u8]) {
    let (verifier, caller) = deployment();
    set_wall(NOW + std::time::Duration::from_millis(1));
    let query = String::from_utf8_lossy(input);
    let expected = wanted(&query, "context-0");
    let minted = world().issuer.mint(caller, Some(&query));
    let (minted, wanted) = match (minted, expected) {
        (Ok(minted), Some(wanted)) => (minted.into_bytes(), wanted),
        (Err(rejection), None) => {
            assert_eq!((rejection.reason(), rejection.status()), (Reason::InvalidParameter, 400));
            return;
        }
        (minted, expected) => panic!("{query}: {minted:?}, but {expected:?}"),
    };

    let read = token::read(&minted).expect("a token");
    assert!(read.is_signed(&world().configs[0].secret), "by the secret that verified the caller");
    let said = read.said;
    assert_eq!(said.audience, Some(vec![wanted.audience.clone()]), "byte for byte");
    // Counted from now rounded up.
    assert_eq!(said.expires_at.map(|exp| exp.as_secs()), Some(NOW.as_secs() + 1 + wanted.seconds));
    assert_eq!((said.id, &said.api_path, said.not_before), (id(0), &wanted.api_path, None));

    let path = format!("/v1{}", wanted.api_path.as_deref().unwrap_or("/x"));
    let admitted = ask(verifier, &minted, &path, None).expect("from a server");
    let identity = admitted.caller().identity().expect("a caller");
    assert_eq!(identity.token_kind(), TokenKind::ShortLived);
    let again = world().issuer.mint(identity, Some(&query)).map_err(|rejection| rejection.reason());
    assert_eq!(again, Err(Reason::InsufficientScope), "M3");

    let pattern = origin::pattern(&wanted.audience, Tail::Anything).expect("a pattern");
    for origin in candidates(&pattern) {
        let Some(theirs) = origin::read(origin.as_bytes()) else { continue };
        let allowed = origin::matches(&pattern, theirs.as_ref(), true);
        let answer = ask(verifier, &minted, &path, Some(&origin)).map(drop);
        assert_eq!(answer, if allowed { Ok(()) } else { Err(Reason::OriginNotAllowed) }, "{query} {origin}");
    }
}

/// Its own origin, others that look like it, and one of nobody.
fn candidates(pattern: &Pattern) -> Vec<String> {
    let mut origins = vec!["https://evil.test".to_owned(), "null".to_owned()];
    let Pattern::Some { scheme, host, port, .. } = pattern else { return origins };
    let scheme = scheme.as_deref().unwrap_or("https");
    let port = if let Port::Is(port) = port { format!(":{port}") } else { String::new() };
    for (before, behind) in [("", ""), ("a.", ""), ("evil", ""), ("", ".evil.test")] {
        origins.push(format!("{scheme}://{before}{host}{behind}{port}"));
    }
    origins.push(format!("http://{host}:1"));
    origins
}
