//! `voicegain-auth-chaos run`: see the crate's docs.

use std::process::ExitCode;

use clap::Parser;
use voicegain_auth_chaos::run;

#[derive(Parser)]
#[command(about = "Three gateways on a real store under faults, and what the promise costs")]
enum Command {
    Run(run::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Run(args) => run::run(args).await,
    };
    outcome.unwrap_or_else(|problem| {
        eprintln!("{problem}");
        ExitCode::FAILURE
    })
}
