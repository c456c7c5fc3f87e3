//! A gateway on Pingora that puts Voicegain's tokens in front of an API.
//!
//! ```text
//! cargo run -p pingora-gateway -- --upstream http://127.0.0.1:9000 --store memory:
//! ```
//!
//! It prints an admin token. A web config, and so a token to try it with, is made on the admin port, which has a page.

fn main() -> std::process::ExitCode {
    pingora_gateway::main()
}
