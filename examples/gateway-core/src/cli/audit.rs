//! What an audit log says, and whether it is whole.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};

use super::Args;
use super::job::fail;
use super::terminal::{plain, table};
use crate::audit::{self, Change, Verification, Verified};

/// How it ends if a file cannot be read.
const UNREAD: u8 = 2;

#[derive(Debug)]
pub(super) enum Asked {
    Verify(Verify),
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The files, the oldest first; by default the one that --audit-log names
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A hash that an entry must have, as it was noted down elsewhere
    #[arg(long, value_name = "HASH", value_parser = anchor)]
    anchor: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The files, the oldest first; by default the one that --audit-log names
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only so many changes, the last ones
    #[arg(long, value_name = "NUMBER")]
    last: Option<usize>,
}

fn anchor(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err("a hash has 64 hexadecimal digits".to_owned()) }
}

pub(super) fn command(flags: impl Fn(Command) -> Command) -> Command {
    Command::new("audit")
        .about("Shows who has changed what, and checks that it is as it was written")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Verify::augment_args(flags(Command::new("verify")))
                .about("Says whether an entry of the audit log was changed, taken out or moved, and which")
                .long_about(None)
                .after_help(
                    "Ends with 0 if all is as it was written, 1 if not, and 2 if a file cannot be read. The hash of the last \
                     entry, which it prints, stands for all before it: note it down where nobody reaches it who can write the \
                     file, and give it with --anchor the next time.",
                ),
        )
        .subcommand(
            Show::augment_args(flags(Command::new("show")))
                .about("Lists who has changed what, and what became of it")
                .long_about(None)
                .after_help("The file itself is JSON, an entry a line, for programs such as jq."),
        )
}

impl Asked {
    pub(super) fn of(name: &str, matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(match name {
            "verify" => Self::Verify(Verify::from_arg_matches(matches)?),
            "show" => Self::Show(Show::from_arg_matches(matches)?),
            other => unreachable!("{other} is no subcommand"),
        })
    }
}

pub(super) fn run(args: &Args, asked: &Asked) -> ExitCode {
    let (Asked::Verify(Verify { files, .. }) | Asked::Show(Show { files, .. })) = asked;
    let files: Vec<&Path> = match (files.as_slice(), &args.audit_log) {
        ([], Some(file)) => vec![file],
        ([], None) => return fail(args, "name the file, here or with --audit-log", UNREAD),
        (files, _) => files.iter().map(PathBuf::as_path).collect(),
    };
    let done = match asked {
        Asked::Verify(Verify { anchor, .. }) => verify(&files, anchor.as_deref()),
        Asked::Show(Show { last, .. }) => show(&files, last.unwrap_or(usize::MAX)).map(|text| (text, 0)),
    };
    match done {
        Ok((text, code)) => {
            // Nobody has to read all of it.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::from(code)
        }
        Err(problem) => fail(args, &problem, UNREAD),
    }
}

fn unread(file: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", file.display())
}

/// What was found, and what the program ends with.
fn verify(files: &[&Path], anchor: Option<&str>) -> Result<(String, u8), String> {
    let mut verification = Verification::new(anchor);
    for file in files {
        let mut lines = BufReader::new(File::open(file).map_err(unread(file))?);
        verification.file(&file.display().to_string());
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(unread(file))? > 0 {
            verification.line(&line);
            line.clear();
        }
    }
    Ok(report(&verification.finish()))
}

fn report(found: &Verified) -> (String, u8) {
    let mut text = String::new();
    for fault in &found.faults {
        let _ = writeln!(text, "{}", plain(fault));
    }
    if found.more_faults > 0 {
        let _ = writeln!(text, "and {} more", found.more_faults);
    }
    for begun in &found.unfinished {
        let what = Change { begun: begun.clone(), end: None }.what();
        let (what, time) = (plain(&what), plain(&begun.time));
        let _ = writeln!(text, "without an end: {time} {what} (whether it was done the store tells)");
    }
    if found.is_cut_off {
        text.push_str("it ends in the middle of an entry, as after a crash; the next entry will say so\n");
    }
    if let Some((first, before)) = found.first.as_ref().filter(|(first, _)| *first > 1) {
        let _ = writeln!(text, "it begins with entry {first}, behind one with the hash {}", plain(before));
    }
    match &found.last {
        Some(last) => {
            let (entries, seq, hash) = (found.entries, last.seq, &last.hash);
            let _ = writeln!(text, "{entries} entries; the last one, entry {seq}, has the hash {hash}");
        }
        None => text.push_str("there is no entry\n"),
    }
    let is_whole = found.faults.is_empty();
    text.push_str(if is_whole { "all is as it was written\n" } else { "it is not as it was written\n" });
    (text, u8::from(!is_whole))
}

fn show(files: &[&Path], most: usize) -> Result<String, String> {
    // Of several files one cannot be read; which one the system does not say.
    let names = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    let changes = audit::read(files, None, most).map_err(|error| format!("{names}: {error}"))?;
    let head = ["TIME", "WHO", "WHAT", "OUTCOME"];
    Ok(table(head, &changes.iter().map(row).collect::<Vec<_>>()))
}

fn row(change: &Change) -> [String; 4] {
    [plain(&change.begun.time), change.who(), change.what(), change.outcome()].map(|text| plain(&text))
}
