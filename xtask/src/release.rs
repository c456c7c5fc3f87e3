//! What has to hold before the crates are published.

use std::process::Command;

use crate::chores::tool;
use crate::run::{Outcome, cargo, heading, output, root, run};

/// Packs every crate that is published, as it would be uploaded, without building it.
pub fn packages() -> Outcome {
    run(cargo().args(["publish", "--workspace", "--dry-run", "--no-verify", "--locked", "--allow-dirty"]))
}

/// Builds every crate from what would be uploaded, and compares it with the last release.
pub fn release() -> Outcome {
    heading("the crates, built from what would be uploaded");
    run(cargo().args(["publish", "--workspace", "--dry-run", "--locked"]))?;
    heading("what the version number promises");
    let tags = output(Command::new("git").current_dir(root()).args([
        "tag",
        "--list",
        "v*",
        "--sort=-version:refname",
    ]))?;
    let Some(last) = tags.lines().next() else {
        println!(
            "nothing has been released yet, so that there is nothing to be compatible with; releases are tags like v0.1.0"
        );
        return Ok(());
    };
    run(Command::new(tool("cargo-semver-checks")?).current_dir(root()).args([
        "semver-checks",
        "--workspace",
        "--all-features",
        "--baseline-rev",
        last,
    ]))
}
