//! A library in this process: an application around the layer, started by a closure.
//!
//! The application answers every request that gets through with the echo of the gateways, its identity put into the
//! headers as a gateway would: `{"method","path","query","headers":{"name":["value"]},"bodyBytes":n}`. A preflight
//! it answers with 204 and `x-caller: preflight`.

use crate::stack::{BoxFuture, Kind, Running, Stack, Variant};
use std::fmt;
use std::future::Future;

type Start = Box<dyn Fn(Variant) -> BoxFuture<'static, Result<Running, String>> + Send + Sync>;

/// A library under test.
pub struct LibraryStack {
    name: &'static str,
    http2: bool,
    start: Start,
}

impl fmt::Debug for LibraryStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibraryStack").field("name", &self.name).finish_non_exhaustive()
    }
}

impl LibraryStack {
    /// A library whose application `start` starts on a free port.
    pub fn new<F>(
        name: &'static str,
        http2: bool,
        start: impl Fn(Variant) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Running, String>> + Send + 'static,
    {
        Self { name, http2, start: Box::new(move |variant| Box::pin(start(variant))) }
    }
}

impl Stack for LibraryStack {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Layer
    }

    fn http2(&self) -> bool {
        self.http2
    }

    fn lacks(&self, variant: Variant) -> Option<&'static str> {
        (variant == Variant::Upstream).then_some("a layer has no upstream")
    }

    fn start(&self, variant: Variant) -> BoxFuture<'_, Result<Running, String>> {
        (self.start)(variant)
    }
}
