//! How a target is run, and what is kept of what it found.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use fuzz_run::{Target, packed};

use crate::{Options, Place};

/// No stacks of where memory was taken from, little of it kept back, so that what is in use stays in the processor's cache, and no
/// search for leaks or for uses of a function's variables after its end.
const ASAN_OPTIONS: &str = "malloc_context_size=1:quarantine_size_mb=16:detect_stack_use_after_return=0:detect_leaks=0:detect_odr_violation=0";

/// What became of one target.
pub struct Outcome {
    pub name: &'static str,
    pub passed: bool,
    pub log: PathBuf,
    pub executions: u64,
    pub seconds: f64,
    pub edges: u64,
    pub corpus: usize,
}

impl Place {
    pub fn run(&self, target: &'static Target, options: &Options, targets: usize) -> Outcome {
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
        program.args(options.seed.map(|seed| format!("-seed={seed}")));
        program.arg(format!("-stop_file={}", self.output.join("stop").display()));
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
            .args([
                "-print_final_stats=1",
                // By the wall's clock: beside other work a program may be kept waiting for a while.
                "-timeout=60",
                "-rss_limit_mb=4096",
                "-detect_leaks=0",
                "-print_funcs=0",
                "-reload=0",
            ])
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
