// Its examples are of all three stores.
#![cfg_attr(all(feature = "sqlite", feature = "postgres", feature = "etcd"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "sqlite", feature = "postgres", feature = "etcd")),
    doc = "Stores for Voicegain's web configs. Their documentation is that of all features together."
)]

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
