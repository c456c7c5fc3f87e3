//! The sampler: every contender gives one batch per round, in an order that changes with the round, and is
//! timed by the processor time it takes. What one round says about two contenders was measured within
//! milliseconds, so a machine that grows slower or faster during the run moves both; differences and ratios
//! are taken within a round.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What a contender is in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The same work without anything in front.
    Bare,
    /// Looks at the request and verifies nothing: what any layer must cost.
    Presence,
    Peer,
    Ours,
    /// A step that no verifier can do without.
    Floor(Floor),
}

/// Which verifiers cannot do without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    Every,
    /// Those that compute the MAC; a long-lived token can be compared with the one it must be instead.
    ByMac,
    /// Shown, and in no sum.
    None,
}

impl Role {
    pub(crate) fn verifies(self) -> bool {
        matches!(self, Self::Peer | Self::Ours)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Presence => "presence",
            Self::Peer => "peer",
            Self::Ours => "ours",
            Self::Floor(_) => "floor",
        }
    }
}

/// Something to be measured.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// How many operations one call performs.
    each: u32,
    calls: Box<dyn FnMut(u32) + 'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, role: Role, operation: impl FnMut() + 'a) -> Self {
        Self::of_many(name, role, 1, operation)
    }

    /// One whose calls perform `each` operations.
    pub(crate) fn of_many(
        name: &'static str,
        role: Role,
        each: u32,
        mut operation: impl FnMut() + 'a,
    ) -> Self {
        let calls = Box::new(move |calls| (0..calls).for_each(|_| operation()));
        Self { name, role, each, calls }
    }

    fn batch(&mut self, calls: u32, clock: CpuClock) -> Duration {
        let start = clock.now();
        (self.calls)(calls);
        clock.now().saturating_sub(start)
    }

    /// How many calls take about as long as a batch should; warms up on the way.
    fn calibrate(&mut self, plan: Plan) -> u32 {
        let mut calls = 1;
        loop {
            let spent = self.batch(calls, plan.clock);
            if spent >= plan.batch / 2 || calls >= 1 << 24 {
                let fit = f64::from(calls) * plan.batch.as_secs_f64() / spent.as_secs_f64().max(1e-9);
                return (fit.round() as u32).max(1);
            }
            calls *= 2;
        }
    }
}

/// How much is measured, and on which clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) batch: Duration,
    pub(crate) clock: CpuClock,
}

/// Processor time, which other processes on the machine do not add to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CpuClock {
    /// Of the measuring thread.
    Thread,
    /// Of the whole process: also what other threads do for a request.
    Process,
}

impl CpuClock {
    pub(crate) fn now(self) -> Duration {
        let time = clock_gettime(match self {
            Self::Thread => ClockId::ThreadCPUTime,
            Self::Process => ClockId::ProcessCPUTime,
        });
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// Runs the contenders against each other.
pub(crate) fn sample(plan: Plan, mut contenders: Vec<Contender<'_>>) -> Samples {
    let calls: Vec<u32> = contenders.iter_mut().map(|contender| contender.calibrate(plan)).collect();
    let count = contenders.len();
    let rounds = (0..plan.rounds).map(|round| {
        let mut figures = vec![0.0; count];
        for who in order(round, count) {
            let spent = contenders[who].batch(calls[who], plan.clock);
            let operations = f64::from(calls[who]) * f64::from(contenders[who].each);
            figures[who] = spent.as_secs_f64() * 1e9 / operations;
        }
        figures
    });
    Samples {
        rounds: rounds.collect(),
        contenders: contenders.iter().map(|contender| (contender.name, contender.role)).collect(),
    }
}

/// Whose turn it is in a round: everybody once, each time from another place, every other round backwards, so
/// that nobody always follows the same one.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| {
        let turn = if round.is_multiple_of(2) { step } else { count - 1 - step };
        (turn + round / 2) % count
    })
}

/// What was measured.
pub(crate) struct Samples {
    pub(crate) contenders: Vec<(&'static str, Role)>,
    /// For each round the nanoseconds per operation of each contender.
    pub(crate) rounds: Vec<Vec<f64>>,
}

impl Samples {
    /// The contenders of a role, by their place in a round.
    pub(crate) fn with_role(&self, is: impl Fn(Role) -> bool) -> Vec<usize> {
        (0..self.contenders.len()).filter(|who| is(self.contenders[*who].1)).collect()
    }

    /// One contender's nanoseconds per operation.
    pub(crate) fn spread(&self, who: usize) -> Spread {
        Spread::of(self.rounds.iter().map(|round| round[who]).collect())
    }

    /// A figure that is computed within each round.
    pub(crate) fn estimate(&self, figure: impl Fn(&[f64]) -> f64) -> Estimate {
        Estimate::of(self.rounds.iter().map(|round| figure(round)).collect())
    }

