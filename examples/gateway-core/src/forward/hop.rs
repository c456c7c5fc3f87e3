//! The header fields that belong to one connection, and those that tell where a request came from. Pure
//! functions.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    COOKIE, EXPECT, HOST, MAX_FORWARDS, ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields that end at each hop whether `Connection` names them or not. (`Trailer` stays: it announces
/// what the next hop will get as well.)
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields meant for all recipients, which a sender must not name in `Connection` (RFC 9110 section 7.6.1) and
/// cannot take out with it: a decision may have rested on them, or a message may be framed by them.
const NEVER_PER_CONNECTION: [HeaderName; 9] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    ORIGIN,
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes from a client's request what must not reach the upstream: hop-by-hop fields, `Expect` (answered on
/// this hop), forwarding fields and the identity.
pub fn strip_request_headers(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    remove_matching(headers, is_kept_back);
}

/// Removes the hop-by-hop fields from an upstream's response.
pub fn strip_response_headers(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
}

/// Removes from the trailers of a request or a response the fields that RFC 9110 section 6.5.1 does not allow
/// there, and those that a header section would lose too.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    remove_matching(trailers, |name| {
        NEVER_PER_CONNECTION.contains(name)
            || [EXPECT, MAX_FORWARDS, SET_COOKIE, TRAILER].contains(name)
            || is_kept_back(name)
    });
}

/// Whether the field is in the `x-voicegain-` family, in which only a gateway writes. Many servers fold `_`
/// and `.` into `-`, so these count as the same (rule V8).
#[must_use]
pub fn is_identity_header(name: &HeaderName) -> bool {
    is_identity(&folded(name))
}

/// Whether the field tells an upstream of another origin, client or target of the request than the request
/// itself.
#[must_use]
pub fn is_forwarding_header(name: &HeaderName) -> bool {
    is_forwarding(&folded(name))
}

fn is_identity(folded: &str) -> bool {
    folded.starts_with("x-voicegain-")
}

fn is_forwarding(folded: &str) -> bool {
    folded.starts_with("x-forwarded-")
        || matches!(
            folded,
            "forwarded"
                | "x-forwarded"
                | "forwarded-for"
                | "x-real-ip"
                | "x-client-ip"
                | "x-cluster-client-ip"
                | "true-client-ip"
                | "x-host"
                | "x-original-host"
                | "x-envoy-original-host"
                // These name another path than the one that was decided on (rule P2).
                | "x-envoy-original-path"
                | "x-original-path"
                | "x-original-uri"
                | "x-original-url"
                | "x-override-url"
                | "x-rewrite-uri"
                | "x-rewrite-url"
                // CGI turns it into HTTP_PROXY.
                | "proxy"
        )
}

/// Whether a client must not say it to an upstream: only the gateway does, or a server that folds `_` and `.` into `-` would
/// take it for what frames the message, ends at this hop or was decided on. `Content_Length` is an ordinary field here, and
/// may be the length there.
fn is_kept_back(name: &HeaderName) -> bool {
    let folded = folded(name);
    let is_another =
        || HOP_BY_HOP.iter().chain(&NEVER_PER_CONNECTION).chain([&EXPECT]).any(|it| it == &*folded);
    is_forwarding(&folded) || is_identity(&folded) || (folded != name.as_str() && is_another())
}

/// Says where the request came from. The fields must have been stripped before.
pub(crate) fn set_forwarding(
    headers: &mut HeaderMap,
    client: IpAddr,
    scheme: &Scheme,
    authority: Option<HeaderValue>,
) {
    if let Ok(value) = HeaderValue::from_str(&client.to_canonical().to_string()) {
        headers.insert(X_FORWARDED_FOR, value);
    }
    if let Ok(value) = HeaderValue::from_str(scheme.as_str()) {
        headers.insert(X_FORWARDED_PROTO, value);
    }
    if let Some(value) = authority {
        headers.insert(X_FORWARDED_HOST, value);
    }
}

