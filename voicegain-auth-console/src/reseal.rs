use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use voicegain_auth_core::StoreError;

/// What became of a store's secrets when they were sealed anew, and of its master keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Resealed {
    /// How many secrets were sealed anew.
    pub resealed: u64,
    /// How many could not be opened, and were left as they are.
    pub skipped: u64,
    /// The ids of the master keys that the store has forgotten by this, since it does not need them any more.
    pub retired: Vec<String>,
    /// The ids of the master keys that the store knows now. A change of keys is done when that is the new one alone.
    pub known: Vec<String>,
}

type Resealing = Pin<Box<dyn Future<Output = Result<Resealed, StoreError>> + Send>>;

/// Seals every secret of the store anew.
#[derive(Clone)]
pub(crate) struct Reseal(Arc<dyn Fn() -> Resealing + Send + Sync>);

impl Reseal {
    pub(crate) fn new<F, R>(reseal: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Resealed, StoreError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(reseal())))
    }

    pub(crate) fn run(&self) -> Resealing {
        (self.0)()
    }
}

impl fmt::Debug for Reseal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reseal(…)")
    }
}
