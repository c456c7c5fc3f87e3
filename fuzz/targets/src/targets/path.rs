//! Base path, API path and the path of a request (rules P1, P2, P4).

use std::sync::OnceLock;

use voicegain_auth_core::fuzzing::{Key, read};
use voicegain_auth_core::{ApiPath, BasePath, EmptySegments, check_path};

use crate::world::IDS;
use reference::{mac, path};

pub fn check(input: &[u8]) {
    let [base, api, request] = super::fields(input).map(String::from_utf8_lossy);
    for text in [&base, &api, &request] {
        for (segments, allowed) in [(EmptySegments::Refused, false), (EmptySegments::Allowed, true)] {
            assert_eq!(check_path(text, segments).is_err(), path::is_refused(text, allowed), "{text}");
        }
    }
    let parsed_base = base.parse::<BasePath>().ok();
    let is_base = !path::is_refused(&base, false) && (base == "/" || !base.ends_with('/'));
    assert_eq!(parsed_base.is_some(), is_base, "{base}");
    let parsed_api = api.parse::<ApiPath>().ok();
    assert_eq!(parsed_api.is_some(), !path::is_refused(&api, false), "{api}");

    if let Some(api_path) = &parsed_api {
        let encoded = api_path.borrowed().percent_encoded().to_string();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
        assert!(encoded.bytes().all(plain), "a header's value: {encoded}");
        assert_eq!(path::decode(&encoded), path::decode(&api));
        assert_eq!(api_path.to_string(), *api);
    }
    if let Some(parsed_base) = &parsed_base {
        assert_eq!(parsed_base.relative(&request), path::relative(&base, &request), "{base} {request}");
        if let Some(api_path) = &parsed_api {
            let covers = api_path.borrowed().covers(parsed_base, &request);
            assert_eq!(covers, path::covers(&base, &api, &request), "{base} {api} {request}");
            assert_eq!(parsed_base.is_route(&request, &api), path::is_route(&base, &api, &request));
        }
    }
    // In a token's `sub` it counts as it does by itself. Quotes would end the string there.
    if !api.contains(['"', '\\']) && !api.chars().any(|c| c < ' ') {
        let payload = format!(r#"{{"sub":"api:{api}:{}"}}"#, IDS[0]);
        let token = mac::sign(&[], mac::HEADER, payload.as_bytes());
        static KEY: OnceLock<Key> = OnceLock::new();
        let said = read(&token, KEY.get_or_init(|| Key::new(&[])))
            .map(|(_, said)| said.expect("it is signed").api_path);
        assert_eq!(said, parsed_api.map(|_| Some(api.into_owned())));
    }
}
