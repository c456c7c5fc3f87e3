//! Drives a gateway with the case table: `conformance --stack gateway --bin target/debug/voicegain-gateway`.

use clap::Parser;
use conformance::stacks::gateway::GatewayProcess;
use conformance::{report, runner, table};
use std::path::PathBuf;
use std::process::ExitCode;

/// Drives a gateway with the case table of the Voicegain rules.
#[derive(Debug, Parser)]
struct Args {
    /// What the report calls the gateway; `gateway-actix` leaves out what actix cannot do.
    #[arg(long, default_value = "gateway")]
    stack: String,

    /// The gateway's binary.
    #[arg(long, env = "VOICEGAIN_GATEWAY_BIN")]
    bin: PathBuf,

    /// The gateway takes no HTTP/2 without TLS.
    #[arg(long)]
    no_http2: bool,

    /// Only cases whose id begins with this.
    #[arg(long, default_value = "")]
    only: String,

    /// Further arguments for the gateway.
    #[arg(last = true)]
    extra: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut cases = match table::built_in() {
        Ok(cases) => cases,
        Err(err) => {
            eprintln!("{err}");
            return ExitCode::FAILURE;
        }
    };
    cases.retain(|case| case.id.starts_with(&args.only));
    // The child is started in a folder of its own.
    let bin = match args.bin.canonicalize() {
        Ok(bin) => bin,
        Err(error) => {
            eprintln!("--bin {}: {error}; build the gateway first", args.bin.display());
            return ExitCode::FAILURE;
        }
    };
    let stack = GatewayProcess::new(&args.stack, &bin, &args.extra, !args.no_http2);
    let result = runner::run(&stack, &cases).await;
    println!("{}", result.describe());
    println!("{}", report::total(std::slice::from_ref(&result)));
    let count = result.count();
    if count.failed == 0 && count.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
