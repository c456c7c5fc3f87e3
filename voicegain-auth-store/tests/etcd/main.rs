//! The store contract on etcd, and what is particular to a store there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::string_slice)]

mod contract;
mod many;
mod opening;
mod place;
mod sealing;
mod sharing;
