//! `cargo xtask test`: what mostly waits, for servers and for time to pass, and beside it what only computes.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::chores::{
    BROWSER_EXAMPLE, CHAOS, GATEWAYS_WITH_ALL, SIMULATION, WIRE, binary, built, chaos, each_gateway, fuzz,
    gateway_binaries, of_the_bench, simulation,
};
use crate::run::{Outcome, cargo, heading, root, run, target_dir};
use crate::servers;

/// The published SDK that the gateway must serve, unchanged, what looks at pages in a browser, and what holds the
/// OpenAPI documents against what is answered, and alert rules and dashboard against the metrics.
const PACKAGES: [&str; 6] = [
    "voicegain-speech==1.142.0",
    "playwright==1.65.2",
    "axe-playwright-python==0.1.8",
    "schemathesis==4.32.5",
    "PyYAML==6.0.4",
    "cryptography==50.0.2",
];

pub fn test() -> Outcome {
    heading("servers, and what building for them takes");
    servers::install()?;
    heading("building the tests of the workspace");
    run(tests_of_the_workspace().arg("--no-run"))?;
    // After that: it takes from what is built, and does not keep others from building.
    let aside = Aside::begin()?;
    let waited = what_waits();
    heading("what only computes: waiting for its end");
    // Whether or not the rest has failed, for all of it to be told.
    let computed = aside.end();
    what_did_not_run();
    waited.and(computed)
}

fn tests_of_the_workspace() -> Command {
    let mut command = cargo();
    command
        .args(["test", "--locked", "--workspace"])
        .args([
            "--features",
            "voicegain-auth-store/postgres,voicegain-auth-store/etcd,voicegain-auth-console/oidc",
        ])
        .args(["--features", GATEWAYS_WITH_ALL]);
    command
}

fn what_waits() -> Outcome {
    let root = root();
    heading("the workspace, with the case table on every stack and every store on a real server");
    // Built along with their tests.
    let [gateway, gateway_actix] = gateway_binaries()?;
    run(tests_of_the_workspace()
        .arg("--no-fail-fast")
        .env("VOICEGAIN_GATEWAY_BIN", &gateway)
        .env("VOICEGAIN_GATEWAY_ACTIX_BIN", &gateway_actix))?;
    simulation(built(SIMULATION)?)?;
    chaos(|| built(CHAOS), "1")?;

    heading("the published Python SDK");
    let python = python_with_packages(&root)?;
    for binary in [&gateway, &gateway_actix] {
        run(Command::new(&python).arg(root.join("tests/python/sdk_conversation.py")).arg(binary))?;
    }

    heading("large bodies and rubbish");
    for binary in [&gateway, &gateway_actix] {
        run(Command::new(&python).arg(root.join("tests/python/endurance.py")).arg(binary))?;
    }
    heading("the OpenAPI documents, held against what is answered");
    run(Command::new(&python).arg(root.join("tests/python/schema.py")).args([&gateway, &gateway_actix]))?;

    heading("restarts under load");
    run(Command::new(&python).arg(root.join("tests/python/restart.py")).args([&gateway, &gateway_actix]))?;

    heading("certificates replaced under load");
    run(Command::new(&python)
        .arg(root.join("tests/python/reload_certificate.py"))
        .args([&gateway, &gateway_actix]))?;

    heading("alert rules, dashboard and settings, against a gateway");
    run(Command::new(&python).arg(root.join("tests/python/deployment.py")).arg(&gateway))?;

    heading("the console, in a browser");
    run(Command::new(&python).arg(root.join("tests/browser/console.py")).arg(&gateway))?;
    run(Command::new(&python).arg(root.join("tests/browser/edges.py")).arg(&gateway))?;
    for binary in [&gateway, &gateway_actix] {
        run(Command::new(&python).arg(root.join("tests/browser/oidc.py")).arg(binary))?;
    }
    heading("a page and its API, in a browser");
    run(Command::new(&python)
        .arg(root.join("tests/browser/story.py"))
        .arg(&gateway)
        .arg(binary(BROWSER_EXAMPLE)?))?;

    heading("attacks on the gateways, byte by byte");
    run(built(WIRE)?.arg("--quick").args(each_gateway([gateway, gateway_actix])))
}

