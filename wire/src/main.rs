//! `voicegain-auth-wire --gateway target/release/voicegain-gateway`: see the crate's docs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use voicegain_auth_wire::attacks::{Attack, Family};
use voicegain_auth_wire::run::Options;
use voicegain_auth_wire::subject::Subject;
use voicegain_auth_wire::{attacks, http2, memory, process, report, run};

/// How long a flood and a crowd go on at least, and how long with `--full`.
const LASTS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(10)];
/// What all but one of a hundred good requests may take, of a gateway that was built for release.
const SLOW: Duration = Duration::from_secs(2);

/// Attacks gateways on the wire, in front of an upstream that reads strictly.
#[derive(Debug, Parser)]
struct Args {
    /// The binary of a gateway that speaks HTTP/1.1 and HTTP/2; may be given more than once
    #[arg(long, required_unless_present_any = ["gateway_http1", "gateway_asked_for_http2"], value_name = "BINARY")]
    gateway: Vec<PathBuf>,

    /// The binary of one that speaks HTTP/1.1 alone; may be given more than once
    #[arg(long, value_name = "BINARY")]
    gateway_http1: Vec<PathBuf>,

    /// The binary of one that is started with `--http2` and promises no bounds then: attacked by all but floods and crowds
    #[arg(long, value_name = "BINARY")]
    gateway_asked_for_http2: Vec<PathBuf>,

    /// Only attacks whose name contains this
    #[arg(long, default_value = "", value_name = "NAME")]
    only: String,

    /// Does each attack so many times in a row on one process, whose memory must level off
    #[arg(long, default_value_t = 1, value_name = "TIMES")]
    repeat: usize,

    /// Writes all of it as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Without floods, crowds and whoever is slow
    #[arg(long)]
    quick: bool,

    /// At the large scale, and with clients that are given up on after minutes
    #[arg(long)]
    full: bool,
}

/// A gateway, and what is to be seen of it.
struct Given<'a> {
    binary: &'a Path,
    http2: bool,
    arguments: &'static [&'static str],
    /// Whether it is attacked by floods and crowds.
    is_bounded: bool,
}

impl Args {
    fn gateways(&self) -> impl Iterator<Item = Given<'_>> {
        let given = |binary, http2| Given { binary, http2, arguments: &[], is_bounded: true };
        let both = self.gateway.iter().map(move |binary| given(binary, true));
        let one = self.gateway_http1.iter().map(move |binary| given(binary, false));
        let asked = self.gateway_asked_for_http2.iter().map(|binary| Given {
            binary,
            http2: true,
            arguments: &["--http2"],
            is_bounded: false,
        });
        both.chain(one).chain(asked)
    }
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
    let (mut text, mut built) = (String::new(), Vec::new());
    let mut clean = true;
    for given in args.gateways() {
        let begun = Instant::now();
        let watch = given.is_bounded && !args.quick && run::TIME_LIMITS.contains(&args.only);
        let attacks = chosen(args, given.is_bounded);
        if attacks.is_empty() && !watch {
            return Err(format!("no attack is called {}", args.only));
        }
        let mut subject = Subject::start(&absolute(given.binary)?, given.arguments).await?;
        let http2 = http2::is_spoken(subject.addr).await;
        // What it would be attacked with depends on it: a gateway that no longer speaks HTTP/2 would pass for want of attacks.
        if http2 != given.http2 {
            let found = if http2 { "speaks HTTP/2" } else { "does not speak HTTP/2" };
            return Err(format!("{} {found}, other than it was given", subject.name));
        }
        let profile = profile(given.binary);
        let options = Options {
            http2,
            full: args.full,
            open_files,
            watch,
            lasts: LASTS[usize::from(args.full)],
            slow: (profile == RELEASE && !args.quick).then_some(SLOW),
            memory: Some(memory::WHOLE_RUN),
            again: args.repeat.saturating_sub(1),
        };
        let lines = run::run(&mut subject, &attacks, options).await?;
        print!("{}", report::summary(&subject.name, &lines));
        let spoken = if http2 { "HTTP/1.1 and HTTP/2" } else { "HTTP/1.1 alone" };
        println!("{} ({profile}), {spoken}: {} s", subject.name, begun.elapsed().as_secs());
        println!("{}", report::condensed(&lines));
        built.push(format!("{} {profile}", subject.name));
        text += &report::markdown(&subject.name, http2, &lines);
        text.push('\n');
        clean &= lines.len() >= attacks.len() && lines.iter().all(|line| line.outcome.findings.is_empty());
    }
    if let Some(path) = &args.report {
        let text = report::title(&built) + &text;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(clean)
}

fn chosen(args: &Args, is_bounded: bool) -> Vec<Attack> {
    let mut attacks = attacks::all();
    let decides = |attack: &Attack| !matches!(attack.family, Family::Denial | Family::Slow);
    let all = is_bounded && !args.quick;
    attacks.retain(|attack| attack.name.contains(&args.only) && (all || decides(attack)));
    attacks
}

const RELEASE: &str = "release";

/// How it was built, as cargo calls its folder.
fn profile(binary: &Path) -> String {
    let folder = binary.parent().and_then(Path::file_name).unwrap_or_default();
    folder.to_string_lossy().into_owned()
}

/// The gateway runs in a folder of its own.
fn absolute(binary: &Path) -> Result<PathBuf, String> {
    binary.canonicalize().map_err(|error| format!("--gateway {}: {error}; build it first", binary.display()))
}
