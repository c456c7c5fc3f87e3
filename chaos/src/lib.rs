//! Three gateways on one real store under faults, read by the checker that also reads the simulation, and what the promise
//! costs, measured.
//!
//! ```text
//! cargo run --release -p voicegain-auth-chaos -- run --store postgres --minutes 60
//! ```
//!
//! starts PostgreSQL (with a synchronous standby) or a three-node etcd from the system's packages, and three gateways, each
//! behind proxies of its own to the store. Load runs all the while; every decision and every change is recorded on one clock;
//! faults come and go as a seed says. At the end the history is checked: no accept past the bound, no newest token called
//! invalid, no 503 without a fault, every long exchange ended in time.

pub mod dice;
pub mod gateway;
pub mod http;
pub mod measure;
pub mod run;
pub mod store;
