//! Runs schedules and says whether the promise was kept; see the crate's docs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use simulation::checker::{Counts, Property, check};
use simulation::history::Event;
use simulation::world::Run;
use simulation::{interleavings, real, world};

/// Proves the promise about revocation by simulation. Exit code 1: there are findings.
#[derive(Parser)]
struct Args {
    /// How many schedules of the first level to run: the freshness machine in a modelled process.
    #[arg(long, default_value_t = 0)]
    schedules: u64,
    /// How many schedules of the second level to run: core's cache and verifier themselves.
    #[arg(long, default_value_t = 0)]
    cache: u64,
    /// How many rounds of the race to run: core's cache under real threads.
    #[arg(long, default_value_t = 0)]
    races: u64,
    /// Goes through all interleavings of a small world.
    #[arg(long)]
    interleavings: bool,
    /// Replays one seed and prints its history: of the first level, or with `--cache 1` of the second.
    #[arg(long)]
    seed: Option<u64>,
    /// The first seed to run.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Stops at the first finding.
    #[arg(long)]
    first: bool,
    /// Writes the report there as well.
    #[arg(long)]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.seed {
        return replay(&args, seed);
    }
    let mut report = String::new();
    let mut failed = false;
    let nothing = args.schedules == 0 && args.cache == 0 && args.races == 0 && !args.interleavings;
    let schedules = if nothing { 10_000 } else { args.schedules };
    for (name, flag, many, level) in [
        ("level 1, the freshness machine in virtual time", "", schedules, world::run as fn(u64) -> Run),
        ("level 2, the cache and the verifier", " --cache 1", args.cache, real::run as fn(u64) -> Run),
        ("races, the cache under real threads", " --races 1", args.races, real::race as fn(u64) -> Run),
    ] {
        if many > 0 {
            let (text, found) = run_many(name, flag, &args, many, level);
            report.push_str(&text);
            failed |= found;
        }
    }
    if args.interleavings {
        let (text, found) = interleavings::report();
        print!("{text}");
        report.push_str(&text);
        failed |= found;
    }
    if let Some(path) = &args.report
        && let Err(error) = std::fs::write(path, &report)
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn replay(args: &Args, seed: u64) -> ExitCode {
    let run = match (args.cache, args.races) {
        (0, 0) => world::run(seed),
        (0, _) => real::race(seed),
        _ => real::run(seed),
    };
    let _ = run.history.write(io::stdout().lock());
    let report = check(&run.history, &run.promise);
    eprintln!("{:?}\n{:?}", run.promise, report.counts);
    for finding in &report.findings {
        eprintln!("{:?} at {}: {}", finding.property, finding.at, finding.story);
    }
    if let Some(path) = &args.report
        && let Err(error) = File::create(path).and_then(|file| run.history.write(file))
    {
        eprintln!("{}: {error}", path.display());
    }
    if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Sum {
    counts: Counts,
    events: u64,
    faults: BTreeMap<String, u64>,
    findings: BTreeMap<Property, u64>,
    /// The first few in words, with their seeds.
    told: Vec<String>,
}

fn run_many(name: &str, flag: &str, args: &Args, many: u64, level: fn(u64) -> Run) -> (String, bool) {
    let sum = Mutex::new(Sum::default());
    let (next, done) = (AtomicU64::new(args.from), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let end = args.from.saturating_add(many);
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = Sum::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    if run_one(seed, flag, level, &mut own) && args.first {
                        stop.store(true, Ordering::Relaxed);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                if let Ok(mut sum) = sum.lock() {
                    sum.merge(own);
                }
            });
        }
        let mut last = Instant::now();
        while !stop.load(Ordering::Relaxed) && done.load(Ordering::Relaxed) < many {
            std::thread::sleep(Duration::from_millis(20));
            if last.elapsed() > Duration::from_secs(10) {
                last = Instant::now();
                eprintln!("{name}: {} of {many}", done.load(Ordering::Relaxed));
            }
        }
    });
    let sum = sum.into_inner().unwrap_or_default();
    let text = sum.report(name, done.into_inner(), begun.elapsed());
    print!("{text}");
    let _ = io::stdout().flush();
    (text, !sum.findings.is_empty())
}

fn run_one(seed: u64, flag: &str, level: fn(u64) -> Run, sum: &mut Sum) -> bool {
    let run = level(seed);
    let report = check(&run.history, &run.promise);
    sum.counts.add(&report.counts);
    sum.events += run.events;
    for event in &run.history.events {
        if let Event::Fault(fault) = event {
            *sum.faults.entry(fault.what.clone().into_owned()).or_default() += 1;
        }
    }
    for finding in &report.findings {
        *sum.findings.entry(finding.property).or_default() += 1;
        if sum.told.len() < 5 {
            let story = &finding.story;
            sum.told.push(format!(
                "{:?}: {story}\n    replay: cargo run --release -p voicegain-auth-simulation -- --seed {seed}{flag}",
                finding.property
            ));
        }
    }
    !report.findings.is_empty()
}

impl Sum {
    fn merge(&mut self, other: Self) {
        self.counts.add(&other.counts);
        self.events += other.events;
        for (what, times) in other.faults {
            *self.faults.entry(what).or_default() += times;
        }
        for (property, times) in other.findings {
            *self.findings.entry(property).or_default() += times;
        }
        self.told.extend(other.told);
    }

    fn report(&self, name: &str, schedules: u64, took: Duration) -> String {
        let counts = &self.counts;
        let seconds = took.as_secs_f64();
        let mut text = format!(
            "{name}\n  {schedules} schedules in {seconds:.1} s ({:.0} a second), {} events\n",
            schedules as f64 / seconds,
            self.events
        );
        text.push_str(&format!(
            "  {} changes ({} of unknown outcome), {} failovers and restores\n  {} decisions: {} accepted, {} invalid, \
             {} refused for their origin, {} unavailable\n  {} long exchanges\n  faults:",
            counts.changes,
            counts.unknown_outcomes,
            counts.rollbacks,
            counts.decisions,
            counts.accepted,
            counts.invalid,
            counts.origin_refused,
            counts.unavailable,
            counts.exchanges
        ));
        for (what, times) in &self.faults {
            text.push_str(&format!(" {what} {times},"));
        }
        text.push_str(&format!("\n  findings: {:?}\n", self.findings));
        for told in &self.told {
            text.push_str(&format!("    {told}\n"));
        }
        text
    }
}
