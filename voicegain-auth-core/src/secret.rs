//! The bytes that sign.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A signing secret: 32 to 256 bytes, wiped on drop, never shown by `Debug` (rule W7).
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

/// A secret was shorter than 32 or longer than 256 bytes (rule W7; RFC 7518 section 3.2 sets the floor).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret must be 32 to 256 bytes long, not {length}")]
#[non_exhaustive]
pub struct InvalidSecret {
    /// How many bytes there were.
    pub length: usize,
}

impl Secret {
    /// How many bytes a generated secret has.
    pub const GENERATED_LEN: usize = 32;
    /// The fewest bytes an imported secret may have.
    pub const MIN_LEN: usize = 32;
    /// The most bytes an imported secret may have.
    pub const MAX_LEN: usize = 256;

    /// Makes a new secret of 32 bytes from the operating system's randomness.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new(vec![0_u8; Self::GENERATED_LEN].into_boxed_slice());
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Takes a secret that exists already, as when one is imported or read from a store.
    ///
    /// # Errors
    /// If it is shorter than 32 or longer than 256 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSecret> {
        if (Self::MIN_LEN..=Self::MAX_LEN).contains(&bytes.len()) {
            Ok(Self(Zeroizing::new(bytes.into())))
        } else {
            Err(InvalidSecret { length: bytes.len() })
        }
    }

    /// The bytes themselves, for stores and signers. Whoever calls this keeps them out of logs and answers.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w7_secrets_are_32_to_256_bytes() {
        for length in [0, 1, 31, 257, 4096] {
            assert_eq!(Secret::from_bytes(&vec![7; length]), Err(InvalidSecret { length }));
        }
        for length in [32, 256] {
            assert_eq!(Secret::from_bytes(&vec![7; length]).unwrap().expose().len(), length);
        }
        assert_eq!(Secret::generate().unwrap().expose().len(), 32);
        assert_ne!(Secret::generate().unwrap(), Secret::generate().unwrap());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::from_bytes(&[65; 40]).unwrap()), "Secret(…)");
    }
}
