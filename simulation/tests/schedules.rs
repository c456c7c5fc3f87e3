//! A few schedules of each level, in every test run. CI runs many more of them.

use simulation::checker::check;
use simulation::history::History;
use simulation::world::Run;
use simulation::{real, world};

fn no_findings(seeds: std::ops::Range<u64>, level: fn(u64) -> Run) {
    for seed in seeds {
        let run = level(seed);
        let report = check(&run.history, &run.promise);
        assert_eq!(report.findings, [], "seed {seed}");
        assert!(report.counts.decisions > 0 || report.counts.faults > 0, "seed {seed}: nothing happened");
    }
}

/// The history, sorted: what happens in the same instant may be written down in any order.
fn written(history: &History) -> Vec<String> {
    let mut bytes = Vec::new();
    history.write(&mut bytes).unwrap();
    let mut lines: Vec<_> = String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn c1_to_c8_hold_for_the_machine_in_virtual_time() {
    no_findings(0..2_000, world::run);
}

#[test]
fn c1_to_c8_hold_for_the_cache_and_the_verifier() {
    no_findings(0..100, real::run);
}

#[test]
fn c1_a_proof_is_published_after_the_records_are_forgotten() {
    no_findings(0..3, real::race);
}

#[test]
fn a_seed_is_a_schedule() {
    for seed in 0..20 {
        assert_eq!(written(&world::run(seed).history), written(&world::run(seed).history), "seed {seed}");
        assert_eq!(written(&real::run(seed).history), written(&real::run(seed).history), "seed {seed}");
    }
}
