//! Sealed secrets, by the cipher's own crate.

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use voicegain_auth_store::fuzzing::{Bound, Sealed};

/// The master keys there are: their ids and their bytes.
pub const KEYS: [(&str, [u8; 32]); 2] = [("new-key", [0x5a; 32]), ("old-key", [0x07; 32])];

/// What a secret is bound to: each field with its length before it.
fn associated(key_id: &str, format: i16, bound: &Bound) -> Vec<u8> {
    let mut associated = Vec::new();
    for field in [
        key_id.as_bytes(),
        b"voicegain-auth secret",
        &format.to_be_bytes(),
        bound.id.as_bytes(),
        bound.account_id.as_str().as_bytes(),
        bound.context_id.as_str().as_bytes(),
        &bound.generation.get().to_be_bytes(),
    ] {
        associated.extend_from_slice(&(field.len() as u64).to_be_bytes());
        associated.extend_from_slice(field);
    }
    associated
}

/// Seals a secret under a key with a nonce.
pub fn seal(key: usize, nonce: [u8; 24], secret: &[u8], bound: &Bound) -> Sealed {
    let (key_id, key) = KEYS[key];
    let mut text = secret.to_vec();
    let tag = XChaCha20Poly1305::new(&key.into())
        .encrypt_inout_detached(
            &XNonce::from(nonce),
            &associated(key_id, 1, bound),
            text.as_mut_slice().into(),
        )
        .expect("it is short");
    let bytes = [&nonce[..], &text, &tag].concat();
    Sealed { format: 1, key_id: Some(key_id.to_owned()), bytes }
}

/// The secret, if it was sealed so.
pub fn open(sealed: &Sealed, bound: &Bound) -> Option<Vec<u8>> {
    let key_id = sealed.key_id.as_deref().filter(|_| sealed.format == 1)?;
    let (_, key) = KEYS.iter().find(|(id, _)| *id == key_id)?;
    let (nonce, rest) = sealed.bytes.split_at_checked(24)?;
    let (text, tag) = rest.split_at_checked(rest.len().checked_sub(16)?)?;
    let mut plain = text.to_vec();
    let nonce = XNonce::from(<[u8; 24]>::try_from(nonce).ok()?);
    let tag = Tag::from(<[u8; 16]>::try_from(tag).ok()?);
    XChaCha20Poly1305::new(&(*key).into())
        .decrypt_inout_detached(&nonce, &associated(key_id, 1, bound), plain.as_mut_slice().into(), &tag)
        .ok()?;
    (32..=256).contains(&plain.len()).then_some(plain)
}

/// Standard base64, as key files have it.
pub fn base64(key: [u8; 32]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key)
}
