#![doc = include_str!("../README.md")]

mod answer;
mod cache;
mod clock;
mod error;
mod long_lived;
mod minter;
mod request;
mod short_lived;

pub use error::{ConfigError, InvalidToken, MintError, Refusal, SendError};
pub use long_lived::LongLivedToken;
pub use minter::{TokenMinter, TokenMinterBuilder};
pub use request::TokenRequest;
pub use short_lived::ShortLivedToken;

/// The HTTP client that this crate's interface speaks of.
pub use reqwest;
