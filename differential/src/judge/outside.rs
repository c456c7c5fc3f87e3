//! Judges in other languages: one process each, tokens in, verdicts out.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::Verdict;
use crate::recipe::Made;
use crate::setup::{NOW, Owner};

/// What the judges are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Node,
}

/// Who they are, and what they said of each token.
pub(crate) struct Outside {
    pub(crate) judges: [String; 2],
    pub(crate) runtime: String,
    pub(crate) verdicts: Vec<[Verdict; 2]>,
}

#[derive(Deserialize)]
struct Greeting {
    judges: [String; 2],
    runtime: String,
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("judges")
}

/// Starts a program to its end.
fn run(command: &mut Command, needed: &str) -> Result<(), String> {
    let shown = format!("{command:?}");
    let status =
        command.stdout(Stdio::null()).status().map_err(|error| format!("{shown}: {error}; {needed}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown} failed ({status}); {needed}")) }
}

impl Language {
    /// Installs the libraries into a folder, if that has not been done.
    pub(crate) fn install(self, folder: &Path) -> Result<(), String> {
        let (lock, folder) = (scripts().join(self.lock()), folder.join(self.name()));
        let wanted = fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
        let stamp = folder.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        println!("installing the judges for {} into {}", self.name(), folder.display());
        let here = |error| format!("{}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(here)?;
        }
        fs::create_dir_all(&folder).map_err(here)?;
        match self {
            Self::Python => {
                let needed = "install Python 3.9 or later with its venv module (python3, python3-venv)";
                run(Command::new("python3").args(["-m", "venv"]).arg(&folder), needed)?;
                let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
                let needed = "the Python Package Index must be within reach";
                run(Command::new(folder.join("bin/python")).args(pip).arg(&lock), needed)?;
            }
            Self::Node => {
                for file in ["package.json", "package-lock.json"] {
                    fs::copy(scripts().join(file), folder.join(file)).map_err(here)?;
                }
                let needed = "install Node.js 20 or later with npm; the npm registry must be within reach";
                let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
                run(Command::new("npm").args(npm).current_dir(&folder), needed)?;
            }
        }
        fs::write(stamp, wanted).map_err(here)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    fn lock(self) -> &'static str {
        match self {
            Self::Python => "requirements.txt",
            Self::Node => "package-lock.json",
        }
    }

    fn command(self, folder: &Path) -> Command {
        let folder = folder.join(self.name());
        match self {
            Self::Python => {
                let mut command = Command::new(folder.join("bin/python"));
                command.arg(scripts().join("python.py"));
                command
            }
            Self::Node => {
                let mut command = Command::new("node");
                command.arg(scripts().join("node.mjs")).arg(folder);
                command
            }
        }
    }

    /// Has all tokens judged.
    pub(crate) fn judge(self, folder: &Path, owners: &[Owner], tokens: &[Made]) -> Result<Outside, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the judges in {}: {error}", self.name());
        let mut child = self
            .command(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err(failed(&"no pipes")) };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // If the process dies early, that it answers too little is what is told.
                let _ = write(BufWriter::new(input), owners, tokens);
            });
            let mut lines = BufReader::new(output).lines();
            let mut next = || lines.next().transpose().map_err(|error| failed(&error));
            let greeting = next()?.ok_or_else(|| failed(&"they say nothing"))?;
            let greeting: Greeting = serde_json::from_str(&greeting).map_err(|error| failed(&error))?;
            let mut verdicts = Vec::with_capacity(tokens.len());
            while let Some(line) = next()? {
                verdicts.push(
                    serde_json::from_str(&line).map_err(|error| failed(&format!("{error} in {line}")))?,
                );
            }
            let status = child.wait().map_err(|error| failed(&error))?;
            if !status.success() || verdicts.len() != tokens.len() {
                return Err(failed(&format!(
                    "{} verdicts on {} tokens, {status}",
                    verdicts.len(),
                    tokens.len()
                )));
            }
            Ok(Outside { judges: greeting.judges, runtime: greeting.runtime, verdicts })
        })
    }
}

fn write(mut to: impl Write, owners: &[Owner], tokens: &[Made]) -> std::io::Result<()> {
    let hexadecimal =
        |owner: &Owner| owner.secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let secrets: Vec<String> = owners.iter().map(hexadecimal).collect();
    writeln!(to, "{}", json!({ "now": NOW, "secrets": secrets }))?;
    for made in tokens {
        writeln!(to, "{}\t{}", made.owner, STANDARD.encode(&made.token))?;
    }
    to.flush()
}
