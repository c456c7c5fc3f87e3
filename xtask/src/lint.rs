//! What is asked of the code beside that its tests pass.

use std::fs;
use std::process::Command;

use crate::chores::{timing_of, tool};
use crate::run::{Outcome, cargo, heading, output, root, run, target_dir};
use crate::{release, rooms, servers};

/// The published library crates, and the features each is to be checked with alone.
const LIBRARIES: [(&str, &[&str]); 6] = [
    ("voicegain-auth-core", &["second-opinion"]),
    ("voicegain-auth-tower", &["axum", "http2"]),
    ("voicegain-auth-actix", &[]),
    ("voicegain-auth-store", &["sqlite", "postgres", "etcd", "contract-tests"]),
    ("voicegain-auth-console", &["oidc"]),
    ("voicegain-auth-client", &[]),
];

pub fn lint() -> Outcome {
    heading("what building with every feature takes");
    servers::install()?;
    heading("formatting");
    run(cargo().args(["fmt", "--all", "--check"]))?;
    for workspace in ["bench", "examples/stacks", "fuzz"] {
        let manifest = format!("{workspace}/Cargo.toml");
        run(cargo().args(["fmt", "--all", "--manifest-path", &manifest, "--check"]))?;
    }
    heading("rooms of more than 300 lines");
    rooms::check()?;
    heading("lints");
    run(cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    // With the doors that the timing test comes by, since nothing else here builds it.
    run(timing_of("clippy")?.args(["--all-targets", "--", "-D", "warnings"]))?;
    heading("documentation");
    run(cargo()
        .args(["doc", "--locked", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    heading("each feature alone, and none");
    for (library, features) in LIBRARIES {
        for feature in std::iter::once(&"").chain(features) {
            run(cargo()
                .args([
                    "clippy",
                    "--locked",
                    "-p",
                    library,
                    "--no-default-features",
                    "--features",
                    feature,
                    "--",
                ])
                .args(["-D", "warnings"]))?;
        }
    }
    heading("the lock file of what is not built here");
    // It fails if it would change anything.
    run(cargo().args([
        "update",
        "--workspace",
        "--locked",
        "--manifest-path",
        "examples/stacks/Cargo.toml",
    ]))?;
    heading("the oldest versions that the library crates allow");
    oldest_versions()?;
    heading("the core knows no HTTP framework");
    let tree = output(cargo().args([
        "tree",
        "--locked",
        "-p",
        "voicegain-auth-core",
        "-e",
        "normal",
        "--prefix",
        "none",
    ]))?;
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let family = name.split('-').next().unwrap_or_default();
        if ["http", "hyper", "tower", "axum", "actix"].contains(&family) {
            return Err(format!("voicegain-auth-core depends on {name}"));
        }
    }
    println!("{} crates, none of them one", tree.lines().count());
    heading("what would be published");
    release::packages()?;
    heading("licences, duplicates and sources");
    deny()
}

fn deny() -> Outcome {
    let program = tool("cargo-deny")?;
    // It reads the manifests of all dependencies, those of other systems too.
    run(cargo().args(["fetch", "--locked"]))?;
    run(Command::new(program).current_dir(root()).args(["--offline", "check", "bans", "licenses", "sources"]))
}

/// Builds the library crates with the oldest versions of what they depend on, after a look whether these are the
/// oldest that the manifest allows.
pub fn oldest_versions() -> Outcome {
    let manifest = "tests/minimal-versions/Cargo.toml";
    let bounds = fs::read_to_string(root().join("Cargo.toml")).map_err(|error| error.to_string())?;
    let (_, bounds) =
        bounds.split_once("[workspace.dependencies]").ok_or("Cargo.toml has no dependencies")?;
    let bound = |name: &str| {
        let line = bounds.lines().find(|line| line.split(" = ").next() == Some(name))?;
        // The first string in it, before any feature.
        let mut version = line.split('"').nth(1)?.to_owned();
        while version.matches('.').count() < 2 {
            version.push_str(".0");
        }
        Some(version)
    };
    let tree = output(
        cargo()
            .args(["tree", "--locked", "--manifest-path", manifest, "--edges", "normal"])
            .args(["--depth", "2", "--prefix", "depth"]),
    )?;
    for package in tree.lines().filter_map(|line| line.strip_prefix('2')) {
        let mut words = package.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if package.contains("(/") {
            continue;
        }
        let bound = bound(name).ok_or_else(|| format!("{name} is not among the workspace's dependencies"))?;
        if version.strip_prefix('v') != Some(&*bound) {
            return Err(format!(
                "{name} may be as old as {bound}, and is checked with {version}: in tests/minimal-versions, cargo \
                 update --package {name}@{} --precise {bound}",
                version.trim_start_matches('v')
            ));
        }
    }
    // What is in C is checked elsewhere, and takes a minute to optimise.
    run(cargo()
        .args(["check", "--locked", "--manifest-path", manifest])
        .env("CARGO_TARGET_DIR", target_dir()?)
        .env("CFLAGS", "-O0"))
}
