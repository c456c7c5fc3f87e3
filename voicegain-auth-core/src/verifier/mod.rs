//! The decision about a request: a pure function of token, record, request and time ([`decision`]), and the shell around
//! it that finds the record and waits where it must ([`Verifier`]).

mod decision;
mod elsewhere;
mod explanation;
mod identity;
mod recent;
mod shell;
mod tally;

pub use decision::check_origin_header;
pub use explanation::{Check, Explanation, Outcome, Step};
pub use identity::{Caller, Identity, RESERVED_PREFIX, TokenKind, is_reserved_header};
pub use recent::RecentRefusal;
pub use shell::{Admitted, Pending, Progress, Resumption, Verifier};
pub use tally::{Decisions, Refused};

#[cfg(test)]
mod tests;