/// Sets the gateway's own fields over whatever is there.
pub(crate) fn set_own(headers: &mut HeaderMap, own: Vec<(HeaderName, HeaderValue)>) {
    let mut current = None;
    for (name, value) in own {
        // The first of its name replaces all that are there.
        if current.as_ref() == Some(&name) {
            headers.append(name, value);
        } else {
            current = Some(name.clone());
            headers.insert(name, value);
        }
    }
}

/// HTTP/2 allows the cookie to be split into several fields; HTTP/1.1 does not (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let parts: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(mut joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        joined.set_sensitive(true);
        headers.insert(COOKIE, joined);
    }
}

/// Leaves at most one `Content-Length`, and none beside a `Transfer-Encoding`, which overrides it (RFC 9112
/// section 6.3). Call it before the hop-by-hop fields are stripped.
///
/// # Errors
///
/// The value is no number, there are different ones, or there is a transfer coding besides `chunked`.
pub(super) fn settle_content_length(headers: &mut HeaderMap) -> Result<Option<u64>, BadFraming> {
    if headers.contains_key(TRANSFER_ENCODING) {
        // hyper takes off the chunks and nothing else; another coding would be lost on the way.
        let mut codings = tokens(headers, &TRANSFER_ENCODING);
        let chunked_alone = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        if !chunked_alone || codings.next().is_some() {
            return Err(BadFraming);
        }
        drop(codings);
        headers.remove(CONTENT_LENGTH);
        return Ok(None);
    }
    let mut length = None;
    for token in tokens(headers, &CONTENT_LENGTH) {
        let value = parse_decimal(token).ok_or(BadFraming)?;
        if length.is_some_and(|earlier| earlier != value) {
            return Err(BadFraming);
        }
        length = Some(value);
    }
    match length {
        Some(length) => headers.insert(CONTENT_LENGTH, HeaderValue::from(length)),
        None if headers.contains_key(CONTENT_LENGTH) => return Err(BadFraming),
        None => None,
    };
    Ok(length)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadFraming;

fn parse_decimal(token: &[u8]) -> Option<u64> {
    // Not `str::parse` alone: it accepts a sign.
    if token.is_empty() || !token.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(token).ok()?.parse().ok()
}

/// Whether `TE` says that the sender wants trailers.
pub(super) fn accepts_trailers(headers: &HeaderMap) -> bool {
    has_token(headers, &TE, b"trailers")
}

/// Whether a comma-separated field has the token, in any letter case.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    tokens(headers, name).any(|each| each.eq_ignore_ascii_case(token))
}

