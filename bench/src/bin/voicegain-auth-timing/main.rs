//! Whether what a refusal takes tells why: a statistical test in the manner of dudect.
//!
//! ```text
//! cargo xtask timing
//! ```
//!
//! `docs/timing.md` says what is measured and how to read what it prints.

#![deny(unsafe_code)]

#[cfg(fuzzing)]
mod clock;
#[cfg(fuzzing)]
#[allow(dead_code, reason = "the other bench uses all of it")]
#[path = "../../cpu.rs"]
mod cpu;
#[cfg(fuzzing)]
mod ground;
#[cfg(fuzzing)]
mod measure;
#[cfg(fuzzing)]
mod pairs;
#[cfg(any(fuzzing, test))]
#[cfg_attr(not(fuzzing), allow(dead_code, reason = "the tests use some of it"))]
mod random;
#[cfg(fuzzing)]
mod run;
#[cfg(any(fuzzing, test))]
#[cfg_attr(not(fuzzing), allow(dead_code, reason = "the tests use some of it"))]
mod statistics;
#[cfg(fuzzing)]
mod tokens;

#[cfg(fuzzing)]
fn main() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
    run::run()
}

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "The check is reached by doors that are not public: build this with RUSTFLAGS=\"--cfg fuzzing\"."
    );
    std::process::ExitCode::from(2)
}
