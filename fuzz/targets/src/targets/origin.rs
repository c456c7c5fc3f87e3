//! The value of an `Origin` header (rule O2), against the `url` crate.

use url::Url;
use voicegain_auth_core::fuzzing::stands_for_itself;
use voicegain_auth_core::origin::Origin;

use reference::origin;

pub fn check(input: &[u8]) {
    let [value, authority] = super::fields(input);
    let parsed = Origin::parse(value).ok();
    let expected = origin::read(value);
    assert_eq!(parsed.map(|origin| origin.is_null()), expected.as_ref().map(Option::is_none));

    let text = std::str::from_utf8(value).ok();
    let serialised = text.and_then(serialised);
    if let Some(Some(expected)) = &expected
        && matches!(&*expected.scheme, "http" | "https" | "ws" | "wss")
    {
        // Letter case and an explicit default port are forgiven, nothing else.
        let text = text.expect("ASCII").to_ascii_lowercase();
        let serialised = serialised.clone().expect("what is an origin is one for a browser");
        let default = if matches!(&*expected.scheme, "http" | "ws") { ":80" } else { ":443" };
        assert!(text == serialised || text == format!("{serialised}{default}"), "{text} {serialised}");
    }
    if let (Some(serialised), Some(text)) = (serialised, text)
        && text == serialised
        && (text.starts_with("http://") || text.starts_with("https://"))
    {
        assert!(parsed.is_some() || is_refused_by_rule(text), "a browser sends this: {text}");
    }

    // Once as it comes and once more, when it may be known.
    for _ in 0..2 {
        let is_one = matches!(expected, Some(Some(_))) && !value.contains(&b'*');
        assert_eq!(stands_for_itself(value), is_one);
    }
    if let (Some(parsed), Ok(authority)) = (parsed, std::str::from_utf8(authority)) {
        let expected = expected.flatten().is_some_and(|expected| origin::is_authority(&expected, authority));
        assert_eq!(parsed.is_authority(authority), expected, "{authority}");
    }
}

/// The origin as a browser serialises it.
fn serialised(text: &str) -> Option<String> {
    let origin = Url::parse(text).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// What a browser could send and is refused all the same: a comma would let two joined headers read as one host, no name has an
/// empty label, and IDNA would take long over Punycode that is longer than any name.
fn is_refused_by_rule(text: &str) -> bool {
    let host = text.split("://").nth(1).unwrap_or_default().split(':').next().unwrap_or_default();
    let dotless = host.strip_suffix('.').unwrap_or(host);
    host.contains(',')
        || dotless.split('.').any(str::is_empty)
        || (host.len() > 254 && dotless.split('.').any(|label| label.starts_with("xn--")))
}
