//! What the fuzz targets hold, as plain functions: each takes any bytes and panics if a rule does not hold for them. The
//! programs in `programs` give them to libFuzzer; the tests run them over the corpus.
//!
//! Nothing here looks at a system clock. See `docs/fuzzing.md` for what is remembered between two inputs.

pub mod allocations;
pub mod seeds;
pub mod targets;
pub mod world;

/// The check of a target.
pub fn check(name: &str) -> fn(&[u8]) {
    match name {
        "token" => targets::token::check,
        "claims" => targets::claims::check,
        "origin" => targets::origin::check,
        "pattern" => targets::pattern::check,
        "path" => targets::path::check,
        "credentials" => targets::credentials::check,
        "admin" => targets::admin::check,
        "mint" => targets::mint::check,
        "sealing" => targets::sealing::check,
        "sqlite_row" => targets::sqlite_row::check,
        "sqlite_file" => targets::sqlite_file::check,
        "decision" => targets::decision::check,
        other => panic!("there is no target {other}"),
    }
}
