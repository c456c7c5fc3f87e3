//! The project's chores: `cargo xtask test`, `cargo xtask lint`, `cargo xtask ci`, and their parts.
//!
//! No dependencies, so that it is there within seconds. What a chore needs beyond Rust, a C compiler and Python it
//! installs into folders of the project's own, and says so; where it cannot, it fails and says what to install.

mod servers;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::Instant;

const HELP: &str = "\
cargo xtask <chore>

  test         everything that is tested: the workspace, the case table on every stack, every store on a real
               server, the promise in simulation and under faults, the published Python SDK, a user's crate with
               its own jsonwebtoken
  lint         formatting, lints, documentation, each feature alone, licences and sources
  ci           test, then lint
  servers      installs the servers that tests start (PostgreSQL, etcd) and protoc, where they are missing
  simulation   the promise in simulation: 100,000 schedules, the cache itself, and all interleavings
  faults       faults planted in the code one at a time, each of which the simulation must find
  chaos        three gateways on a real PostgreSQL and a real etcd under faults: one minute each, or as many as
               the number that follows says
  stacks       the case table on hyper, warp, salvo, tonic, poem, Rocket and Pingora, in a table; installs cmake
  differential  100,000 tokens judged by ours and by five other libraries, which it installs from PyPI and npm; what
               follows is for the program, such as --tokens 20000
  fuzz         every door that strangers' bytes come through: 600 seconds of processor time among the targets; what
               follows is for the program, such as --target origin
  mutants      the code changed in one place at a time, each of which a test must notice, over many hours; installs
               cargo-mutants and cargo-nextest; what follows is for cargo-mutants, such as --file '**/subject.rs'
  timing       whether what a refusal takes tells why; what follows is for the program, such as --samples 100000
  bench        what the layers and the verifier cost beside their peers, in tables; what follows is for the bench,
               --help says what there is
  bench-gateway  what its tokens cost the gateway and how fast it is, beside HAProxy and nginx, which it installs; what
               follows is for the bench
";

/// The published SDK that the gateway must serve, unchanged.
const SDK: &str = "voicegain-speech==1.142.0";

/// The published library crates, and the features each is to be checked with alone.
const LIBRARIES: [(&str, &[&str]); 5] = [
    ("voicegain-auth-core", &["second-opinion"]),
    ("voicegain-auth-tower", &["axum", "http2"]),
    ("voicegain-auth-actix", &[]),
    ("voicegain-auth-store", &["sqlite", "postgres", "etcd", "contract-tests"]),
    ("voicegain-auth-console", &[]),
];

/// Both gateways with the store that needs protoc.
const GATEWAYS_WITH_ETCD: &str = "voicegain-gateway/etcd,voicegain-gateway-actix/etcd";

const SIMULATION: &str = "voicegain-auth-simulation";
const CHAOS: &str = "voicegain-auth-chaos";

