//! The middleware over real sockets, with raw bytes where a client library would tidy up.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests, helpers and handlers included"
)]

mod answers;
mod around;
mod decisions;
mod extractors;
mod mint;
mod stripping;
mod support;
mod workers;
mod wraps;
