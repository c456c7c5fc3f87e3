//! The stacks: gateways as child processes, libraries in this process.

mod actix;
mod axum;
mod echo;
pub mod gateway;
mod in_process;
pub mod library;
pub mod log;

pub use self::actix::actix;
pub use self::axum::axum;
