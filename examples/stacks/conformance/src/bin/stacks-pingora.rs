//! The example's gateway, built here so that the test knows where it is.

fn main() -> std::process::ExitCode {
    pingora_gateway::main()
}
