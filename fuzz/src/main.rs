//! Builds the fuzz targets with coverage and the address sanitizer, C code included, and runs them two at a time over the packed
//! corpus. Needs no nightly toolchain and no cargo-fuzz.

mod building;
mod running;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use clap::Parser;
use fuzz_run::{TARGETS, Target};

use running::Outcome;

#[derive(Parser)]
struct Options {
    /// How many seconds all targets get together.
    #[arg(long, default_value_t = 600, conflicts_with = "runs")]
    seconds_in_all: u64,
    /// How many executions each target gets. Fewer if there comes to be something in the file `stop` beside the programs.
    #[arg(long)]
    runs: Option<u64>,
    /// Where libFuzzer's dice begin, for a run like another; any other number than 0.
    #[arg(long)]
    seed: Option<u32>,
    /// Only this target; may be given several times.
    #[arg(long)]
    target: Vec<String>,
    /// How many targets run at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Builds and runs nothing.
    #[arg(long)]
    build_only: bool,
    /// Runs what was built before.
    #[arg(long)]
    built: bool,
    /// Puts what was found into the packed corpus, as little of it as covers as much.
    #[arg(long)]
    keep: bool,
    /// Writes the table into this file too.
    #[arg(long)]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let targets: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| options.target.is_empty() || options.target.iter().any(|name| name == target.name))
        .collect();
    assert!(!targets.is_empty(), "there is no target of that name");
    let place = Place::new();
    if !options.built && !place.build(&targets) {
        return ExitCode::FAILURE;
    }
    if options.build_only {
        return ExitCode::SUCCESS;
    }
    let queue = Mutex::new(targets.iter().enumerate());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some((at, target)) = { queue.lock().expect("no panic").next() } {
                    let outcome = place.run(target, &options, targets.len());
                    outcomes.lock().expect("no panic").push((at, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no panic");
    outcomes.sort_by_key(|(at, _)| *at);
    let table = table(outcomes.iter().map(|(_, outcome)| outcome));
    print!("{table}");
    if let Some(file) = &options.report {
        fs::write(file, table).expect("the report");
    }
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| !outcome.passed).collect();
    for (_, outcome) in &failed {
        eprintln!("\n{} found something, or did not run; see {}", outcome.name, outcome.log.display());
        let log = fs::read(&outcome.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let panic = lines.iter().position(|line| line.contains("panicked at") || line.contains("ERROR: "));
        for line in lines.iter().skip(panic.unwrap_or(lines.len().saturating_sub(12))).take(12) {
            eprintln!("    {line}");
        }
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where things are.
struct Place {
    fuzz: PathBuf,
    output: PathBuf,
    host: String,
}

impl Place {
    fn new() -> Self {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
        let output = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| fuzz.join("target"), PathBuf::from);
        let said = Command::new("rustc").arg("-vV").output().expect("rustc");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let host = said.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned();
        Self { fuzz, output: output.join("sanitized"), host }
    }

    fn program(&self, target: &Target) -> PathBuf {
        self.output.join(&self.host).join("release").join(target.name)
    }
}

fn table<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> String {
    let mut table = String::from(
        "| target | executions | a second | edges covered | inputs in the corpus | found |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for Outcome { name, passed, executions, seconds, edges, corpus, .. } in outcomes {
        let rate = (*executions as f64 / seconds) as u64;
        let found = if *passed { "nothing" } else { "**something**" };
        writeln!(table, "| {name} | {executions} | {rate} | {edges} | {corpus} | {found} |")
            .expect("a string");
    }
    table
}
