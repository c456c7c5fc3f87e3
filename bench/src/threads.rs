//! Two threads on one hot web config against one thread.

use std::error::Error;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use voicegain_auth_core::Verifier;

use crate::core_stack::{Head, verify};
use crate::cpu;
use crate::sample::{CpuClock, Estimate};
use crate::tokens::Tokens;

/// What was measured, in verifies per second of processor time.
pub(crate) struct Threads {
    /// For each round: one thread; two threads that share a verifier; two threads with a verifier each.
    pub(crate) rounds: Vec<[f64; 3]>,
}

impl Threads {
    pub(crate) fn rate(&self, of: usize) -> Estimate {
        Estimate::of(self.rounds.iter().map(|round| round[of]).collect())
    }

    /// How many times the rate of one thread it is.
    pub(crate) fn speedup(&self, of: usize) -> Estimate {
        Estimate::of(self.rounds.iter().map(|round| round[of] / round[0]).collect())
    }
}

/// Measures `rounds` rounds, in which each of the three runs for this long. `None` where there is only one
/// core.
pub(crate) fn measure(
    tokens: &Tokens,
    rounds: usize,
    span: Duration,
) -> Result<Option<Threads>, Box<dyn Error>> {
    let cores = cpu::cores();
    let [.., one, two] = cores[..] else { return Ok(None) };
    let head = Head::of(&tokens.long_lived[0]);
    let (other, sent) = tokens.another()?;
    let of_other = Head::of(&sent);

    let hot = (&tokens.hot, &head);
    let apart = (&other, &of_other);
    let rounds = (0..rounds).map(|round| {
        // One thread is measured on either core in turn: they need not be equally fast.
        let alone = if round.is_multiple_of(2) { one } else { two };
        [
            run(&[(alone, hot)], span),
            run(&[(one, hot), (two, hot)], span),
            run(&[(one, hot), (two, apart)], span),
        ]
    });
    Ok(Some(Threads { rounds: rounds.collect() }))
}

/// A verifier and a request for it.
type Work<'a> = (&'a Verifier, &'a Head);

/// Verifies on these cores at the same time, and adds up the rates.
fn run(workers: &[(usize, Work<'_>)], span: Duration) -> f64 {
    let start = Barrier::new(workers.len());
    thread::scope(|scope| {
        let workers: Vec<_> = workers
            .iter()
            .map(|(core, (verifier, head))| {
                scope.spawn(|| {
                    cpu::pin(&[*core]);
                    start.wait();
                    rate(verifier, head, span)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends")).sum()
    })
}

fn rate(verifier: &Verifier, head: &Head, span: Duration) -> f64 {
    let (began, clock) = (Instant::now(), CpuClock::Thread.now());
    let mut verified = 0_u32;
    while began.elapsed() < span {
        for _ in 0..256 {
            assert!(black_box(verify(verifier, head)).is_ok(), "the hot token is refused");
        }
        verified += 256;
    }
    f64::from(verified) / CpuClock::Thread.now().saturating_sub(clock).as_secs_f64()
}
