//! Takes the source of core's freshness machine, so that it can be included.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const MACHINE: &str = "../voicegain-auth-core/src/freshness.rs";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={MACHINE}");
    let source = fs::read_to_string(MACHINE)?;
    let without_tests = source.replace("#[cfg(test)]\nmod tests;\n", "");
    let lines = without_tests
        .lines()
        .map(|line| line.strip_prefix("//!").map_or(line.to_owned(), |docs| format!("//{docs}")));
    let out = env::var_os("OUT_DIR").ok_or("cargo sets it")?;
    fs::write(Path::new(&out).join("freshness.rs"), lines.collect::<Vec<_>>().join("\n"))?;
    Ok(())
}
