//! The names of things on the server: web configs, accounts, contexts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// The id of a web config, a UUID; the `sub` of every token (rule W4).
///
/// Read in the 36-character hyphenated form only, in any letter case; written in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebConfigId(Uuid);

/// The text is not a UUID in its 36-character hyphenated form (rule W4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID in the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")]
#[non_exhaustive]
pub struct InvalidWebConfigId;

impl WebConfigId {
    /// The length of the only accepted textual form, in bytes.
    pub const TEXT_LEN: usize = 36;

    /// Reads the 36-character hyphenated form.
    ///
    /// # Errors
    /// Anything else, other UUID notations (braces, `urn:uuid:`, bare hex) included.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidWebConfigId> {
        if text.len() != Self::TEXT_LEN {
            return Err(InvalidWebConfigId);
        }
        Uuid::try_parse_ascii(text).map(Self).map_err(|_| InvalidWebConfigId)
    }

    /// Makes a new random id (UUID version 4) from the operating system's randomness.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(uuid::Builder::from_random_bytes(bytes).into_uuid()))
    }

    /// The sixteen bytes of the UUID, for stores.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these sixteen bytes, for stores.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl FromStr for WebConfigId {
    type Err = InvalidWebConfigId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for WebConfigId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for WebConfigId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An account or context id was empty, longer than 128 bytes, or held something other than visible ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 visible ASCII characters")]
#[non_exhaustive]
pub struct InvalidOpaqueId;

fn opaque(text: &str) -> Result<Arc<str>, InvalidOpaqueId> {
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.into()) } else { Err(InvalidOpaqueId) }
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidOpaqueId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                opaque(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

opaque_id! {
    /// Who pays. Opaque, 1 to 128 visible ASCII characters.
    AccountId
}

opaque_id! {
    /// A workspace inside an account. Opaque, 1 to 128 visible ASCII characters.
    ContextId
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729";

    #[test]
    fn w4_only_the_hyphenated_form_is_read_in_any_case() {
        let id: WebConfigId = ID.parse().unwrap();
        assert_eq!(id.to_string(), ID);
        assert_eq!(ID.to_uppercase().parse::<WebConfigId>(), Ok(id));
        for other in [
            "",
            "bd14fd940c3c4c9a82eeccf0dbef6729",
            "{bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729}",
            "urn:uuid:bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729",
            "bd14fd94-0c3c-4c9a-82ee-ccf0dbef672",
            "bd14fd94-0c3c-4c9a-82ee-ccf0dbef672g",
            "bd14fd9-40c3c-4c9a-82ee-ccf0dbef6729",
            "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729\n",
        ] {
            assert_eq!(other.parse::<WebConfigId>(), Err(InvalidWebConfigId), "{other:?}");
        }
    }

    #[test]
    fn opaque_ids_are_visible_ascii() {
        assert!("a".parse::<AccountId>().is_ok());
        assert!("x".repeat(128).parse::<ContextId>().is_ok());
        for bad in ["", " ", "a b", "a\u{7f}", "é", "a\n", &"x".repeat(129)] {
            assert_eq!(bad.parse::<AccountId>(), Err(InvalidOpaqueId), "{bad:?}");
        }
    }
}
