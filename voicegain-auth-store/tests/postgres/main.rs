//! The store contract on PostgreSQL, and what is particular to a store there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod contract;
mod locks;
mod network;
mod opening;
mod place;
mod replication;
mod restarts;
mod sealing;
