#![doc = include_str!("../README.md")]

#[cfg(feature = "contract-tests")]
pub mod contract;
#[cfg(feature = "sqlite")]
pub mod sqlite;
