#![doc = include_str!("../README.md")]

mod acting;
mod admin_token;
mod answer;
mod deployment;
mod document;
mod edges;
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
pub use deployment::Deployment;
pub use edges::Edge;
#[cfg(feature = "oidc")]
pub use oidc::{AllowRule, InvalidAllowRule, OidcConfig, OidcConfigError, UrlProblem};
pub use pages::LoggedChange;
pub use reseal::Resealed;
pub use router::{AdminApi, AdminApiBuilder};
pub use utc::rfc3339;
