//! Builds the fuzz targets with coverage and the address sanitizer, C code included, and runs them two at a time over the packed
//! corpus. Needs no nightly toolchain and no cargo-fuzz.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Instant;

use clap::Parser;
use voicegain_auth_fuzz::{TARGETS, Target, packed};

/// For everything.
const RUSTFLAGS: &str = "--cfg fuzzing -Zsanitizer=address";
const CFLAGS: &str = "-fsanitize=address -fno-omit-frame-pointer -g1 -O2";

/// What counts coverage, as cargo-fuzz has it, and where: in what reads strangers' bytes. Not in ciphers, hashes and the reference,
/// which would take most of the time and have nothing to find.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];
const COVERED: [&str; 8] = [
    "voicegain-auth-core",
    "voicegain-auth-store",
    "voicegain-auth-console",
    "voicegain-auth-fuzz",
    "base64-simd",
    "form_urlencoded",
    "idna",
    "uuid",
];

/// No stacks of where memory was taken from, which take a third of the time, and no search for uses of a function's variables after
/// its end, which safe Rust has none of.
const ASAN_OPTIONS: &str = "malloc_context_size=2:detect_stack_use_after_return=0";

#[derive(Parser)]
struct Options {
    /// How many seconds of processor time all targets get together.
    #[arg(long, default_value_t = 600, conflicts_with = "runs")]
    seconds_in_all: u64,
    /// How many executions each target gets.
    #[arg(long)]
    runs: Option<u64>,
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

/// What became of one target.
struct Outcome {
    name: &'static str,
    passed: bool,
    log: PathBuf,
    executions: u64,
    seconds: f64,
    edges: u64,
    corpus: usize,
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

    fn build(&self, targets: &[&Target]) -> bool {
        let mut cargo = Command::new("cargo");
        cargo
            .args(["build", "--release", "--locked", "--features", "libfuzzer", "--target", &self.host])
            .arg("--target-dir")
            .arg(&self.output)
            .args(targets.iter().flat_map(|target| ["--bin", target.name]))
            .arg("-Zprofile-rustflags")
            .args(COVERED.iter().flat_map(|package| {
                let setting = format!("profile.release.package.{package}.rustflags={COVERAGE:?}");
                ["--config".to_owned(), setting]
            }))
            .current_dir(&self.fuzz)
            // The sanitizer is not stable yet; the compiler is the same.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", RUSTFLAGS)
            .env(format!("CFLAGS_{}", self.host.replace('-', "_")), CFLAGS);
        cargo.status().expect("cargo").success()
    }

    fn program(&self, target: &Target) -> PathBuf {
        self.output.join(&self.host).join("release").join(target.name)
    }

    fn run(&self, target: &'static Target, options: &Options, targets: usize) -> Outcome {
        let name = target.name;
        let [corpus, artifacts, logs] = ["corpus", "artifacts", "logs"].map(|kind| self.output.join(kind));
        let corpus = corpus.join(name);
        // What an earlier run found and did not keep is not part of this one.
        let _ = fs::remove_dir_all(&corpus);
        for folder in [&corpus, &artifacts, &logs] {
            fs::create_dir_all(folder).expect("a folder");
        }
        let packed_file = self.fuzz.join("corpus").join(name);
        let text = fs::read_to_string(&packed_file).unwrap_or_default();
        for (number, input) in packed::inputs(&text).enumerate() {
            fs::write(corpus.join(format!("packed-{number:05}")), input).expect("an input");
        }
        let log = logs.join(name);
        let mut program = self.libfuzzer(target, &log);
        match options.runs {
            Some(runs) => program.arg(format!("-runs={runs}")),
            None => {
                program.arg(format!("-max_total_time={}", (options.seconds_in_all / targets as u64).max(1)))
            }
        };
        program.arg(format!("-artifact_prefix={}/{name}-", artifacts.display())).arg(&corpus);
        let begun = Instant::now();
        let passed = program.status().is_ok_and(|status| status.success());
        let seconds = begun.elapsed().as_secs_f64();
        let said = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let executions = number_after(&said, "stat::number_of_executed_units:");
        let passed = passed && executions > 0;
        if passed && options.keep {
            self.keep(target, &corpus, &packed_file);
        }
        let edges = number_after(&said, " cov:");
        let corpus = fs::read_to_string(&packed_file).map_or(0, |text| text.lines().count());
        Outcome { name, passed, log, executions, seconds, edges, corpus }
    }

    fn libfuzzer(&self, target: &Target, log: &Path) -> Command {
        let mut program = Command::new(self.program(target));
        program
            .env("ASAN_OPTIONS", ASAN_OPTIONS)
            .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=4096"])
            .arg(format!("-max_len={}", target.max_len))
            .stdout(File::create(log).expect("a log"))
            .stderr(File::options().append(true).open(log).expect("a log"));
        let dictionary = self.fuzz.join("dictionaries").join(target.name);
        if dictionary.is_file() {
            program.arg(format!("-dict={}", dictionary.display()));
        }
        program
    }

    /// Packs as little as covers as much as all that was found.
    fn keep(&self, target: &Target, found: &Path, packed_file: &Path) {
        let least = found.with_extension("least");
        let _ = fs::remove_dir_all(&least);
        fs::create_dir_all(&least).expect("a folder");
        let mut merge = self.libfuzzer(target, &found.with_extension("log"));
        let merged = merge.arg("-merge=1").args([&least, found]).status();
        assert!(merged.is_ok_and(|status| status.success()), "{} could not be merged", target.name);
        let lines: BTreeSet<String> = fs::read_dir(&least)
            .expect("a folder")
            .map(|entry| packed::pack(&fs::read(entry.expect("an entry").path()).expect("an input")))
            .collect();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(packed_file, text).expect("the corpus");
    }
}

/// The last number that follows these words.
fn number_after(text: &str, words: &str) -> u64 {
    let after = text.rsplit(words).next().filter(|_| text.contains(words)).unwrap_or_default();
    after.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
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
