//! Ours and five other JWT libraries judge the same generated tokens. Every verdict must be the one that the token's own
//! properties foretell, ours as well as theirs; so every disagreement falls into a class that says what settles it. A verdict
//! that was not foretold, or a token that is understood in two ways, is a finding: exit code 1.
//!
//! What is asked: HS256 alone, the one secret of the web config that the token was made for, `sub` required, `exp` and `nbf`
//! against the same fixed time without leeway, `aud` not looked at. All else is left as each library has it by default.

mod classify;
mod dice;
mod judge;
mod recipe;
mod report;
mod setup;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::classify::expect;
use crate::dice::Dice;
use crate::judge::{Language, Ours, Outside, Verdict, by_jsonwebtoken};
use crate::recipe::Made;
use crate::report::{Judged, Report};
use crate::setup::{Owner, owners};

/// Judges generated tokens by ours and five other JWT libraries. Exit code 1: there are findings.
#[derive(Parser)]
struct Args {
    /// How many tokens.
    #[arg(long, default_value_t = 100_000)]
    tokens: usize,
    /// Where chance begins. The same seed makes the same tokens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the report there as well.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Where the libraries of other languages are installed.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../.test-env/differential"))]
    environment: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("differential: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether there was nothing to find.
fn run(args: &Args) -> Result<bool, String> {
    let begun = Instant::now();
    for language in [Language::Python, Language::Node] {
        language.install(&args.environment)?;
    }
    let installed = begun.elapsed();

    let owners = owners();
    let mut dice = Dice::new(args.seed);
    let tokens: Vec<Made> = (0..args.tokens).map(|_| recipe::make(&owners, &mut dice)).collect();

    let ([ours, jsonwebtoken], python, node, took) = ask(&args.environment, &owners, &tokens)?;
    let names = [
        concat!("voicegain-auth-core ", env!("CARGO_PKG_VERSION")).to_owned(),
        format!("jsonwebtoken {}", locked("jsonwebtoken").ok_or("jsonwebtoken is not in Cargo.lock")?),
        python.judges[0].clone(),
        python.judges[1].clone(),
        node.judges[0].clone(),
        node.judges[1].clone(),
    ];
    let mut report = Report::new(names);
    let outside = python.verdicts.into_iter().zip(node.verdicts);
    let inside = ours.into_iter().zip(jsonwebtoken);
    for ((made, (ours, jwt)), ([pyjwt, joserfc], [jose, fast])) in tokens.iter().zip(inside).zip(outside) {
        let owner = owners.get(made.owner).ok_or("a token of nobody")?;
        let expected = expect(&made.token, owner, &owners);
        report.add(&Judged { made, expected, verdicts: [ours, jwt, pyjwt, joserfc, jose, fast] });
    }
    let text = report.text(args.tokens, args.seed, [python.runtime, node.runtime]);
    println!("{text}");
    println!(
        "{:.1} s in all: installing {:.1}, ours and jsonwebtoken {:.1}, Python {:.1}, Node.js {:.1} at the same time",
        begun.elapsed().as_secs_f64(),
        installed.as_secs_f64(),
        took[0].as_secs_f64(),
        took[1].as_secs_f64(),
        took[2].as_secs_f64()
    );
    if let Some(path) = &args.report {
        std::fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let findings = report.findings(args.tokens);
    for finding in &findings {
        println!("\nFINDING {finding}");
    }
    Ok(findings.is_empty())
}

/// The version of a crate that this was built with.
fn locked(name: &str) -> Option<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

type Asked = ([Vec<Verdict>; 2], Outside, Outside, [Duration; 3]);

/// Asks all judges, those in other languages in processes of their own.
fn ask(environment: &Path, owners: &[Owner], tokens: &[Made]) -> Result<Asked, String> {
    let ours = Ours::new(owners).map_err(|error| error.to_string())?;
    std::thread::scope(|scope| {
        let outside = |language: Language| {
            scope.spawn(move || {
                let begun = Instant::now();
                language.judge(environment, owners, tokens).map(|outside| (outside, begun.elapsed()))
            })
        };
        let (python, node) = (outside(Language::Python), outside(Language::Node));
        let begun = Instant::now();
        let by_us = tokens.iter().map(|made| ours.judge(&made.token)).collect();
        let by_jwt =
            tokens.iter().map(|made| by_jsonwebtoken(&owners[made.owner].secret, &made.token)).collect();
        let here = begun.elapsed();
        let (python, python_took) = python.join().map_err(|_| "the thread for Python panicked")??;
        let (node, node_took) = node.join().map_err(|_| "the thread for Node.js panicked")??;
        Ok(([by_us, by_jwt], python, node, [here, python_took, node_took]))
    })
}
