//! The example's program, started as a user would.

use stacks_programs::{Address, HELLO, check};

#[tokio::test]
async fn does_what_the_readme_says() {
    check("salvo", env!("CARGO_BIN_EXE_salvo-app"), &HELLO, Address::Argument).await;
}
