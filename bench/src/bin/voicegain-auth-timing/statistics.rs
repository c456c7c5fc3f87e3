//! Whether two classes of measurements differ, in the way of dudect (Reparaz, Balasch and Verbauwhede, "Dude, is my code
//! constant time?", 2017): Welch's t-test on all of them, on those below each of a hundred percentiles, and on the squares of
//! what they are off their class's mean.

/// One measurement, in ticks, and its class.
pub(crate) type Sample = (u32, u8);

/// How many percentiles there are, as dudect has them.
const PERCENTILES: usize = 100;
/// Fewer of a class say nothing.
const ENOUGH: f64 = 5_000.0;
/// The part of each class, its fastest, that the means are of which are shown. Neither interrupts are in it, nor the times when
/// the core was slow for everybody.
const SHOWN: f64 = 0.5;
/// Where the squares are looked at as well. Of all measurements they say little: one interrupt outweighs the rest.
const SQUARED_AT: [f64; 5] = [0.5, 0.75, 0.9, 0.99, 0.999];

/// What there is to say about two classes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    /// The mean of the first class, of its fastest half, in ticks.
    pub(crate) mean: f64,
    /// How much longer the second takes, in ticks.
    pub(crate) difference: f64,
    /// The standard error of that.
    pub(crate) error: f64,
    /// The largest |t|.
    pub(crate) t: f64,
    /// The test that has it.
    pub(crate) test: Test,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Test {
    All,
    /// The measurements below the percentile.
    Below(f64),
    /// The squares of those below the percentile.
    Squares(f64),
}

/// Number, mean and variance of one class, so far (Welford).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn push(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    /// The square of the mean's standard error.
    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Welch's t; `None`: there are too few, or all are the same.
fn welch([one, other]: &[Moments; 2]) -> Option<f64> {
    let error = error(&[*one, *other]);
    let counts = one.count >= ENOUGH && other.count >= ENOUGH && error > 0.0;
    counts.then(|| (other.mean - one.mean) / error)
}

/// The standard error of the difference of two means.
fn error([one, other]: &[Moments; 2]) -> f64 {
    (one.error() + other.error()).sqrt()
}

/// Compares the two classes among the samples, which are sorted for it.
pub(crate) fn compare(samples: &mut [Sample]) -> Comparison {
    samples.sort_unstable();
    let percentiles = (1..=PERCENTILES).map(|at| 1.0 - 0.5_f64.powf(10.0 * at as f64 / PERCENTILES as f64));
    let mut all = Comparison { mean: 0.0, difference: 0.0, error: 0.0, t: 0.0, test: Test::All };
    let mut tell = |classes: &[Moments; 2], test| {
        if let Some(t) = welch(classes)
            && t.abs() > all.t
        {
            (all.t, all.test) = (t.abs(), test);
        }
    };
    // Sorted, what is below a percentile is a beginning, and each goes on from the one before.
    let mut classes = [Moments::default(); 2];
    let mut done = 0;
    for percentile in percentiles {
        let end = below(samples, percentile).len();
        push(&mut classes, &samples[done..end.max(done)]);
        done = done.max(end);
        tell(&classes, Test::Below(percentile));
    }
    push(&mut classes, &samples[done..]);
    tell(&classes, Test::All);
    for percentile in SQUARED_AT {
        tell(&squares(below(samples, percentile)), Test::Squares(percentile));
    }
    tell(&squares(samples), Test::Squares(1.0));

    let shown = fastest(samples);
    (all.mean, all.difference) = (shown[0].mean, shown[1].mean - shown[0].mean);
    all.error = error(&shown);
    all
}

/// Those that took less time than the one at the percentile.
fn below(sorted: &[Sample], percentile: f64) -> &[Sample] {
    let at = (sorted.len() as f64 * percentile) as usize;
    let threshold = sorted.get(at).map_or(u32::MAX, |(ticks, _)| *ticks);
    &sorted[..sorted.partition_point(|(ticks, _)| *ticks < threshold)]
}

/// The fastest of each class by itself: below a percentile of both together there would be fewer of the slower class, and these
/// its fastest.
fn fastest(sorted: &[Sample]) -> [Moments; 2] {
    [0, 1].map(|class| {
        let of_class = || sorted.iter().filter(|(_, of)| *of == class);
        let mut moments = Moments::default();
        let part = (of_class().count() as f64 * SHOWN) as usize;
        of_class().take(part).for_each(|(ticks, _)| moments.push(f64::from(*ticks)));
        moments
    })
}

fn push(classes: &mut [Moments; 2], samples: &[Sample]) {
    samples.iter().for_each(|(ticks, class)| classes[usize::from(*class)].push(f64::from(*ticks)));
}

/// How far each is off its class's mean, squared.
fn squares(samples: &[Sample]) -> [Moments; 2] {
    let mut classes = [Moments::default(); 2];
    push(&mut classes, samples);
    let mut squares = [Moments::default(); 2];
    for (ticks, class) in samples {
        let class = usize::from(*class);
        squares[class].push((f64::from(*ticks) - classes[class].mean).powi(2));
    }
    squares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// As a check is timed: around a thousand ticks, and now and then an interrupt.
    fn samples(second: impl Fn(u64) -> u64) -> Vec<Sample> {
        let mut random = Random::new(7);
        let one = |random: &mut Random| {
            let noise = (0..8).map(|_| random.below(20)).sum::<u64>();
            1_000 + noise + if random.below(1_000) == 0 { 50_000 } else { 0 }
        };
        let class = |random: &mut Random| (random.below(2) as u8, one(random));
        let draw = |_| match class(&mut random) {
            (1, ticks) => (second(ticks) as u32, 1),
            (_, ticks) => (ticks as u32, 0),
        };
        (0..200_000).map(draw).collect()
    }

    #[test]
    fn the_same_twice_does_not_differ() {
        let found = compare(&mut samples(|ticks| ticks));
        assert!(found.t < 4.5, "{found:?}");
    }

    #[test]
    fn a_tick_more_is_found() {
        let found = compare(&mut samples(|ticks| ticks + 1));
        assert!(found.t > 10.0 && (0.5..1.5).contains(&found.difference), "{found:?}");
    }

    #[test]
    fn the_difference_is_right_though_the_core_is_slow_for_a_while() {
        let mut random = Random::new(8);
        let mut samples = samples(|ticks| ticks + 10);
        samples.iter_mut().for_each(|(ticks, _)| *ticks += if random.below(3) == 0 { 500 } else { 0 });
        let found = compare(&mut samples);
        assert!(found.t > 10.0 && (9.0..11.0).contains(&found.difference), "{found:?}");
    }

    #[test]
    fn another_spread_is_found() {
        // The same mean: what is above it goes further up, what is below further down.
        let found = compare(&mut samples(|ticks| if ticks < 2_000 { ticks * 2 - 1_076 } else { ticks }));
        assert!(found.t > 10.0, "{found:?}");
    }

    #[test]
    fn t_is_welchs() {
        // By hand: means 2 and 5, variances 1 and 4, of 3 each: 3 / sqrt(1/3 + 4/3).
        let mut classes = [Moments::default(); 2];
        [1.0, 2.0, 3.0].iter().for_each(|value| classes[0].push(*value));
        [3.0, 5.0, 7.0].iter().for_each(|value| classes[1].push(*value));
        assert!((error(&classes) - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(welch(&classes), None, "too few");
    }
}
