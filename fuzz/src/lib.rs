//! What the fuzz targets hold, as plain functions: each takes any bytes and panics if a rule does not hold for them. The
//! programs in `fuzz_targets` give them to libFuzzer; the tests run them over the corpus.
//!
//! Nothing here looks at a system clock. See `docs/fuzzing.md` for what is remembered between two inputs.

pub mod allocations;
pub mod packed;
pub mod seeds;
pub mod targets;
pub mod world;

/// A fuzz target.
pub struct Target {
    /// The name of its program, its corpus and its dictionary.
    pub name: &'static str,
    /// Panics if a rule does not hold.
    pub check: fn(&[u8]),
    /// The longest input that is worth trying.
    pub max_len: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "token", check: targets::token::check, max_len: 8_300 },
    Target { name: "claims", check: targets::claims::check, max_len: 1_024 },
    Target { name: "origin", check: targets::origin::check, max_len: 300 },
    Target { name: "pattern", check: targets::pattern::check, max_len: 400 },
    Target { name: "path", check: targets::path::check, max_len: 256 },
    Target { name: "credentials", check: targets::credentials::check, max_len: 512 },
    Target { name: "admin", check: targets::admin::check, max_len: 1_024 },
    Target { name: "mint", check: targets::mint::check, max_len: 512 },
    Target { name: "sealing", check: targets::sealing::check, max_len: 512 },
    Target { name: "sqlite_row", check: targets::sqlite_row::check, max_len: 512 },
    Target { name: "sqlite_file", check: targets::sqlite_file::check, max_len: 256 },
    Target { name: "decision", check: targets::decision::check, max_len: 1_024 },
];
