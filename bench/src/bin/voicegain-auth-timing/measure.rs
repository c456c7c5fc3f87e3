//! Two classes of requests, in random order through one buffer, each timed alone.

use std::error::Error;
use std::hint::black_box;
use std::thread;

use crate::clock::{nanoseconds_per_tick, ticks};
use crate::cpu;
use crate::random::Random;
use crate::statistics::{Comparison, Sample, compare};

/// What stands before the token in `Authorization`.
pub(crate) const SCHEME: &str = "Bearer ";
/// How many tokens of each class there are. They fit into the second cache.
pub(crate) const VARIANTS: usize = 128;

/// Refuses what an `Authorization` header holds, of a class. Anything else is no refusal, and ends the run.
pub(crate) type Refuse<'a> = Box<dyn Fn(usize, &[u8]) -> bool + Sync + 'a>;

/// Two classes that are measured against each other.
pub(crate) struct Pair<'a> {
    /// Side by side, one of each class, so that neither lies better in the caches.
    headers: Vec<[Vec<u8>; 2]>,
    prepare: Box<dyn Fn() + Sync + 'a>,
    refuse: Refuse<'a>,
}

/// What a pair was found to be, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) comparison: Comparison,
    pub(crate) nanoseconds_per_tick: f64,
}

impl<'a> Pair<'a> {
    /// `tokens` of each class in turn; `prepare` runs once, in the thread that measures.
    pub(crate) fn new(
        tokens: impl Iterator<Item = [String; 2]>,
        prepare: impl Fn() + Sync + 'a,
        refuse: impl Fn(usize, &[u8]) -> bool + Sync + 'a,
    ) -> Self {
        let header = |token: String| format!("{SCHEME}{token}").into_bytes();
        let headers = tokens.take(VARIANTS).map(|both| both.map(header)).collect();
        Self { headers, prepare: Box::new(prepare), refuse: Box::new(refuse) }
    }

    /// Measures in a thread of its own: what a thread remembers of tokens it has seen is not handed from pair to pair.
    pub(crate) fn measure(&self, count: usize) -> Result<Found, Box<dyn Error>> {
        thread::scope(|scope| scope.spawn(|| self.measure_here(count).map_err(str::to_owned)).join())
            .map_err(|_| "a measurement panicked")?
            .map_err(Into::into)
    }

    fn measure_here(&self, count: usize) -> Result<Found, &'static str> {
        cpu::pin_to_the_measuring_core();
        (self.prepare)();
        let length = self.headers.first().ok_or("there are no tokens")?[0].len();
        if self.headers.iter().flatten().any(|header| header.len() != length) {
            return Err("tokens of a pair differ in length");
        }
        let mut flat: Vec<u8> = self.headers.iter().flatten().flatten().copied().collect();
        // Where they lie is not where a page begins for one class alone.
        flat.shrink_to_fit();
        let mut random = Random::seeded_by_the_clock();
        let mut buffer = vec![0; length];
        let mut samples: Vec<Sample> = vec![(0, 0); count];
        // The first run warms up, and nothing of it counts.
        for until in [count / 20, count] {
            for sample in &mut samples[..until] {
                let class = random.next() >> 63;
                let at = (random.below(VARIANTS as u64) * 2 + class) as usize * length;
                buffer.copy_from_slice(&flat[at..at + length]);
                let class = class as usize;
                let begin = ticks();
                let is_refused = (self.refuse)(black_box(class), black_box(&buffer));
                let end = ticks();
                if !is_refused {
                    return Err("a token was not refused, or not at once");
                }
                *sample = (u32::try_from(end - begin).unwrap_or(u32::MAX), class as u8);
            }
        }
        Ok(Found { comparison: compare(&mut samples), nanoseconds_per_tick: nanoseconds_per_tick() })
    }
}
