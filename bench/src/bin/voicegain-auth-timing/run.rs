//! From the command line to the table.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::RangedU64ValueParser;

use crate::cpu;
use crate::ground::Ground;
use crate::measure::Found;
use crate::pairs::{CONTROLS, Entry, Expected, all};
use crate::statistics::Test;

/// Measures pairs of refused requests against each other, and prints a Markdown table. Fails if a pair is told apart that must
/// not be, or one of the controls is not what it must be.
#[derive(Debug, Parser)]
struct Options {
    /// How many measurements each pair has.
    #[arg(long, value_name = "NUMBER", default_value = "1000000",
          value_parser = RangedU64ValueParser::<usize>::new().range(50_000..=100_000_000))]
    samples: usize,
    /// Measures only pairs with this in their name, their kind of token or their level, and the controls.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
}

/// Below this there is no difference to speak of, as is usual with this test.
const NONE: f64 = 4.5;
/// Above this there is one.
const CERTAIN: f64 = 10.0;
/// By how many nanoseconds checks may differ that do the same work. Where a record lies in memory makes up to one; a compression left
/// out, where the processor has instructions for SHA-256, is fifty at least.
const SAME_WORK: f64 = 5.0;

pub(crate) fn run() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    if cfg!(debug_assertions) {
        return Err("this is a debug build, whose figures mean nothing: use --release".into());
    }
    let ground = Ground::make()?;
    println!("{}, {} cores; {} samples of each pair.\n", cpu::model(), cpu::cores().len(), options.samples);
    println!("| level | pair | token | takes | second takes longer by | seen from | max t | in | verdict |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut problems = 0;
    for entry in all(&ground) {
        if is_wanted(&options, &entry) {
            let found = (entry.make)().measure(options.samples)?;
            let (verdict, is_problem) = verdict(entry.expected, &found);
            println!("{}", row(&entry, &found, verdict));
            problems += usize::from(is_problem);
        }
    }
    println!();
    if problems == 0 {
        println!("No pair is told apart that must not be, and the controls are seen.");
        Ok(ExitCode::SUCCESS)
    } else {
        println!("{problems} pairs are not as they must be.");
        Ok(ExitCode::FAILURE)
    }
}

fn is_wanted(options: &Options, entry: &Entry<'_>) -> bool {
    let has = |only: &String| {
        [entry.group, &entry.name, entry.kind.name()].iter().any(|text| text.contains(only.as_str()))
    };
    // Without the controls the rest says nothing.
    entry.group == CONTROLS || options.only.as_ref().is_none_or(has)
}

/// In words, and whether the run fails for it.
fn verdict(expected: Expected, Found { comparison, nanoseconds_per_tick }: &Found) -> (&'static str, bool) {
    let difference = comparison.difference.abs() * nanoseconds_per_tick;
    match (expected, comparison.t) {
        (Expected::Difference, CERTAIN..) => ("seen, as it must be", false),
        (Expected::Difference, _) => ("NOT SEEN", true),
        (Expected::None, CERTAIN..) => ("LEAK", true),
        (Expected::SameWork, CERTAIN..) if difference > SAME_WORK => ("OTHER WORK", true),
        (Expected::SameWork, CERTAIN..) => ("differs, same work", false),
        (Expected::Either, CERTAIN..) => ("differs, may do so", false),
        (_, NONE..) => ("unclear", false),
        _ => ("the same", false),
    }
}

fn row(entry: &Entry<'_>, found: &Found, verdict: &str) -> String {
    let Found { comparison, nanoseconds_per_tick: tick } = found;
    let test = match comparison.test {
        Test::All => "all".to_owned(),
        Test::Below(percentile) => format!("below {:.1} %", percentile * 100.0),
        Test::Squares(percentile) => format!("squares, {:.1} %", percentile * 100.0),
    };
    format!(
        "| {} | {} | {} | {:.0} ns | {:+.2} ns | {:.2} ns | {:.1} | {test} | {verdict} |",
        entry.group,
        entry.name,
        entry.kind.name(),
        comparison.mean * tick,
        comparison.difference * tick,
        comparison.error * CERTAIN * tick,
        comparison.t,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Comparison;

    fn found(t: f64, difference: f64) -> Found {
        let comparison = Comparison { mean: 1_000.0, difference, error: 0.1, t, test: Test::All };
        Found { comparison, nanoseconds_per_tick: 0.5 }
    }

    #[test]
    fn the_thresholds_are_those_of_the_field() {
        let of = |expected, t| verdict(expected, &found(t, 0.0));
        assert_eq!(of(Expected::None, 4.4), ("the same", false));
        assert_eq!(of(Expected::None, 9.9), ("unclear", false));
        assert_eq!(of(Expected::None, 10.1), ("LEAK", true));
        assert_eq!(of(Expected::Difference, 9.9), ("NOT SEEN", true));
        assert_eq!(of(Expected::Difference, 500.0), ("seen, as it must be", false));
        assert_eq!(of(Expected::Either, 500.0), ("differs, may do so", false));
    }

    #[test]
    fn a_compression_left_out_is_other_work() {
        let of = |t, difference| verdict(Expected::SameWork, &found(t, difference));
        assert_eq!(of(4.4, 0.0), ("the same", false));
        assert_eq!(of(500.0, -9.9), ("differs, same work", false));
        assert_eq!(of(500.0, 10.1), ("OTHER WORK", true));
        assert_eq!(of(500.0, -10.1), ("OTHER WORK", true));
    }

    /// Everything but the measuring: each class is refused, and what must be known is.
    #[test]
    fn every_pair_is_refused() {
        let ground = Ground::make().unwrap();
        for entry in all(&ground) {
            let found = (entry.make)().measure(1_000);
            assert!(found.is_ok(), "{} {}: {:?}", entry.name, entry.kind.name(), found.err());
        }
    }
}
