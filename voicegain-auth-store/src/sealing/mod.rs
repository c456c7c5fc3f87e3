//! Secrets at rest, sealed under master keys that the store itself never holds.
//!
//! Every store is opened with a [`Sealing`]: [`Sealing::Keys`] seals each secret before it is written, so that
//! neither the store's files nor its backups give one away; [`Sealing::Plain`] has to be asked for by name. A
//! sealed secret is bound to its web config, account, context and generation: put into another record, or an
//! older one put back into its place, it does not open.
//!
//! The cipher is XChaCha20-Poly1305 with a random nonce for each secret.
//!
//! # Changing the master key
//!
//! 1. Give every process both keys, the old one first: read them by [`MasterKeys::read_file`], and have the store
//!    take them by `adopt_keys`.
//! 2. In the same way, give every process both keys, the new one first: from now on it seals.
//! 3. Seal anew what is still under the old key: `reseal` of the store, page by page.
//! 4. If nothing was skipped, have the store forget the old key: `retire_keys`. Until then a process without it is
//!    refused, and from step 2 on one without the new key is.
//! 5. Give every process the new key alone.

mod aead;
mod apart;
mod error;
mod file;
mod keys;
mod known;
mod sealed;

// Of the stores that name it; the others only pass it on.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use error::SealError;
pub use error::{InvalidLine, MasterKeyError, SealingMismatch, keys_do_not_fit};
pub use keys::MasterKeys;
pub(crate) use known::Kind;
pub(crate) use sealed::{Anew, Binding, SealedSecret, skip};
pub use sealed::{Resealed, Retired, Sealing};
