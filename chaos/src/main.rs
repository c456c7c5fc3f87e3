//! `voicegain-auth-chaos run`: see the crate's docs.

use std::process::ExitCode;

use clap::Parser;
use voicegain_auth_chaos::{measure, run};

#[derive(Parser)]
#[command(about = "Three gateways on a real store under faults, and what the promise costs")]
enum Command {
    /// Under faults, with load, read by the checker
    Run(run::Args),
    /// Without faults: how quick it is, and what it costs
    #[command(subcommand)]
    Measure(measure::Measure),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Run(args) => run::run(args).await,
        Command::Measure(what) => measure::run(what).await,
    };
    outcome.unwrap_or_else(|problem| {
        eprintln!("{problem}");
        ExitCode::FAILURE
    })
}
