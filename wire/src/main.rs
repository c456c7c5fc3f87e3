//! `voicegain-auth-wire --gateway target/release/voicegain-gateway`: see the crate's docs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use voicegain_auth_wire::attacks::{Attack, Family};
use voicegain_auth_wire::run::Options;
use voicegain_auth_wire::subject::Subject;
use voicegain_auth_wire::{attacks, http2, process, report, run};

/// Attacks gateways on the wire, in front of an upstream that reads strictly.
#[derive(Debug, Parser)]
struct Args {
    /// A gateway's binary; may be given more than once
    #[arg(long, required = true, value_name = "BINARY")]
    gateway: Vec<PathBuf>,

    /// Only attacks whose name contains this
    #[arg(long, default_value = "", value_name = "NAME")]
    only: String,

    /// Writes all of it as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Without floods, crowds and whoever is slow
    #[arg(long)]
    quick: bool,

    /// At the large scale
    #[arg(long)]
    full: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match attack(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

async fn attack(args: &Args) -> Result<bool, String> {
    let open_files = process::raise_open_files();
    let mut attacks = attacks::all();
    let is_quick = |attack: &Attack| !matches!(attack.family, Family::Denial | Family::Slow);
    attacks.retain(|attack| attack.name.contains(&args.only) && (!args.quick || is_quick(attack)));
    if attacks.is_empty() {
        return Err(format!("no attack is called {}", args.only));
    }
    let mut text = report::TITLE.to_owned();
    let mut clean = true;
    for binary in &args.gateway {
        let begun = Instant::now();
        let mut subject = Subject::start(&absolute(binary)?).await?;
        let http2 = http2::is_spoken(subject.addr).await;
        let options =
            Options { http2, full: args.full, open_files, watch: args.only.is_empty() && !args.quick };
        let lines = run::run(&mut subject, &attacks, options).await?;
        print!("{}", report::summary(&subject.name, &lines));
        let spoken = if http2 { "HTTP/1.1 and HTTP/2" } else { "HTTP/1.1 alone" };
        println!("{}, {spoken}: {} s", subject.name, begun.elapsed().as_secs());
        println!("{}", report::condensed(&lines));
        text += &report::markdown(&subject.name, http2, &lines);
        text.push('\n');
        clean &= lines.len() >= attacks.len() && lines.iter().all(|line| line.outcome.findings.is_empty());
    }
    if let Some(path) = &args.report {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(clean)
}

/// The gateway runs in a folder of its own.
fn absolute(binary: &Path) -> Result<PathBuf, String> {
    binary.canonicalize().map_err(|error| format!("--gateway {}: {error}; build it first", binary.display()))
}
