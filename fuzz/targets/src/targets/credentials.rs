//! Where a request's token is, and what is passed on of it (rules V1, V2).
//!
//! The first byte says which sources are enabled, the rest is the request.

use voicegain_auth_core::fuzzing::{find, strip_after};
use voicegain_auth_core::{Edit, Field, Policy, Strip, TokenSources, is_preflight, is_websocket_upgrade};

use reference::credentials::{self, Found};
use reference::head::Head;

/// The sources that a byte stands for.
pub fn sources(byte: u8) -> TokenSources {
    let mut sources = TokenSources::none();
    sources.header = byte & 1 != 0;
    sources.query = byte & 2 != 0;
    sources.protocol = byte & 4 != 0;
    sources.cookie = (byte & 8 != 0).then(|| "vg".to_owned());
    sources
}

pub fn check(input: &[u8]) {
    let (first, rest) = input.split_first().unwrap_or((&b'?', &[]));
    let sources = sources(*first);
    let Ok(policy) = Policy::builder().token_sources(sources.clone()).build() else {
        assert_eq!(*first & 15, 0, "without a source there is no policy");
        return;
    };
    let head = Head::read(rest);
    let expected = credentials::find(&head, &sources);
    assert_eq!(found(&head, &sources), expected);
    assert_eq!(is_websocket_upgrade(&head), credentials::is_websocket(&head));
    assert!(!is_preflight(&head) || (head.method == "OPTIONS" && !head.all(Field::Origin).is_empty()));

    let strip = Strip::plan(&policy, &head);
    if let Found::Token(_, source) = &expected {
        assert_eq!(strip_after(&policy, &head, Some(*source)), strip, "what was found changes nothing");
    }
    let passed = head.stripped(&strip);
    assert_eq!(passed.stripped(&Strip::plan(&policy, &passed)), passed, "stripped once, stripped");
    nothing_is_left(&head, &passed, &sources);
    the_rest_stays(&head, &passed, &strip, &sources);

    let keeps = Policy::builder().token_sources(sources).pass_token_on(true).build().expect("a policy");
    assert_eq!(head.stripped(&Strip::plan(&keeps, &head)), head);
}

fn found(head: &Head, sources: &TokenSources) -> Found {
    match find(head, sources) {
        Err(_) => Found::Ambiguous,
        Ok(None) => Found::Nothing,
        Ok(Some((token, source))) => Found::Token(token.into_owned(), source),
    }
}

/// No enabled source has a token any more, be it looked at alone, for a WebSocket or not.
fn nothing_is_left(head: &Head, passed: &Head, sources: &TokenSources) {
    let as_websocket = Head { is_connect: true, ..passed.clone() };
    for bit in [1, 2, 4, 8_u8] {
        let mut alone = self::sources(bit);
        alone.header &= sources.header;
        alone.query &= sources.query;
        alone.protocol &= sources.protocol;
        alone.cookie = alone.cookie.filter(|_| sources.cookie.is_some());
        for passed in [passed, &as_websocket] {
            let left = credentials::find(passed, &alone);
            // Several lines of another scheme name no token, and are not ours to take out.
            let others = bit == 1 && left == Found::Ambiguous;
            assert!(left == Found::Nothing || others, "{left:?} of {head:?}");
        }
    }
    if sources.header {
        let is_bearer = |value: &&[u8]| {
            let value = value.trim_ascii_start().to_ascii_lowercase();
            value.strip_prefix(b"bearer").is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
        };
        assert!(!passed.all(Field::Authorization).iter().any(is_bearer), "{head:?}");
    }
}

/// What carries no token is passed on, in its order.
fn the_rest_stays(head: &Head, passed: &Head, strip: &Strip, sources: &TokenSources) {
    let pairs = |head: &Head| -> Vec<String> {
        let query = head.query.clone();
        query.iter().flat_map(|query| query.split('&')).map(str::to_owned).collect()
    };
    let is_token = |pair: &String| {
        form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| name == "access_token")
    };
    let mut expected = pairs(head);
    if sources.query {
        expected.retain(|pair| !is_token(pair));
    }
    assert_eq!(pairs(passed), expected);

    // What is no text stays where nothing else goes.
    let is_text = |value: &&[u8]| std::str::from_utf8(value).is_ok();
    let mut entries = head.list(Field::SecWebSocketProtocol);
    if sources.protocol {
        entries.retain(|entry| !credentials::is_bearer_entry(entry));
    }
    if strip.protocols != Edit::Keep {
        entries.retain(is_text);
    }
    assert_eq!(passed.list(Field::SecWebSocketProtocol), entries);

    let mut cookies = credentials::cookies(head);
    if let Some(name) = &sources.cookie {
        cookies.retain(|cookie| credentials::value_of(cookie, name).is_none());
    }
    if strip.cookies != Edit::Keep {
        cookies.retain(is_text);
    }
    assert_eq!(credentials::cookies(passed), cookies);

    if !sources.header {
        assert_eq!(passed.all(Field::Authorization), head.all(Field::Authorization));
    }
    let other = |head: &Head| {
        let mut head = head.clone();
        let stripped = [Field::Authorization, Field::Cookie, Field::SecWebSocketProtocol];
        head.fields.retain(|(field, _)| !stripped.contains(field));
        Head { query: None, ..head }
    };
    assert_eq!(other(passed), other(head));
}
