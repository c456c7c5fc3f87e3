//! The case table for the Voicegain rules, and the runner that drives a stack with it.
//!
//! The table is data (`cases/*.toml`): every case names the rules it holds, says what is sent, byte for byte, and
//! what must come back. The runner is a black box tester: it knows the rules, mints its own tokens, speaks to the
//! stack through a socket, and shares no code with what it tests.
//!
//! | module | holds |
//! | --- | --- |
//! | [`table`] | the cases: reading, rows, what a step may say |
//! | [`template`] | `${…}` in a case's texts |
//! | [`fixture`] | the web configs every case may rely on |
//! | [`token`] | recipes for tokens, sound and otherwise |
//! | [`http1`], [`http2`] | one exchange over a socket, nothing tidied up |
//! | [`check`] | an answer against an expectation, the table of rule E included |
//! | [`leak`] | the search for secrets and tokens where none may be |
//! | [`stack`] | what is under test: starting it, and its admin interface |
//! | [`stacks`] | the gateways as child processes, libraries in this process |
//! | [`upstream`] | the misbehaving upstream that gateways are put in front of |
//! | [`runner`], [`report`] | driving and counting |
//! | [`coverage`] | every rule has both sides, or a reason why not |

pub mod check;
pub mod coverage;
pub mod fixture;
pub mod http1;
pub mod http2;
pub mod leak;
pub mod report;
pub mod runner;
pub mod stack;
pub mod stacks;
pub mod table;
pub mod template;
pub mod token;
pub mod upstream;
