//! HMAC-SHA256 and base64url by the usual crates, and tokens made with them.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The header of rule W2.
pub const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// Strict, as rule W1 wants it.
pub const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// The MAC of a text.
pub fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let key = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    key.chain_update(text).finalize().into_bytes().into()
}

/// A token with this header and payload, whatever they are.
pub fn sign(key: &[u8], header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut token = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
    let signature = BASE64URL.encode(mac(key, token.as_bytes()));
    token.push('.');
    token.push_str(&signature);
    token.into_bytes()
}
