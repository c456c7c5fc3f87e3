//! The example's program, started as a user would: with an upstream, and a web config made on its admin port.

use std::path::Path;

use conformance::stack::{NewWebConfig, Stack as _, Variant};
use conformance::stacks::gateway::{DIED, GatewayProcess};
use stacks_programs::{Call, compare, row};

const HELLO: Call = Call { method: "GET", path: "/v1/hello", lines: &[], body: b"", answer: "ok" };

#[tokio::test]
async fn does_what_the_readme_says() {
    let program = GatewayProcess::new("pingora", Path::new(env!("CARGO_BIN_EXE_pingora-gateway")), &[], true);
    let running = program.start(Variant::Upstream).await.unwrap();
    let config = NewWebConfig {
        account_id: "my-account".to_owned(),
        context_id: "my-context".to_owned(),
        name: "example".to_owned(),
        ..NewWebConfig::default()
    };
    let token = running.admin.create(config).await.unwrap().jwt;
    let row = row("Pingora", running.addr, &HELLO, &token).await;
    let log = running.guard.stop().await;
    assert!(!log.ends_with(DIED.as_bytes()), "{}", String::from_utf8_lossy(&log));
    compare(&row);
}
