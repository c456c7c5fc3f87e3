//! The case table on every further stack. It ends with the table that the project's README shows, which must be what came; the
//! last line counts cases. Those that are marked do not count as passed.

use std::path::Path;
use std::process::ExitCode;

use conformance::stack::Stack;
use conformance::{report, runner, stacks, table};
use stacks_conformance::marks::Marks;
use stacks_conformance::summary::{HEAD, Row, lines};
use stacks_conformance::{Pingora, hyper, poem, rocket, salvo, tonic, warp};

/// A crate, what people call it, how the layer is added, and the stack.
type Entry = (&'static str, &'static str, &'static str, Box<dyn Stack>);

fn stacks() -> Vec<Entry> {
    let pingora = Pingora(env!("CARGO_BIN_EXE_stacks-pingora").into());
    vec![
        ("hyper", "hyper", "`AuthLayer` around a service", Box::new(hyper())),
        ("tonic", "tonic, gRPC and gRPC-Web", "`AuthLayer` by `Server::layer`", Box::new(tonic())),
        ("warp", "warp", "`AuthLayer` around `warp::service`", Box::new(warp())),
        ("salvo", "salvo", "`AuthLayer`, a hoop by `TowerLayerCompat`", Box::new(salvo())),
        ("poem", "poem", "`AuthLayer` by the example's middleware", Box::new(poem())),
        ("rocket", "Rocket", "the example's fairing and guards", Box::new(rocket())),
        ("pingora", "Pingora, as a proxy", "the example's gateway", Box::new(pingora)),
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
    let read =
        |path: &str| std::fs::read_to_string(folder.join(path)).map_err(|err| format!("{path}: {err}"));
    let (lock, readme) = (read("Cargo.lock")?, read("../../README.md")?);
    let only = std::env::var("ONLY").ok();
    let chosen = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|chosen| chosen == name));
    let cases = table::built_in()?;
    println!("{} cases", cases.len());
    stacks::log::keep();
    let (mut rows, mut harmful) = (Vec::new(), 0);
    for (package, name, how, stack) in stacks().into_iter().filter(|(name, ..)| chosen(name)) {
        let mut report = runner::run(stack.as_ref(), &cases).await;
        let known = marks.apply(&mut report);
        println!("{}", report.describe());
        let harmless = marks.without_origin(package, &cases);
        if !harmless.is_empty() {
            let report = runner::run(stack.as_ref(), &harmless).await;
            println!("{}", report.describe());
            harmful += report.cases.len() - report.count().passed;
        }
        rows.push(Row { package, name, how, report, known });
    }
    let mut unneeded = 0;
    for line in rows.iter().flat_map(|row| &row.known.unneeded) {
        println!("{line}");
        unneeded += 1;
    }
    let lines = lines(&rows, &lock)?;
    println!("{}\n{}", HEAD.join("\n"), lines.join("\n"));
    let said = |line: &str| readme.lines().any(|said| said == line);
    let unsaid = HEAD.into_iter().chain(lines.iter().map(String::as_str)).filter(|line| !said(line)).count();
    if unsaid > 0 {
        println!("{unsaid} lines of this table are not in the README, or not so");
    }
    let reports: Vec<_> = rows.into_iter().map(|row| row.report).collect();
    println!("{}", report::total(&reports));
    let good = |report: &report::StackReport| report.count().failed == 0 && report.count().passed > 0;
    Ok(harmful == 0 && unneeded == 0 && unsaid == 0 && !reports.is_empty() && reports.iter().all(good))
}
