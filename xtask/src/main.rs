//! The project's chores: `cargo xtask test`, `cargo xtask lint`, `cargo xtask ci`, and their parts.
//!
//! No dependencies, so that it is there within seconds. What a chore needs beyond Rust, a C compiler and Python it
//! installs into folders of the project's own, and says so; where it cannot, it fails and says what to install.

mod chores;
mod lint;
mod release;
mod rooms;
mod run;
mod servers;
mod test;

use std::env;
use std::process::ExitCode;

use chores::{
    CHAOS, SIMULATION, bench, bench_gateway, chaos, differential, fuzz, gateways, mutants, planted_faults,
    program, simulation, stacks, timing, wire,
};
use lint::lint;
use run::tell_times;
use test::{aside, test};

const HELP: &str = "\
cargo xtask <chore>

  test         everything that is tested: the workspace, the case table on every stack, every store on a real
               server, the promise in simulation and under faults, the published Python SDK, the console
               and a page in a browser, attacks on the gateways, a user's crate with its own jsonwebtoken, the
               bench, and ten minutes of fuzzing
  aside        the part of it that only computes
  lint         formatting, lints, documentation, each feature alone, licences and sources
  oldest       the library crates with the oldest versions of what they depend on
  ci           test, then lint
  release      what has to hold before the crates are published: each built from what would be uploaded, and compared
               with the last release; installs cargo-semver-checks once there is one
  servers      installs the servers that tests start (PostgreSQL, etcd), protoc and a C++ compiler, where missing
  simulation   the promise in simulation: 100,000 schedules, the cache itself, and all interleavings
  faults       faults planted in the code one at a time, each of which the simulation must find
  chaos        three gateways on a real PostgreSQL and a real etcd under faults: one minute each, or as many as
               the number that follows says
  stacks       the case table on hyper, warp, salvo, tonic, poem, Rocket and Pingora, in a table; installs cmake
  differential  100,000 tokens judged by ours and by five other libraries, which it installs from PyPI and npm; what
               follows is for the program, such as --tokens 20000
  wire         both gateways attacked byte by byte, by floods and by crowds, before an upstream that reads strictly;
               what follows is for the program, such as --only framing
  fuzz         every door that strangers' bytes come through: 600 seconds shared by the targets, two at a time; what
               follows is for the program, such as --target origin
  mutants      the code changed in one place at a time, each of which a test must notice, over many hours; installs
               cargo-mutants and cargo-nextest; what follows is for cargo-mutants, such as --file '**/subject.rs'
  timing       whether what a refusal takes tells why; what follows is for the program, such as --samples 100000
  bench        what the layers and the verifier cost beside their peers, in tables; what follows is for the bench,
               --help says what there is
  bench-gateway  what its tokens cost the gateway and how fast it is, beside HAProxy and nginx, which it installs; what
               follows is for the bench
";

fn main() -> ExitCode {
    let chore = env::args().nth(1).unwrap_or_default();
    let minutes = env::args().nth(2).unwrap_or_else(|| "1".to_owned());
    let outcome = match chore.as_str() {
        "test" => test(),
        "aside" => aside(),
        "oldest" => lint::oldest_versions(),
        "lint" => lint(),
        "release" => release::release(),
        "ci" => test().and_then(|()| lint()),
        "servers" => servers::install(),
        "simulation" => simulation(program(SIMULATION)),
        "faults" => planted_faults(),
        "stacks" => servers::install_cmake().and_then(|()| stacks()),
        "differential" => differential(env::args().skip(2)),
        "fuzz" => fuzz(env::args().skip(2)),
        "wire" => wire(env::args().skip(2)),
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
    tell_times();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
