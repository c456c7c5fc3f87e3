#![doc = include_str!("../README.md")]

#[cfg(feature = "contract-tests")]
pub mod contract;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(all(fuzzing, feature = "_sealing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "_sealing")]
mod left_out;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "_sealing")]
pub mod sealing;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "postgres", feature = "etcd"))]
mod supervised;
