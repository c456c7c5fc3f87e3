//! A store in etcd while the cluster, or the way to it, fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::string_slice)]

mod access;
mod cluster;
mod compaction;
mod members;
mod network;
mod restore;
mod space;
