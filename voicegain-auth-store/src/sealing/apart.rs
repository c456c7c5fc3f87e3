//! The same keys for what is kept outside of a store, as a file is that carries secrets from one to another.

use zeroize::Zeroizing;

use super::aead::Associated;
use super::error::{MasterKeyError, SealError};
use super::keys::MasterKeys;

impl MasterKeys {
    /// Seals something under the first key, and answers that key's id with it. It opens for the same purpose and together
    /// with the same fields only, and counts nowhere as a store's secret.
    ///
    /// # Errors
    /// [`MasterKeyError::NoRandomness`].
    pub fn seal_apart(
        &self,
        purpose: &str,
        fields: &[impl AsRef<[u8]>],
        plain: &[u8],
    ) -> Result<(String, Vec<u8>), MasterKeyError> {
        // Sealed under the very key whose id is answered, whoever replaces them meanwhile.
        let keys = self.snapshot();
        let key_id = keys.first_id().to_string();
        let sealed = keys.seal(&key_id, plain, |bound| bind(bound, purpose, fields));
        Ok((key_id, sealed.map_err(|_| MasterKeyError::NoRandomness)?))
    }

    /// Opens what [`seal_apart`](Self::seal_apart) has sealed under the key of this id.
    ///
    /// # Errors
    /// [`MasterKeyError::UnknownKey`] or [`MasterKeyError::DoesNotOpen`].
    pub fn open_apart(
        &self,
        key_id: &str,
        purpose: &str,
        fields: &[impl AsRef<[u8]>],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
        let key_id_of = || key_id.to_owned();
        self.open(key_id, sealed, |bound| bind(bound, purpose, fields)).map_err(|error| match error {
            SealError::UnknownKey(_) => MasterKeyError::UnknownKey { key_id: key_id_of() },
            _ => MasterKeyError::DoesNotOpen { key_id: key_id_of() },
        })
    }
}

/// The first field tells it from a store's secret, and from the check value of a key.
fn bind(associated: Associated, purpose: &str, fields: &[impl AsRef<[u8]>]) -> Associated {
    let associated = associated.field(b"voicegain-auth apart 1").field(purpose.as_bytes());
    fields.iter().fold(associated, |associated, field| associated.field(field.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::line;
    use super::*;

    #[test]
    fn what_was_sealed_apart_opens_for_its_purpose_with_its_fields_under_its_key() {
        let keys = MasterKeys::parse(&(line("b", 2) + &line("a", 1))).unwrap();
        let (key_id, sealed) = keys.seal_apart("moving", &[b"one", b"two"], b"plain").unwrap();
        assert_eq!(key_id, "b");
        assert!(!sealed.windows(5).any(|bytes| bytes == b"plain"));
        let opened = keys.open_apart("b", "moving", &[b"one", b"two"], &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"plain");
        for (purpose, fields) in [
            ("other", &[b"one".as_slice(), b"two"] as &[&[u8]]),
            ("moving", &[b"one", b"tw0"]),
            ("moving", &[b"onetwo"]),
            ("moving", &[b"one"]),
            ("moving", &[b"one", b"two", b""]),
        ] {
            let refused = keys.open_apart("b", purpose, fields, &sealed);
            assert!(matches!(refused, Err(MasterKeyError::DoesNotOpen { .. })), "{purpose} {fields:?}");
        }
        let refused = keys.open_apart("a", "moving", &[b"one", b"two"], &sealed);
        assert!(
            matches!(&refused, Err(MasterKeyError::DoesNotOpen { key_id }) if key_id == "a"),
            "{refused:?}"
        );
        let refused = keys.open_apart("c", "moving", &[b"one", b"two"], &sealed);
        assert!(
            matches!(&refused, Err(MasterKeyError::UnknownKey { key_id }) if key_id == "c"),
            "{refused:?}"
        );
        let wrong = MasterKeys::parse(&line("b", 3)).unwrap();
        wrong.open_apart("b", "moving", &[b"one", b"two"], &sealed).unwrap_err();
        let mut changed = sealed;
        *changed.last_mut().unwrap() ^= 1;
        keys.open_apart("b", "moving", &[b"one", b"two"], &changed).unwrap_err();
    }
}
