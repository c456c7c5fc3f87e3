#![doc = include_str!("../README.md")]

mod auth;
mod extract;
mod future;
mod head;
mod rejected;
mod strip;

pub use auth::{Auth, AuthMiddleware};
pub use extract::{Caller, Identity, MissingAuth};
pub use future::AuthFuture;
pub use rejected::Rejected;