    /// By how many nanoseconds one is slower than another.
    pub(crate) fn difference(&self, who: usize, than: usize) -> Estimate {
        self.estimate(|round| round[who] - round[than])
    }

    /// How many times another's nanoseconds one takes.
    pub(crate) fn ratio(&self, who: usize, to: usize) -> Estimate {
        self.estimate(|round| round[who] / round[to])
    }

    /// The same for what both take more than the bare service does.
    pub(crate) fn ratio_of_overheads(&self, who: usize, to: usize, bare: usize) -> Estimate {
        self.estimate(|round| (round[who] - round[bare]) / (round[to] - round[bare]))
    }
}

/// Median and quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Spread {
    pub(crate) fn of(values: Vec<f64>) -> Self {
        let sorted = sorted(values);
        Self {
            median: quantile(&sorted, 0.5),
            lower: quantile(&sorted, 0.25),
            upper: quantile(&sorted, 0.75),
        }
    }
}

/// A median, and the interval that holds the true one with a probability of 95 %.
///
/// The interval is read off the order statistics: how many of the rounds fall below the true median is
/// binomial, whatever the distribution is. Rounds are taken to be independent of each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    pub(crate) fn of(values: Vec<f64>) -> Self {
        let sorted = sorted(values);
        let count = sorted.len() as f64;
        let rank = (count / 2.0 - 0.98 * count.sqrt()).floor().max(0.0) as usize;
        Self { value: quantile(&sorted, 0.5), low: sorted[rank], high: sorted[sorted.len() - 1 - rank] }
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    values
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn samples(rounds: &[[f64; 3]]) -> Samples {
        Samples {
            contenders: vec![("bare", Role::Bare), ("peer", Role::Peer), ("ours", Role::Ours)],
            rounds: rounds.iter().map(|round| round.to_vec()).collect(),
        }
    }

    #[test]
    fn the_median_is_the_middle_and_the_spread_the_quartiles() {
        let odd = Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(odd, Spread { median: 3.0, lower: 2.0, upper: 4.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of(vec![7.0]), Spread { median: 7.0, lower: 7.0, upper: 7.0 });
    }

    #[test]
    fn one_wild_round_does_not_move_the_median() {
        let mut values = vec![10.0; 99];
        values.push(1e9);
        let estimate = Estimate::of(values);
        assert_eq!(estimate, Estimate { value: 10.0, low: 10.0, high: 10.0 });
    }

    #[test]
    fn the_interval_is_that_of_the_sign_test() {
        // With 100 rounds the 95 % interval goes from the 41st to the 60th value (binomial tables).
        let estimate = Estimate::of((1..=100).map(f64::from).collect());
        assert_eq!(estimate, Estimate { value: 50.5, low: 41.0, high: 60.0 });
        // Too few rounds for any: everything.
        let estimate = Estimate::of(vec![3.0, 1.0, 2.0]);
        assert_eq!(estimate, Estimate { value: 2.0, low: 1.0, high: 3.0 });
    }

    #[test]
    fn differences_and_ratios_are_taken_within_a_round() {
        // The machine takes twice as long in the second round and four times in the third.
        let samples = samples(&[[100.0, 500.0, 200.0], [200.0, 1000.0, 400.0], [400.0, 2000.0, 800.0]]);
        assert_eq!(samples.difference(2, 0).value, 200.0);
        let quarter = Estimate { value: 0.25, low: 0.25, high: 0.25 };
        assert_eq!(samples.ratio_of_overheads(2, 1, 0), quarter);
        assert_eq!(samples.ratio(2, 1).value, 0.4);
        assert_eq!(samples.spread(1).median, 1000.0);
        assert_eq!(samples.with_role(Role::verifies), [1, 2]);
    }

    #[test]
    fn everybody_has_one_turn_in_every_round_and_each_place_in_time() {
        let mut firsts = Vec::new();
        for round in 0..10 {
            let mut turns: Vec<usize> = order(round, 5).collect();
            firsts.push(turns[0]);
            turns.sort_unstable();
            assert_eq!(turns, [0, 1, 2, 3, 4], "round {round}");
        }
        for who in 0..5 {
            assert!(firsts.contains(&who), "{who} is never the first");
        }
    }

    #[test]
    fn every_contender_is_measured_in_every_round() {
        let turns = RefCell::new([0_u32; 2]);
        let plan = Plan { rounds: 7, batch: Duration::from_micros(50), clock: CpuClock::Thread };
        let one = Contender::new("one", Role::Bare, || turns.borrow_mut()[0] += 1);
        let many = Contender::of_many("many", Role::Ours, 64, || turns.borrow_mut()[1] += 1);
        let samples = sample(plan, vec![one, many]);
        assert_eq!(samples.rounds.len(), 7);
        assert!(samples.rounds.iter().all(|round| round.len() == 2 && round.iter().all(|ns| *ns >= 0.0)));
        assert!(turns.borrow().iter().all(|count| *count >= 7));
    }
}
