//! The tests that both gateways pass.

const BINARY: &str = env!("CARGO_BIN_EXE_voicegain-gateway-actix");

#[path = "../../gateway-core/end_to_end/mod.rs"]
mod shared;
