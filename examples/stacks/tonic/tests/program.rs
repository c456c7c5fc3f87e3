//! The example's program, started as a user would.

use stacks_programs::{Address, Call, check};

/// As a page's gRPC-Web client calls.
const HELLO: Call = Call {
    method: "POST",
    path: "/example.Talk/Hello",
    lines: &["Content-Type: application/grpc-web+proto", "X-Grpc-Web: 1"],
    // An empty message.
    body: b"\0\0\0\0\0",
    answer: "my-account says ",
};

#[tokio::test]
async fn does_what_the_readme_says() {
    check("tonic", env!("CARGO_BIN_EXE_tonic-app"), &HELLO, Address::Argument).await;
}
