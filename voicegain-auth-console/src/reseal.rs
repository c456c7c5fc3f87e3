use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use voicegain_auth_core::StoreError;

type Resealing = Pin<Box<dyn Future<Output = Result<u64, StoreError>> + Send>>;

/// Seals every secret of the store anew, and answers how many it was.
#[derive(Clone)]
pub(crate) struct Reseal(Arc<dyn Fn() -> Resealing + Send + Sync>);

impl Reseal {
    pub(crate) fn new<F, R>(reseal: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<u64, StoreError>> + Send + 'static,
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
