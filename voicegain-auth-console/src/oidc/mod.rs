//! Signing in by OpenID Connect: who may, what is asked of the provider, and what its answer is held against. The pages are
//! elsewhere.

mod config;
mod http;
mod pending;
mod person;
mod provider;
mod rule;

pub(crate) use config::CALLBACK;
pub use config::{OidcConfig, OidcConfigError, UrlProblem};
pub(crate) use pending::{Flow, Pending};
pub(crate) use person::{Person, shown};
pub(crate) use provider::{Failure, Provider};
pub use rule::{AllowRule, InvalidAllowRule};
