//! Starts an example's program as a user would, calls it, and compares what came with its row in the README.

mod call;
mod program;

pub use call::{Call, HELLO, row};
pub use program::{Address, Program};

/// Starts the program, makes the calls and stops it.
///
/// # Panics
/// Unless all was as the README says of this stack.
pub async fn check(stack: &str, binary: &str, call: &Call, address: Address) {
    let program = Program::start(binary, address).await;
    let row = row(stack, program.addr, call, &program.token).await;
    program.stop().await;
    compare(&row);
}

/// Looks for a row of the README.
///
/// # Panics
/// If it is not there.
pub fn compare(row: &str) {
    let readme = include_str!("../../README.md");
    assert!(readme.lines().any(|line| line == row), "README.md does not say what came:\n{row}");
}
