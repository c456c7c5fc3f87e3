//! What the two example gateways share.

pub mod forward;
