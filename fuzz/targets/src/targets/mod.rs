//! One room for each target.

pub mod admin;
pub mod claims;
pub mod credentials;
pub mod decision;
pub mod mint;
pub mod origin;
pub mod path;
pub mod pattern;
mod refusing_store;
pub mod sealing;
pub mod sqlite_file;
pub mod sqlite_row;
pub mod token;

/// The parts of an input that stand between zero bytes; a missing one is empty.
fn fields<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut parts = input.splitn(N, |byte| *byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
