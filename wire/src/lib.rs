//! The gateways against the wire: attacks on a gateway, judged by what an upstream that reads strictly receives.
//!
//! A gateway is started in front of an [`upstream`] of our own, which takes nothing that two readers could read
//! differently. While an [`attacks`] case runs, a [`good`] client goes on with its work: none of its requests may fail.
//!
//! | module | holds |
//! | --- | --- |
//! | [`strict`] | the strictest reading of RFC 9112 |
//! | [`judge`] | what every request must be that reaches the upstream: rule V8 from the far side |
//! | [`upstream`] | records what it receives, and answers |
//! | [`subject`], [`process`] | what is attacked: its port, its tokens, its process |
//! | [`good`] | the client that must not notice |
//! | [`raw`], [`http2`] | what attackers send, nothing tidied up |
//! | [`attacks`] | the cases |
//! | [`memory`] | what a gateway may hold |
//! | [`run`], [`report`] | one after the other, and what came of it |

pub mod attacks;
pub mod good;
pub mod http2;
pub mod judge;
pub mod memory;
pub mod process;
pub mod raw;
pub mod report;
pub mod run;
pub mod strict;
pub mod subject;
pub mod upstream;
