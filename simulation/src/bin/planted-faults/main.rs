//! Plants faults in a copy of core, one after another, and sees whether the simulation finds each. Exit code 1: it does not.

mod faults;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

use clap::Parser;

use self::faults::{FAULTS, Fault, Level, MACHINE};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Plants faults in a copy of core and sees whether the simulation finds them.
#[derive(Parser)]
struct Args {
    /// Only those whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// How many schedules to run at most, in thousands: of the first level; a twentieth of it of the second.
    #[arg(long, default_value_t = 400)]
    thousands: u64,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace around this crate")?;
    let copy = tempfile::tempdir()?;
    let workspace = copy.path().join("workspace");
    copy_tree(root, &workspace)?;
    let core = workspace.join("voicegain-auth-core/src");
    // The machine's source in a place of its own: a fault in it then needs no new build of core.
    let (script, own) = (workspace.join("simulation/build.rs"), workspace.join("simulation/freshness.rs"));
    fs::copy(core.join(MACHINE), &own)?;
    let elsewhere = fs::read_to_string(&script)?.replace("../voicegain-auth-core/src/freshness.rs", MACHINE);
    fs::write(&script, elsewhere)?;
    println!("without a fault: {}", if found(&workspace, None, args)?.0 { "FINDINGS" } else { "no finding" });
    let mut all = true;
    for fault in FAULTS.iter().filter(|fault| fault.name.contains(&args.only)) {
        let file = if fault.file == MACHINE { own.clone() } else { core.join(fault.file) };
        let original = fs::read_to_string(&file)?;
        if original.matches(fault.original).count() != 1 {
            return Err(format!("{}: not found exactly once in {}", fault.name, fault.file).into());
        }
        fs::write(&file, original.replacen(fault.original, fault.replacement, 1))?;
        let begun = Instant::now();
        let outcome = found(&workspace, Some(fault), args);
        fs::write(&file, original)?;
        let (found, story) = outcome?;
        all &= found;
        let verdict = if found { "found" } else { "NOT FOUND" };
        println!(
            "{verdict}: {} ({}; {:.0} s with its build)",
            fault.name,
            story,
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(all)
}

/// Whether the simulation has findings in this workspace, and after how much.
fn found(workspace: &Path, fault: Option<&Fault>, args: &Args) -> Result<(bool, String)> {
    let target = workspace.with_file_name("target");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--offline", "--quiet", "-p", "voicegain-auth-simulation"]);
    build.args(["--bin", "voicegain-auth-simulation"]);
    let built = in_workspace(&mut build, workspace).env("CARGO_TARGET_DIR", &target).output()?;
    if !built.status.success() {
        return Err(format!("it does not build:\n{}", String::from_utf8_lossy(&built.stderr)).into());
    }
    let (machine, cache, races) = (args.thousands * 1000, args.thousands * 50, 200);
    let mut simulation = Command::new(target.join("release/voicegain-auth-simulation"));
    simulation.arg("--first");
    match fault.map(|fault| fault.level) {
        None => simulation.args(["--schedules", "100000", "--cache", "5000", "--races", "50"]),
        Some(Level::Machine) => simulation.args(["--schedules".to_owned(), machine.to_string()]),
        Some(Level::Cache) => simulation.args(["--cache".to_owned(), cache.to_string()]),
        Some(Level::Interleavings) => simulation.arg("--interleavings"),
        Some(Level::Race) => simulation.args(["--races".to_owned(), races.to_string()]),
    };
    let Output { status, stdout, stderr } = in_workspace(&mut simulation, workspace).output()?;
    let said = String::from_utf8_lossy(&stdout);
    let line = |part: &str| said.lines().map(str::trim).find(|line| line.contains(part));
    let after = line(" schedules in ")
        .and_then(|line| line.split(" in ").next())
        .unwrap_or("all interleavings until then");
    let findings = line("findings: ").or_else(|| line("finding: ")).unwrap_or_default();
    let findings = findings.trim_start_matches("findings: ").trim_start_matches("finding: ");
    match status.code() {
        Some(0) => Ok((false, format!("after {after}"))),
        Some(1) if !findings.is_empty() => Ok((true, format!("after {after}: {findings}"))),
        _ => Err(format!("it did not end as it should: {}", String::from_utf8_lossy(&stderr)).into()),
    }
}

/// Builds quickly rather than well.
fn in_workspace<'a>(command: &'a mut Command, workspace: &Path) -> &'a mut Command {
    command
        .current_dir(workspace)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2")
}

/// Copies what is needed to build; not what was built, nor what is hidden.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let (source, copy) = (entry.path(), to.join(&name));
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if entry.file_type()?.is_dir() {
            if !hidden && name != "target" {
                copy_tree(&source, &copy)?;
            }
        } else if !hidden && entry.file_type()?.is_file() {
            fs::copy(&source, &copy)?;
        }
    }
    Ok(())
}
