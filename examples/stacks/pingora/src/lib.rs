//! A gateway on Pingora that puts Voicegain's tokens in front of an API.
//!
//! What it shares with the other two gateways, flags, store, gate, CORS and minting, is `voicegain-gateway-core`'s, and the
//! decision is the core's. Here is where Pingora asks for it: [`Proxy`] is what a proxy of your own would copy.

mod hooks;
mod proxy;
mod run;
mod strip;

pub use proxy::Proxy;
pub use run::main;
