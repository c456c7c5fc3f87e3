//! The stacks: gateways as child processes, libraries in this process.

pub mod gateway;
pub mod library;
