//! What a WebSocket's handshake must be on either side (rule V10).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};
use sha1::{Digest as _, Sha1};
use voicegain_auth_core::is_websocket_upgrade;
use voicegain_gateway_core::head::HttpHead;

/// The key of a well-formed handshake.
pub fn key(head: &Parts) -> Option<HeaderValue> {
    let key = only(&head.headers, &SEC_WEBSOCKET_KEY)?;
    let well_formed = head.version == Version::HTTP_11
        && is_websocket_upgrade(&HttpHead(head))
        && only(&head.headers, &UPGRADE)?.as_bytes().eq_ignore_ascii_case(b"websocket")
        && only(&head.headers, &SEC_WEBSOCKET_VERSION)? == "13"
        && STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    well_formed.then(|| key.clone())
}

/// Whether a 101 agrees to the handshake with this key.
pub fn is_agreed(headers: &HeaderMap, key: &HeaderValue) -> bool {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(hash.finalize());
    only(headers, &SEC_WEBSOCKET_ACCEPT).is_some_and(|value| value == accept.as_str())
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
