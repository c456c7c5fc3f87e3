//! The tests that both gateways pass, and what only this one can do.

use std::io::{Read as _, Write as _};

const BINARY: &str = env!("CARGO_BIN_EXE_voicegain-gateway");

#[path = "end_to_end/grpc.rs"]
mod grpc;
#[path = "../../gateway-core/end_to_end/mod.rs"]
mod shared;
#[path = "end_to_end/tracing.rs"]
mod tracing;

use shared::tls::Authority;
use shared::{Gateway, connect, head, read_head};

/// A client that waits for `100 Continue` gets it only once its body is wanted.
#[test]
fn v9_continue_is_withheld_until_the_decision() {
    let gateway = Gateway::start(&[]);
    let (_, token) = gateway.create();
    for (token, interim) in [(token.as_str(), true), ("wrong", false)] {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("expect", "100-continue"),
            ("content-length", "5"),
            ("connection", "close"),
        ];
        let mut client = connect(gateway.api);
        client.write_all(head("POST", "/v1/x", &headers).as_bytes()).unwrap();
        let first = read_head(&mut client);
        if interim {
            assert!(first.starts_with("http/1.1 100"), "{first}");
            client.write_all(b"12345").unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"bodyBytes\":5"), "{answer}");
        } else {
            assert!(first.starts_with("http/1.1 401"), "{first}");
        }
    }
}

#[test]
fn http2_over_tls_is_agreed_on() {
    let authority = Authority::new();
    let gateway = authority.gateway(&[]);
    assert_eq!(authority.protocol(gateway.api, None), "h2");
}
