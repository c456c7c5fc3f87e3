//! The case table on every further stack. The last line counts cases; those that are marked do not count as passed.

use std::path::Path;
use std::process::ExitCode;

use conformance::stack::Stack;
use conformance::{report, runner, stacks, table};
use stacks_conformance::marks::Marks;
use stacks_conformance::summary::{Row, markdown};
use stacks_conformance::{Pingora, hyper, poem, rocket, salvo, tonic, warp};

type Entry = (&'static str, &'static str, Box<dyn Stack>);

fn stacks() -> Vec<Entry> {
    vec![
        ("hyper", "`AuthLayer` around a service", Box::new(hyper())),
        ("warp", "`AuthLayer` around `warp::service`", Box::new(warp())),
        ("salvo", "`AuthLayer`, a hoop by `TowerLayerCompat`", Box::new(salvo())),
        ("tonic", "`AuthLayer` by `Server::layer`", Box::new(tonic())),
        ("poem", "`AuthLayer` by the example's middleware", Box::new(poem())),
        ("rocket", "the example's fairing and guards", Box::new(rocket())),
        (
            "pingora",
            "the example's gateway, a proxy",
            Box::new(Pingora(env!("CARGO_BIN_EXE_stacks-pingora").into())),
        ),
    ]
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as it must. `ONLY` in the environment names the stacks to run, if not all.
async fn run() -> Result<bool, String> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let marks = Marks::load(&folder.join("marks.toml"))?;
    let lock = std::fs::read_to_string(folder.join("Cargo.lock")).map_err(|error| error.to_string())?;
    let only = std::env::var("ONLY").ok();
    let chosen = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|chosen| chosen == name));
    let cases = table::built_in()?;
    println!("{} cases", cases.len());
    stacks::log::keep();
    let mut rows = Vec::new();
    for (package, how, stack) in stacks().into_iter().filter(|(name, ..)| chosen(name)) {
        let mut report = runner::run(stack.as_ref(), &cases).await;
        let known = marks.apply(&mut report);
        println!("{}", report.describe());
        rows.push(Row { package, how, report, known });
    }
    let mut unneeded = 0;
    for line in rows.iter().flat_map(|row| &row.known.unneeded) {
        println!("{line}");
        unneeded += 1;
    }
    println!("{}", markdown(&rows, &lock)?);
    let reports: Vec<_> = rows.into_iter().map(|row| row.report).collect();
    println!("{}", report::total(&reports));
    let good = |report: &report::StackReport| report.count().failed == 0 && report.count().passed > 0;
    Ok(unneeded == 0 && !reports.is_empty() && reports.iter().all(good))
}
