//! The rules once more, written down as plainly as they can be, from their text and other people's libraries: what the
//! fuzz targets hold the crates against. Slow, allocating, and sharing no code with them.
//!
//! A crate of its own, since its branches are not to be counted as coverage.

pub mod admin;
pub mod credentials;
pub mod decision;
pub mod head;
pub mod json;
pub mod mac;
pub mod mint;
pub mod origin;
pub mod path;
pub mod sealing;
pub mod token;
