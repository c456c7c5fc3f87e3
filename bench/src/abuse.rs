//! What it costs to refuse requests that somebody made to be costly, each against a good request of the same size.

mod kinds;

use std::hint::black_box;

use futures_util::future::join_all;
use voicegain_auth_core::{Reason, Verifier};

use crate::TOGETHER;
use crate::ask::Ask;
use crate::core_stack::verify;
use crate::sample::{Contender, CpuClock, Role};
use crate::stack::drive;

pub(crate) use self::kinds::all;

/// A way to ask for a refusal.
pub(crate) struct Kind {
    /// For `--only`, and for the table.
    pub(crate) name: &'static str,
    pub(crate) verifier: Verifier,
    pub(crate) bad: Ask,
    /// Of the same size, and let in.
    pub(crate) good: Ask,
    pub(crate) reason: Reason,
    /// Whether refusing it takes a proof of freshness.
    pub(crate) waits: bool,
}

impl Kind {
    /// What a request without a wait costs the thread; with one, the process.
    pub(crate) fn clock(&self) -> CpuClock {
        if self.waits { CpuClock::Process } else { CpuClock::Thread }
    }

    /// The good request, the bad one, and, where it waits, many bad ones at once.
    pub(crate) fn contenders(&self) -> Vec<Contender<'_>> {
        let good = Contender::new("good", Role::Peer, || {
            let decision = black_box(verify(&self.verifier, &self.good));
            assert!(decision.is_ok(), "{}, the good one: {decision:?}", self.name);
        });
        let bad = Contender::new("bad", Role::Ours, || {
            let decision = black_box(verify(&self.verifier, &self.bad));
            self.check(decision.map(drop).map_err(|rejection| rejection.reason()));
        });
        let mut contenders = vec![good, bad];
        if self.waits {
            contenders.push(Contender::of_many("bad, many at once", Role::Ours, TOGETHER, || {
                let asks = (0..TOGETHER).map(|_| self.verifier.authorize(&self.bad));
                for decision in drive(join_all(asks)) {
                    self.check(decision.map(drop).map_err(|rejection| rejection.reason()));
                }
            }));
        }
        contenders
    }

    fn check(&self, decision: Result<(), Reason>) {
        assert_eq!(decision, Err(self.reason), "{}", self.name);
    }

    /// How long the token is, and whatever else counts.
    pub(crate) fn bytes(&self) -> usize {
        let lines = self.bad.authorization.iter().chain(&self.bad.origin);
        let query = self.bad.query.as_ref().map_or(0, String::len);
        lines.map(Vec::len).sum::<usize>() + query + self.bad.path.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Tokens;

    #[test]
    fn every_bad_request_is_refused_and_every_good_one_is_let_in() {
        let tokens = Tokens::make().expect("tokens");
        let kinds = all(&tokens).expect("kinds");
        assert!(kinds.len() > 40);
        for kind in &kinds {
            let decided = |ask| verify(&kind.verifier, ask).map(drop).map_err(|rejection| rejection.reason());
            assert_eq!(decided(&kind.good), Ok(()), "{}, the good one", kind.name);
            kind.check(decided(&kind.bad));
            // Only what needs a proof waits.
            let at_once =
                matches!(kind.verifier.decide(&kind.bad), voicegain_auth_core::Progress::Decided(_));
            assert_eq!(at_once, !kind.waits, "{}", kind.name);
        }
    }
}
