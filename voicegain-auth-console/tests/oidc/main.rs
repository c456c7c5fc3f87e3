//! Signing in to the console by OpenID Connect, with a small provider that does what each test has it do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "clippy takes only what is marked as a test for one"
)]

mod browser;
mod provider;
mod refused;
mod right;
mod unwell;
