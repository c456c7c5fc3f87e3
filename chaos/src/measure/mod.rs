//! What the promise costs, and how quickly a change is heard of.

mod counted;
mod delay;
mod feeds;
mod flood;
mod memory;
mod start;
mod steady;
mod traffic;

use std::process::ExitCode;

use crate::run::percentile;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum Measure {
    /// How long after Regenerate has returned the old token is still accepted anywhere
    Delay(delay::Args),
    /// What many processes that follow one store cost it
    Feeds(feeds::Args),
    /// What one web config that lives costs a process that has not loaded it
    Memory(memory::Args),
    /// How long a gateway takes to start on a store with many web configs, and what that costs it
    Start(start::Args),
    /// What a gateway asks of its store while all is well, after an outage and after a restart
    Steady(steady::Args),
    /// What tokens that nobody made cost the store and the good requests beside them
    Flood(flood::Args),
}

/// Measures it, and prints a table.
///
/// # Errors
/// If something could not be run.
pub async fn run(what: Measure) -> Result<ExitCode, String> {
    match what {
        Measure::Delay(args) => delay::run(args).await?,
        Measure::Feeds(args) => feeds::run(args).await?,
        Measure::Memory(args) => memory::run(args).await?,
        Measure::Start(args) => start::run(args).await?,
        Measure::Steady(args) => steady::run(args).await?,
        Measure::Flood(args) => flood::run(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
