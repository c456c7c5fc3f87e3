//! What there is to be run. A crate of its own, so that running needs nothing of what is run.

pub mod packed;

/// A fuzz target.
pub struct Target {
    /// The name of its program, its corpus and its dictionary.
    pub name: &'static str,
    /// The longest input that is worth trying.
    pub max_len: usize,
}

/// All of them.
pub const TARGETS: [Target; 12] = [
    Target { name: "token", max_len: 8_300 },
    Target { name: "claims", max_len: 1_024 },
    Target { name: "origin", max_len: 300 },
    Target { name: "pattern", max_len: 400 },
    Target { name: "path", max_len: 256 },
    Target { name: "credentials", max_len: 512 },
    Target { name: "admin", max_len: 1_024 },
    Target { name: "mint", max_len: 512 },
    Target { name: "sealing", max_len: 512 },
    Target { name: "sqlite_row", max_len: 512 },
    Target { name: "sqlite_file", max_len: 256 },
    Target { name: "decision", max_len: 1_024 },
];
