#![doc = include_str!("../README.md")]

mod admin_token;
mod answer;
mod document;
mod fields;
mod handlers;
mod host;
#[cfg(feature = "oidc")]
mod oidc;
mod pages;
mod parameters;
mod probes;
mod refusal;
mod reseal;
mod router;
mod utc;

pub use admin_token::{AdminToken, InvalidAdminToken};
#[cfg(feature = "oidc")]
pub use oidc::{AllowRule, InvalidAllowRule, OidcConfig, OidcConfigError, UrlProblem};
pub use reseal::Resealed;
pub use router::{AdminApi, AdminApiBuilder};
