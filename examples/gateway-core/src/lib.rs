//! What the two example gateways share: everything but the HTTP server in front. It speaks `http` 1.x types.
//!
//! A request passes, in this order (rule V9):
//!
//! 1. [`head`]: the reserved headers are taken out, a header section that is too large is refused;
//! 2. [`gate`]: authority, path forms, base path, preflight, method;
//! 3. the framework's own `voicegain-auth` middleware, which decides about the token;
//! 4. [`Gateway::serve`]: the mint route, the upstream by way of [`forward`], or the built-in [`echo`];
//! 5. [`cors`]: makes the answer readable by the page that asked.

pub mod audit;
mod authority;
mod body;
pub mod cli;
pub mod cors;
mod deployments;
pub mod echo;
mod exchanges;
mod explain;
pub mod forward;
pub mod gate;
mod gateway;
pub mod head;
pub mod last_uses;
pub mod logging;
pub mod master_keys;
mod metrics;
pub mod oidc;
pub mod open_files;
pub mod otel;
mod passed_sockets;
pub mod private_file;
mod refusal;
pub mod server;
pub mod setup;
pub mod signals;
pub mod store;
pub mod tls;

pub use body::GatewayBody;
pub use gateway::{Arrival, Gateway};
pub use metrics::{Began, Connected};
pub use refusal::{Refusal, is_grpc};
