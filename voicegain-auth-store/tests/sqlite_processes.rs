//! What a store in a SQLite file has to bear from several processes and from the system under it.
//!
//! This is a program of its own rather than a set of `#[test]` functions: it starts itself again as the other
//! process, and a case that this system does not allow is reported as "not run", with the reason, instead of
//! passing silently.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

#[cfg(unix)]
mod processes;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    processes::main()
}

#[cfg(not(unix))]
fn main() {
    println!("test sqlite_processes ... not run: it needs a Unix system");
}