/// The only value of a field that is there exactly once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes().trim_ascii()),
        _ => None,
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_for_all_recipients(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn is_for_all_recipients(name: &HeaderName) -> bool {
    let text = name.as_str();
    NEVER_PER_CONNECTION.contains(name) || text.starts_with("sec-") || text.starts_with("access-control-")
}

fn remove_matching(headers: &mut HeaderMap, matches: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| matches(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// A `HeaderName` is lower case already.
fn folded(name: &HeaderName) -> Cow<'_, str> {
    let name = name.as_str();
    if name.contains(['_', '.']) { Cow::Owned(name.replace(['_', '.'], "-")) } else { Cow::Borrowed(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn fields_named_in_connection_go_and_the_others_stay() {
        let mut map = headers(&[
            ("connection", "X-Secret-Hop , close"),
            ("connection", "x-other"),
            ("x-secret-hop", "1"),
            ("x-other", "1"),
            ("x-kept", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
        ]);
        strip_request_headers(&mut map);
        assert_eq!(map, headers(&[("x-kept", "1"), ("trailer", "x-sum")]));
    }

    #[test]
    fn connection_cannot_take_out_what_a_decision_rests_on() {
        let mut map = headers(&[
            ("connection", "authorization, origin, cookie, host, sec-fetch-site, content-length"),
            ("authorization", "x"),
            ("origin", "https://a.example"),
            ("cookie", "a=b"),
            ("host", "a.example"),
            ("sec-fetch-site", "none"),
            ("content-length", "3"),
        ]);
        strip_request_headers(&mut map);
        assert_eq!(map.len(), 6);
    }

    #[test]
    fn v8_identity_headers_go_in_every_spelling() {
        for name in
            ["x-voicegain-account-id", "x_voicegain_account_id", "x.voicegain-new", "X-Voicegain_Token.Kind"]
        {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert!(is_identity_header(&name), "{name}");
        }
        for name in ["x-voicegainer", "voicegain-account-id", "x-voice-gain-a"] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert!(!is_identity_header(&name), "{name}");
        }
    }

    #[test]
    fn forwarding_headers_go_in_every_spelling() {
        for name in [
            "forwarded",
            "forwarded-for",
            "proxy",
            "true-client-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "x-envoy-original-host",
            "x-envoy-original-path",
            "x-forwarded",
            "x-forwarded-for",
            "x-forwarded-prefix",
            "x-host",
            "x-original-host",
            "x-original-path",
            "x-original-uri",
            "x-original-url",
            "x-override-url",
            "x-real-ip",
            "x-rewrite-uri",
            "x-rewrite-url",
            "x_forwarded_host",
            "x_envoy.original_path",
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert!(is_forwarding_header(&name), "{name}");
        }
        for name in ["x-request-id", "x-envoy-retry-on"] {
            assert!(!is_forwarding_header(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn no_other_spelling_of_what_frames_or_decides_is_passed_on() {
        let names = ["content_length", "content.length", "transfer_encoding", "keep_alive", "content_type"];
        for name in names.into_iter().chain(["http2_settings", "proxy_connection", "cache_control"]) {
            let mut map = headers(&[(name, "5"), ("x_request_id", "1"), ("content-length", "0")]);
            let mut trailers = headers(&[(name, "5"), ("x_sum", "1")]);
            strip_request_headers(&mut map);
            assert_eq!(map, headers(&[("x_request_id", "1"), ("content-length", "0")]), "{name}");
            strip_trailers(&mut trailers);
            assert_eq!(trailers, headers(&[("x_sum", "1")]), "{name}");
        }
    }

    #[test]
    fn trailers_lose_framing_identity_and_credentials() {
        let mut map = headers(&[
            ("x-sum", "1"),
            ("grpc-status", "0"),
            ("x_voicegain-account-id", "evil"),
            ("authorization", "evil"),
            ("content-length", "9"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "evil"),
            ("set-cookie", "evil"),
        ]);
        strip_trailers(&mut map);
        assert_eq!(map, headers(&[("x-sum", "1"), ("grpc-status", "0")]));
    }

    #[test]
    fn content_length_is_one_number_and_never_beside_transfer_encoding() {
        let mut same = headers(&[("content-length", "5, 5"), ("content-length", "5")]);
        assert_eq!(settle_content_length(&mut same), Ok(Some(5)));
        assert_eq!(same, headers(&[("content-length", "5")]));

        let mut both = headers(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        assert_eq!(settle_content_length(&mut both), Ok(None));
        assert!(!both.contains_key(CONTENT_LENGTH));

        for other in ["gzip, chunked", "chunked, chunked", "x", ""] {
            let mut coded = headers(&[("transfer-encoding", other)]);
            assert_eq!(settle_content_length(&mut coded), Err(BadFraming), "{other}");
        }
        for bad in ["5, 6", "+5", "", "5 5", "0x5", "99999999999999999999"] {
            assert_eq!(
                settle_content_length(&mut headers(&[("content-length", bad)])),
                Err(BadFraming),
                "{bad}"
            );
        }
    }

    #[test]
    fn split_cookies_are_joined() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut map);
        assert_eq!(single(&map, &COOKIE), Some(&b"a=1; b=2"[..]));
    }

    #[test]
    fn own_fields_replace_all_values() {
        let mut map = headers(&[("x-a", "1"), ("x-a", "2"), ("x-b", "3")]);
        let own = ["own", "own 2"].map(|own| (HeaderName::from_static("x-a"), HeaderValue::from_static(own)));
        set_own(&mut map, own.into());
        assert_eq!(map, headers(&[("x-b", "3"), ("x-a", "own"), ("x-a", "own 2")]));
    }
}