fn what_did_not_run() {
    heading("what did not run");
    let vectors =
        env::var_os("VOICEGAIN_AUTH_VECTORS").map_or_else(|| root().join("../shared/vectors"), PathBuf::from);
    if vectors.join("wycheproof_hs256.json").is_file() {
        println!("nothing but what a line above names as not run");
    } else {
        println!(
            "Wycheproof's JWS vectors: 40 cases not run, since {} is not there (set VOICEGAIN_AUTH_VECTORS)",
            vectors.display()
        );
    }
}

/// A Python of the project's own, with these packages in it.
fn python_with_packages(root: &Path) -> Result<PathBuf, String> {
    let environment = root.join(".test-env");
    let python = environment.join("bin/python");
    let marker = environment.join("installed");
    let packages = PACKAGES.join(" ");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == packages) {
        return Ok(python);
    }
    println!("installing {packages} into {}", environment.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment)).map_err(|problem| {
        format!(
            "{problem}\nPython 3 with its venv module is needed (on Debian: apt-get install python3-venv)"
        )
    })?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PACKAGES))?;
    fs::write(&marker, packages).map_err(|error| format!("{}: {error}", marker.display()))?;
    Ok(python)
}

/// What only computes, in a process of its own, which takes the cores where the rest leaves them. What it prints is
/// kept until it has ended.
struct Aside {
    process: Child,
    printed: PathBuf,
}

impl Aside {
    fn begin() -> Result<Self, String> {
        let printed = target_dir()?.join("aside.log");
        let problem = |error: io::Error| format!("{}: {error}", printed.display());
        fs::create_dir_all(target_dir()?).map_err(problem)?;
        let out = File::create(&printed).map_err(problem)?;
        let errors = out.try_clone().map_err(problem)?;
        let xtask = env::current_exe().map_err(|error| error.to_string())?;
        println!("what only computes runs beside what follows, and prints into {}", printed.display());
        let process = Command::new("nice")
            .args(["-n", "19"])
            .arg(xtask)
            .arg("aside")
            .stdout(out)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("nice could not be started: {error}"))?;
        Ok(Self { process, printed })
    }

    fn end(mut self) -> Outcome {
        let status = self.process.wait().map_err(|error| error.to_string())?;
        let printed = fs::read(&self.printed).map_err(|error| error.to_string())?;
        println!("{}", String::from_utf8_lossy(&printed));
        if status.success() {
            Ok(())
        } else {
            Err(format!("what only computes failed ({status}), see above"))
        }
    }
}

/// `cargo xtask aside`.
pub fn aside() -> Outcome {
    heading("the core with a second opinion");
    // By itself: what the feature adds would be counted in the others' tests.
    run(cargo().args(["test", "--locked", "-p", "voicegain-auth-core", "--all-features"]))?;
    heading("a user's crate, with each choice of jsonwebtoken's crypto features");
    user_crate()?;
    heading("the bench: that each contender does what it is measured for");
    run(of_the_bench("test")?.arg("--quiet").env("CARGO_TARGET_DIR", target_dir()?))?;
    heading("ten minutes of fuzzing");
    // With the same dice, so that what it finds it finds again.
    fuzz(["--seconds-in-all", "600", "--seed", "1"].map(String::from).into_iter())
}

/// Builds and runs a crate outside of the workspace that uses the core beside a jsonwebtoken of its own.
fn user_crate() -> Outcome {
    let target = target_dir()?;
    for features in ["", "rust_crypto", "aws_lc_rs", "rust_crypto,aws_lc_rs"] {
        run(cargo()
            .args(["run", "--quiet", "--locked", "--manifest-path", "tests/user-crate/Cargo.toml"])
            .args(["--no-default-features", "--features", features])
            .env("CARGO_TARGET_DIR", &target))?;
    }
    Ok(())
}
