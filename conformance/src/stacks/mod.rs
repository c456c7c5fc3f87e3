//! The stacks: gateways as child processes, libraries in this process.

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;
pub mod echo;
pub mod gateway;
pub mod in_process;
pub mod library;
pub mod log;

#[cfg(feature = "actix")]
pub use self::actix::actix;
#[cfg(feature = "axum")]
pub use self::axum::axum;
