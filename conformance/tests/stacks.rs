//! The case table on every stack there is: libraries in this process, gateways by their binaries.
//!
//! Without the test harness, because a stack that was not run must not read as passed: it is named, with what it
//! needs, and the last line counts cases.

use conformance::stack::Stack;
use conformance::stacks::gateway::GatewayProcess;
use conformance::{report, runner, stacks, table};
use std::path::PathBuf;
use std::process::ExitCode;

/// The gateways: their names, where their binaries are told, and what has them take HTTP/2 without TLS.
const GATEWAYS: [(&str, &str, &[&str]); 2] = [
    ("gateway", "VOICEGAIN_GATEWAY_BIN", &[]),
    ("gateway-actix", "VOICEGAIN_GATEWAY_ACTIX_BIN", &["--http2"]),
];

#[tokio::main]
async fn main() -> ExitCode {
    let cases = match table::built_in() {
        Ok(cases) => cases,
        Err(err) => {
            println!("{err}");
            return ExitCode::FAILURE;
        }
    };
    println!("{} cases", cases.len());
    stacks::log::keep();
    let mut stacks: Vec<Box<dyn Stack>> = vec![Box::new(stacks::axum()), Box::new(stacks::actix())];
    let mut absent = Vec::new();
    for (name, variable, flags) in GATEWAYS {
        match std::env::var_os(variable) {
            Some(binary) => {
                let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
                stacks.push(Box::new(GatewayProcess::new(name, &PathBuf::from(binary), &flags, true)))
            }
            None => absent.push(format!("{name}: not run, {variable} does not name its binary")),
        }
    }
    let mut reports = Vec::new();
    for stack in &stacks {
        let report = runner::run(stack.as_ref(), &cases).await;
        println!("{}", report.describe());
        reports.push(report);
    }
    for line in absent {
        println!("{line}");
    }
    println!("{}", report::total(&reports));
    if reports.iter().all(|report| report.count().failed == 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
