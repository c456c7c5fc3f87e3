//! What the fuzz targets need to reach of sealing, and nobody else: built with `--cfg fuzzing` alone.
//!
//! Wrappers without logic. What a right answer is stands in the workspace `fuzz`.

use voicegain_auth_core::{AccountId, ContextId, Generation, Secret, WebConfigId};
use zeroize::Zeroizing;

use crate::sealing::{Binding, SealedSecret, Sealing};

#[cfg(feature = "sqlite")]
pub use crate::sqlite::fuzzing as sqlite;

/// The record that a secret belongs to.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "named like what they are")]
pub struct Bound {
    pub id: WebConfigId,
    pub account_id: AccountId,
    pub context_id: ContextId,
    pub generation: Generation,
}

impl Bound {
    fn binding(&self) -> Binding<'_> {
        Binding {
            id: self.id,
            account_id: &self.account_id,
            context_id: &self.context_id,
            generation: self.generation,
        }
    }
}

/// A secret as a store keeps it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "named like what they are")]
pub struct Sealed {
    pub format: i16,
    pub key_id: Option<String>,
    pub bytes: Vec<u8>,
}

/// Seals; `None` if that fails.
#[must_use]
pub fn seal(sealing: &Sealing, secret: &Secret, bound: &Bound) -> Option<Sealed> {
    let SealedSecret { format, key_id, bytes } = sealing.seal(secret, &bound.binding()).ok()?;
    Some(Sealed { format, key_id, bytes: bytes.to_vec() })
}

/// Opens; `None` if that fails.
#[must_use]
pub fn open(sealing: &Sealing, sealed: &Sealed, bound: &Bound) -> Option<Secret> {
    let Sealed { format, key_id, bytes } = sealed.clone();
    let sealed = SealedSecret { format, key_id, bytes: Zeroizing::new(bytes) };
    sealing.open(&sealed, &bound.binding()).ok()
}
