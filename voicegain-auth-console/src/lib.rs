#![doc = include_str!("../README.md")]

mod admin_token;
mod answer;
mod fields;
mod handlers;
mod host;
mod parameters;
mod refusal;
mod router;

pub use admin_token::{AdminToken, InvalidAdminToken};
pub use router::{AdminApi, AdminApiBuilder};
