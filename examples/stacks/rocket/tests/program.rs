//! The example's program, started as a user would.

use stacks_programs::{Address, HELLO, check};

#[rocket::async_test]
async fn does_what_the_readme_says() {
    check("Rocket", env!("CARGO_BIN_EXE_rocket-app"), &HELLO, Address::Port("ROCKET_PORT")).await;
}
