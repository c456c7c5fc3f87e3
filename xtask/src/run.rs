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

/// Where what is built by itself goes, with other versions or features than the rest: one folder for all of it, since it
/// shares most of what it is built from, and is built one after the other.
pub fn aside_dir() -> Result<PathBuf, String> {
    Ok(target_dir()?.join("aside"))
}

/// The parts of a chore, and when each began.
static PARTS: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());

pub fn heading(text: &str) {
    println!("\n=== {text}");
    PARTS.lock().expect("nobody panics with it").push((text.to_owned(), Instant::now()));
}

/// What took how long.
pub fn tell_times() {
    let parts = PARTS.lock().expect("nobody panics with it");
    let ends = parts.iter().skip(1).map(|(_, began)| *began).chain([Instant::now()]);
    println!("\n=== what took how long, in seconds");
    for ((text, began), end) in parts.iter().zip(ends) {
        println!("{:5}  {text}", end.duration_since(*began).as_secs());
    }
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
