//! The chores that take long, or are asked for by name alone.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{Outcome, cargo, heading, root, run, target_dir};

pub const GATEWAYS: [&str; 2] = ["voicegain-gateway", "voicegain-gateway-actix"];

/// Both gateways with everything that is left out unless it is asked for.
pub const GATEWAYS_WITH_ALL: &str = "voicegain-gateway/etcd,voicegain-gateway/oidc,voicegain-gateway/opentelemetry,voicegain-gateway-actix/etcd,voicegain-gateway-actix/oidc,voicegain-gateway-actix/opentelemetry";

pub const SIMULATION: &str = "voicegain-auth-simulation";
pub const CHAOS: &str = "voicegain-auth-chaos";
pub const WIRE: &str = "voicegain-auth-wire";
pub const BROWSER_EXAMPLE: &str = "voicegain-browser-example";

/// Builds both gateways, with every store.
pub fn gateways() -> Outcome {
    run(cargo()
        .args(["build", "--locked"])
        .args(GATEWAYS.iter().flat_map(|gateway| ["-p", gateway]))
        .args(["--features", GATEWAYS_WITH_ALL]))
}

/// Where a program is once it has been built.
pub fn binary(package: &str) -> Result<PathBuf, String> {
    Ok(target_dir()?.join("debug").join(package))
}

pub fn gateway_binaries() -> Result<[PathBuf; 2], String> {
    let folder = target_dir()?.join("debug");
    Ok(GATEWAYS.map(|gateway| folder.join(gateway)))
}

/// Runs a program of the workspace, built if need be.
pub fn program(package: &str) -> Command {
    let mut command = cargo();
    command.args(["run", "--locked", "-p", package, "--"]);
    command
}

/// Runs one that the tests have built: by itself it would be built anew, with fewer features of what it depends on.
pub fn built(package: &str) -> Result<Command, String> {
    let mut command = Command::new(binary(package)?);
    command.current_dir(root());
    Ok(command)
}

pub fn simulation(mut program: Command) -> Outcome {
    heading("the promise in simulation");
    run(program.args(["--schedules", "100000", "--cache", "1000", "--interleavings"]))
}

pub fn planted_faults() -> Outcome {
    heading("faults planted in the code");
    run(cargo().args(["run", "--locked", "-p", "voicegain-auth-simulation", "--bin", "planted-faults"]))
}

pub fn chaos(program: impl Fn() -> Result<Command, String>, minutes: &str) -> Outcome {
    let [gateway, _] = gateway_binaries()?;
    for store in ["postgres", "etcd"] {
        heading(&format!("three gateways on {store} under faults"));
        run(program()?
            .args(["run", "--store", store, "--minutes", minutes])
            .env("VOICEGAIN_GATEWAY_BIN", &gateway))?;
    }
    Ok(())
}

/// The bench is a workspace of its own: what its peers need and turn on stays out of the other builds.
pub fn of_the_bench(subcommand: &str) -> Result<Command, String> {
    let mut command = cargo();
    command.args([subcommand, "--locked", "--manifest-path", "bench/Cargo.toml"]);
    command.env("CARGO_TARGET_DIR", target_dir()?.join("bench"));
    Ok(command)
}

pub fn bench(arguments: impl Iterator<Item = String>) -> Outcome {
    run(of_the_bench("run")?.args(["--release", "--"]).args(arguments))
}

/// The gateway and the bare proxy it is set against are built together, so that what they share is the same.
pub fn bench_gateway(arguments: impl Iterator<Item = String>) -> Outcome {
    run(cargo().args(["build", "--release", "--locked", "-p", "voicegain-gateway", "--bins", "--examples"]))?;
    let binaries = target_dir()?.join("release");
    run(of_the_bench("run")?
        .args(["--release", "--bin", "voicegain-auth-bench-gateway", "--"])
        .args(arguments)
        .env("VOICEGAIN_GATEWAY_BIN", binaries.join("voicegain-gateway"))
        .env("VOICEGAIN_BARE_PROXY_BIN", binaries.join("examples/bare-proxy")))
}

