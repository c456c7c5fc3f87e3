// Its examples are axum's.
#![cfg_attr(feature = "axum", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "axum"),
    doc = "A Tower layer for Voicegain's tokens. Its documentation is that of the feature `axum`."
)]

mod body;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod head;
mod layer;
#[cfg(feature = "axum")]
mod rejected;
mod response;
mod service;
mod strip;

pub use body::{Grpc, Json, RejectionBody, RejectionBodyFn, rejection_body_fn};
#[cfg(feature = "axum")]
pub use extract::{Caller, Identity, IdentityRejection, MissingLayer};
pub use future::ResponseFuture;
pub use layer::AuthLayer;
#[cfg(feature = "axum")]
pub use rejected::Rejected;
pub use service::AuthService;
