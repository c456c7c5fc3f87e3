//! Voicegain tokens for Rocket: a fairing that decides about every request, and request guards for those that were let in.
//!
//! Rocket has no layers, and a fairing cannot answer. So [`Auth`] sends a refused request to a route of its own, where it is
//! answered. What Rocket keeps to itself stays as it is:
//!
//! - A header cannot be taken out of a request: a token's header is left behind empty. [`Request::cookies`] is read before
//!   any fairing and keeps a token that came in a cookie: leave the cookie out of the token sources if a handler may not see
//!   it.
//! - A header that is not UTF-8 is dropped, before anybody sees that it was there.
//! - The authority of an absolute request target is hidden; `Host` counts in its place.
//!
//! [`Request::cookies`]: rocket::Request::cookies

mod decision;
mod fairing;
mod guard;
mod head;
mod strip;

pub use fairing::Auth;
pub use guard::{Caller, Identity};