type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let chore = env::args().nth(1).unwrap_or_default();
    let minutes = env::args().nth(2).unwrap_or_else(|| "1".to_owned());
    let outcome = match chore.as_str() {
        "test" => test().inspect(|()| tell_times()),
        "lint" => lint().inspect(|()| tell_times()),
        "ci" => test().and_then(|()| lint()).inspect(|()| tell_times()),
        "servers" => servers::install(),
        "simulation" => simulation(program(SIMULATION)),
        "faults" => planted_faults(),
        "stacks" => servers::install_cmake().and_then(|()| stacks()),
        "differential" => differential(env::args().skip(2)),
        "fuzz" => fuzz(env::args().skip(2)),
        "mutants" => mutants(env::args().skip(2)),
        "timing" => timing(env::args().skip(2)),
        "bench" => bench(env::args().skip(2)),
        "bench-gateway" => servers::install_proxies().and_then(|()| bench_gateway(env::args().skip(2))),
        "chaos" => {
            servers::install().and_then(|()| gateways()).and_then(|()| chaos(|| Ok(program(CHAOS)), &minutes))
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds.
fn target_dir() -> Result<PathBuf, String> {
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let (_, rest) =
        metadata.split_once("\"target_directory\":\"").ok_or("cargo metadata names no target directory")?;
    let (path, _) = rest.split_once('"').ok_or("cargo metadata is cut off")?;
    Ok(PathBuf::from(path.replace("\\\\", "\\")))
}

/// The parts of a chore, and when each began.
static PARTS: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());

fn heading(text: &str) {
    println!("\n=== {text}");
    PARTS.lock().expect("nobody panics with it").push((text.to_owned(), Instant::now()));
}

/// What took how long.
fn tell_times() {
    let parts = PARTS.lock().expect("nobody panics with it");
    let ends = parts.iter().skip(1).map(|(_, began)| *began).chain([Instant::now()]);
    println!("\n=== what took how long, in seconds");
    for ((text, began), end) in parts.iter().zip(ends) {
        println!("{:5}  {text}", end.duration_since(*began).as_secs());
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn run(command: &mut Command) -> Outcome {
    println!("$ {}", shown(command));
    let status =
        command.status().map_err(|error| format!("{} could not be started: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed ({status})", shown(command))) }
}

fn output(command: &mut Command) -> Result<String, String> {
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

/// Builds both gateways, with every store.
fn gateways() -> Outcome {
    run(cargo()
        .args(["build", "--locked", "-p", "voicegain-gateway", "-p", "voicegain-gateway-actix"])
        .args(["--features", GATEWAYS_WITH_ETCD]))
}

/// Where a program is once it has been built.
fn binary(package: &str) -> Result<PathBuf, String> {
    Ok(target_dir()?.join("debug").join(package))
}

fn gateway_binaries() -> Result<[PathBuf; 2], String> {
    Ok([binary("voicegain-gateway")?, binary("voicegain-gateway-actix")?])
}

/// Runs a program of the workspace, built if need be.
fn program(package: &str) -> Command {
    let mut command = cargo();
    command.args(["run", "--locked", "-p", package, "--"]);
    command
}

/// Runs one that the tests have built: by itself it would be built anew, with fewer features of what it depends on.
fn built(package: &str) -> Result<Command, String> {
    let mut command = Command::new(binary(package)?);
    command.current_dir(root());
    Ok(command)
}

fn simulation(mut program: Command) -> Outcome {
    heading("the promise in simulation");
    run(program.args(["--schedules", "100000", "--cache", "1000", "--interleavings"]))
}

fn planted_faults() -> Outcome {
    heading("faults planted in the code");
    run(cargo().args(["run", "--locked", "-p", "voicegain-auth-simulation", "--bin", "planted-faults"]))
}

fn chaos(program: impl Fn() -> Result<Command, String>, minutes: &str) -> Outcome {
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
fn of_the_bench(subcommand: &str) -> Result<Command, String> {
    let mut command = cargo();
    command.args([subcommand, "--locked", "--manifest-path", "bench/Cargo.toml"]);
    command.env("CARGO_TARGET_DIR", target_dir()?.join("bench"));
    Ok(command)
}

fn bench(arguments: impl Iterator<Item = String>) -> Outcome {
    run(of_the_bench("run")?.args(["--release", "--"]).args(arguments))
}

/// The gateway and the bare proxy it is set against are built together, so that what they share is the same.
fn bench_gateway(arguments: impl Iterator<Item = String>) -> Outcome {
    run(cargo().args(["build", "--release", "--locked", "-p", "voicegain-gateway", "--bins", "--examples"]))?;
    let binaries = target_dir()?.join("release");
    run(of_the_bench("run")?
        .args(["--release", "--bin", "voicegain-auth-bench-gateway", "--"])
        .args(arguments)
        .env("VOICEGAIN_GATEWAY_BIN", binaries.join("voicegain-gateway"))
        .env("VOICEGAIN_BARE_PROXY_BIN", binaries.join("examples/bare-proxy")))
}

/// The other stacks are a workspace of their own too.
fn stacks() -> Outcome {
    run(cargo()
        .args(["test", "--locked", "--manifest-path", "examples/stacks/Cargo.toml"])
        .env("CARGO_TARGET_DIR", target_dir()?.join("stacks")))
}

fn differential(arguments: impl Iterator<Item = String>) -> Outcome {
    run(cargo()
        .args(["run", "--release", "--locked", "-p", "voicegain-auth-differential", "--"])
        .args(arguments))
}

/// In its own folder, where cargo finds what opens the doors it comes by.
fn fuzz(arguments: impl Iterator<Item = String>) -> Outcome {
    run(cargo()
        .current_dir(root().join("fuzz"))
        .args(["run", "--locked", "--"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", target_dir()?.join("fuzz")))
}

/// Reaches into the core by doors that nobody else has, and so is built by itself.
fn timing(arguments: impl Iterator<Item = String>) -> Outcome {
    run(of_the_bench("run")?
        .args(["--release", "--bin", "voicegain-auth-timing", "--"])
        .args(arguments)
        .env("RUSTFLAGS", "--cfg fuzzing")
        .env("CARGO_TARGET_DIR", target_dir()?.join("timing")))
}

fn test() -> Outcome {
    let root = root();
    heading("servers, and what building for them takes");
    servers::install()?;
    heading("the workspace, with the case table on every stack and every store on a real server");
    // Built along with their tests.
    let [gateway, gateway_actix] = gateway_binaries()?;
    run(cargo()
        .args(["test", "--locked", "--workspace", "--no-fail-fast"])
        .args(["--features", "voicegain-auth-store/postgres,voicegain-auth-store/etcd"])
        .args(["--features", GATEWAYS_WITH_ETCD])
        .env("VOICEGAIN_GATEWAY_BIN", &gateway)
        .env("VOICEGAIN_GATEWAY_ACTIX_BIN", &gateway_actix))?;
    heading("the libraries with all their features");
    // Each alone: what the one's features add would be counted in the other's tests.
    for library in ["voicegain-auth-core", "voicegain-auth-tower"] {
        run(cargo().args(["test", "--locked", "-p", library, "--all-features"]))?;
    }

    simulation(built(SIMULATION)?)?;
    chaos(|| built(CHAOS), "1")?;

    heading("a user's crate, with each choice of jsonwebtoken's crypto features");
    user_crate(&root)?;

    heading("the bench: that each contender does what it is measured for");
    run(of_the_bench("test")?.arg("--quiet"))?;

    heading("the published Python SDK");
    let python = python_with_sdk(&root)?;
    for binary in [&gateway, &gateway_actix] {
        run(Command::new(&python).arg(root.join("tests/python/sdk_conversation.py")).arg(binary))?;
    }

    heading("large bodies and rubbish");
    for binary in [&gateway, &gateway_actix] {
        run(Command::new(&python).arg(root.join("tests/python/endurance.py")).arg(binary))?;
    }

    heading("what did not run");
    let vectors =
        env::var_os("VOICEGAIN_AUTH_VECTORS").map_or_else(|| root.join("../shared/vectors"), PathBuf::from);
    if vectors.join("wycheproof_hs256.json").is_file() {
        println!("nothing but what a line above names as not run");
    } else {
        println!(
            "Wycheproof's JWS vectors: 40 cases not run, since {} is not there (set VOICEGAIN_AUTH_VECTORS)",
            vectors.display()
        );
    }
    Ok(())
}

/// Builds and runs a crate outside of the workspace that uses the core beside a jsonwebtoken of its own.
fn user_crate(root: &Path) -> Outcome {
    let manifest = root.join("tests/user-crate/Cargo.toml");
    let target = target_dir()?.join("user-crate");
    for features in ["", "rust_crypto", "aws_lc_rs", "rust_crypto,aws_lc_rs"] {
        run(cargo()
            .args(["run", "--quiet", "--locked", "--manifest-path"])
            .arg(&manifest)
            .args(["--no-default-features", "--features", features])
            .env("CARGO_TARGET_DIR", &target))?;
    }
    Ok(())
}

/// A Python of the project's own, with the SDK in it.
fn python_with_sdk(root: &Path) -> Result<PathBuf, String> {
    let environment = root.join(".test-env");
    let python = environment.join("bin/python");
    let marker = environment.join("installed");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == SDK) {
        return Ok(python);
    }
    println!("installing {SDK} into {}", environment.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment)).map_err(|problem| {
        format!(
            "{problem}\nPython 3 with its venv module is needed (on Debian: apt-get install python3-venv)"
        )
    })?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SDK]))?;
    fs::write(&marker, SDK).map_err(|error| format!("{}: {error}", marker.display()))?;
    Ok(python)
}

fn lint() -> Outcome {
    heading("what building with every feature takes");
    servers::install()?;
    heading("formatting");
    run(cargo().args(["fmt", "--all", "--check"]))?;
    for workspace in ["bench", "examples/stacks", "fuzz", "wire"] {
        let manifest = format!("{workspace}/Cargo.toml");
        run(cargo().args(["fmt", "--all", "--manifest-path", &manifest, "--check"]))?;
    }
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
    run(of_the_bench("clippy")?.args(["--all-targets", "--", "-D", "warnings"]))?;
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
    heading("licences, duplicates and sources");
    deny()
}

/// A program for cargo, installed into a folder of the project's own if it is not there.
fn tool(name: &str) -> Result<PathBuf, String> {
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

fn deny() -> Outcome {
    let program = tool("cargo-deny")?;
    // It reads the manifests of all dependencies, those of other systems too.
    run(cargo().args(["fetch", "--locked"]))?;
    run(Command::new(program).current_dir(root()).args(["--offline", "check", "bans", "licenses", "sources"]))
}

/// Changes the code in one place at a time, as `.cargo/mutants.toml` says, and sees whether a test notices.
fn mutants(arguments: impl Iterator<Item = String>) -> Outcome {
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
        .env("CARGO_PROFILE_DEV_DEBUG", "0"))
}
