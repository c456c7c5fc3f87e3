//! The reverse proxy of the gateways (rules V8 and V10).
//!
//! [`Forwarder::forward`] takes a request that has already been decided on and passes it to one upstream,
//! bodies and trailers streamed in both directions with bounded memory. What it does with the header section
//! is in [`hop`]:
//!
//! | client sends | upstream gets |
//! | --- | --- |
//! | hop-by-hop fields, those named in `Connection`, `Expect` | nothing |
//! | `Content_Length`, `Transfer.Encoding`, … | nothing: some servers take them for the real ones |
//! | `Forwarded`, `X-Forwarded-*`, `X-Original-URL`, … | `X-Forwarded-For`, `-Proto`, `-Host`: ours |
//! | `X-Voicegain-*`, in the trailers too | the identity in [`ForwardContext::headers`], set last |
//! | `Host` | the upstream's authority; the client's is in `X-Forwarded-Host` |
//! | `TE: trailers` | the same, as a field of the new connection |
//! | `Upgrade` | `websocket` on a well-formed handshake, otherwise nothing |
//!
//! The body is not polled before the upstream has accepted the connection, so a server that answers
//! `Expect: 100-continue` on the first poll sends `100 Continue` only for a body that is wanted.
//!
//! Requests are never repeated, except that one which met a pooled connection already closed, and of which
//! nothing had been sent, is sent on another.
//!
//! An `https` upstream is verified, by its host and by the authorities of the system or those that are given, before anything
//! of a request is sent.
//!
//! A failure midway ends the other side as a failure: the response body yields an error, which makes hyper
//! reset the stream or close the connection before the end of the message. (An HTTP/1.0 client, to which the
//! end of the connection is the end of the message, cannot be told.) Over HTTP/1.1 trailers travel only if
//! they are announced in `Trailer`, and to a client only if it sent `TE: trailers`; that is how hyper reads
//! RFC 9110.

mod body;
mod client;
mod config;
mod connect;
mod context;
mod error;
mod exchange;
mod head;
pub mod hop;
mod tls;
mod upgrade;

pub use body::{BoxError, ForwardBody};
pub use client::Forwarder;
pub use config::{ForwardConfig, ForwardConfigError};
pub use context::ForwardContext;
pub use error::{ForwardError, ForwardErrorKind};
pub use exchange::{EndNow, Ending};
pub use upgrade::{ClientUpgrade, handshake_key, is_agreed};
pub(crate) use upgrade::{Purpose, set_handshake};
