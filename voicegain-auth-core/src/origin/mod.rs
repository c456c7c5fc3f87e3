//! Which pages may use a token: origins, the patterns that stand for them, and how the two are compared
//! (rules O2 to O8, M4).
//!
//! A pattern is `[scheme://]host[:port]` or `*`:
//!
//! | pattern | stands for |
//! | --- | --- |
//! | `https://app.example.com` | this origin, with or without `:443` |
//! | `localhost:8080` | `http://localhost:8080` and `https://localhost:8080` |
//! | `https://*.example.com` | every domain below `example.com`, at any depth, and not `example.com` itself |
//! | `http://127.0.0.1:*` | any port |
//! | `[::1]:8080` | an IPv6 address, compared by value |
//! | `capacitor://localhost` | exactly that scheme, which has no default port |
//! | `*` | every origin, also `null` |
//!
//! Nothing here is ever turned into a regular expression, and no part of a text is searched for inside
//! another: scheme, host and port are taken apart first and compared one by one.

mod authority;
mod host;
mod known;
mod pattern;
mod public_suffix;
mod request_origin;
mod rules;

pub(crate) use known::stands_for_itself;
pub use pattern::{AnyOrigin, InvalidPattern, OriginPattern, audience_matches};
pub use request_origin::{InvalidOrigin, Origin};
pub use rules::OriginRules;

#[cfg(test)]
mod tests;
