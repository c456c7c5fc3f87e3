//! How the chores run other programs, and say what took how long.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

pub type Outcome = Result<(), String>;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds.
pub fn target_dir() -> Result<PathBuf, String> {
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let (_, rest) =
        metadata.split_once("\"target_directory\":\"").ok_or("cargo metadata names no target directory")?;
    let (path, _) = rest.split_once('"').ok_or("cargo metadata is cut off")?;
    Ok(PathBuf::from(path.replace("\\\\", "\\")))
}

/// The parts of a chore: when each began, and what processor time had been taken by then.
static PARTS: Mutex<Vec<(String, Instant, Option<f64>)>> = Mutex::new(Vec::new());

pub fn heading(text: &str) {
    println!("\n=== {text}");
    PARTS.lock().expect("nobody panics with it").push((text.to_owned(), Instant::now(), processor_seconds()));
}

/// What took how long, if there was more than one part.
pub fn tell_times() {
    let parts = PARTS.lock().expect("nobody panics with it");
    if parts.len() < 2 {
        return;
    }
    let ends = parts.iter().skip(1).map(|(_, began, spent)| (*began, *spent));
    println!("\n=== what took how long, in seconds, and how much processor time, where that is told");
    for ((text, began, before), (end, after)) in
        parts.iter().zip(ends.chain([(Instant::now(), processor_seconds())]))
    {
        let spent =
            before.zip(after).map(|(before, after)| format!("{:.0}", after - before)).unwrap_or_default();
        println!("{:5} {spent:>5}  {text}", end.duration_since(*began).as_secs());
    }
}

/// Of all programs that have been started and waited for, theirs included. Linux alone tells it, in hundredths.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, which may hold anything, ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields
        .split_whitespace()
        .skip(13)
        .take(2)
        .map(|field| field.parse::<f64>().ok())
        .sum::<Option<f64>>()?;
    Some(ticks / 100.0)
}

pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

pub fn run(command: &mut Command) -> Outcome {
    println!("$ {}", shown(command));
    let status =
        command.status().map_err(|error| format!("{} could not be started: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed ({status})", shown(command))) }
}

pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{} could not be started: {error}", shown(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{} failed ({})", shown(command), output.status))
    }
}