/// The other stacks are a workspace of their own too.
pub fn stacks() -> Outcome {
    run(cargo()
        .args(["test", "--locked", "--manifest-path", "examples/stacks/Cargo.toml"])
        .env("CARGO_TARGET_DIR", target_dir()?.join("stacks")))
}

pub fn differential(arguments: impl Iterator<Item = String>) -> Outcome {
    run(cargo()
        .args(["run", "--release", "--locked", "-p", "voicegain-auth-differential", "--"])
        .args(arguments))
}

/// The program is built with what it needs alone, and each gateway as a user would.
pub fn wire(arguments: impl Iterator<Item = String>) -> Outcome {
    for gateway in GATEWAYS {
        run(cargo().args(["build", "--release", "--locked", "-p", gateway]))?;
    }
    let folder = target_dir()?.join("release");
    run(cargo()
        .args(["run", "--release", "--locked", "-p", WIRE, "--"])
        .args(each_gateway(GATEWAYS.map(|gateway| folder.join(gateway))))
        .arg("--gateway-asked-for-http2")
        .arg(folder.join(GATEWAYS[1]))
        .args(arguments))
}

/// What the program is told of the gateways: the second speaks HTTP/1.1 alone unless it is asked for more.
pub fn each_gateway([gateway, gateway_actix]: [PathBuf; 2]) -> [PathBuf; 4] {
    ["--gateway".into(), gateway, "--gateway-http1".into(), gateway_actix]
}

/// In its own folder, where cargo finds what opens the doors it comes by.
pub fn fuzz(arguments: impl Iterator<Item = String>) -> Outcome {
    run(cargo()
        .current_dir(root().join("fuzz"))
        .args(["run", "--locked", "--"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", target_dir()?.join("fuzz")))
}

/// The bench with what reaches into the core by doors that nobody else has, and so is built by itself.
pub fn timing_of(subcommand: &str) -> Result<Command, String> {
    let mut command = of_the_bench(subcommand)?;
    command.env("RUSTFLAGS", "--cfg fuzzing").env("CARGO_TARGET_DIR", target_dir()?.join("timing"));
    Ok(command)
}

pub fn timing(arguments: impl Iterator<Item = String>) -> Outcome {
    run(timing_of("run")?.args(["--release", "--bin", "voicegain-auth-timing", "--"]).args(arguments))
}

/// A program for cargo, installed into a folder of the project's own if it is not there.
pub fn tool(name: &str) -> Result<PathBuf, String> {
    let is_there = |program: &Path| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|it| it.success())
    };
    let program = PathBuf::from(name);
    if is_there(&program) {
        return Ok(program);
    }
    let tools = root().join(".tools");
    let program = tools.join("bin").join(name);
    if !is_there(&program) {
        println!("installing {name} into {}", tools.display());
        // Built in half the time without optimising, and no slower to wait for.
        run(cargo().args(["install", "--locked", "--debug", "--root"]).arg(&tools).arg(name))?;
    }
    Ok(program)
}

/// Changes the code in one place at a time, as `.cargo/mutants.toml` says, and sees whether a test notices.
pub fn mutants(arguments: impl Iterator<Item = String>) -> Outcome {
    tool("cargo-nextest")?;
    let own = root().join(".tools/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(env::split_paths(&path).chain([own])).map_err(|error| error.to_string())?;
    run(Command::new(tool("cargo-mutants")?)
        .current_dir(root())
        .args(["mutants", "--test-tool", "nextest", "--output"])
        .arg(target_dir()?)
        .args(arguments)
        .env("PATH", path)
        .env("NEXTEST_PROFILE", "mutants")
        // What one of them is caught by would be tried first on the next.
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0"))
}
