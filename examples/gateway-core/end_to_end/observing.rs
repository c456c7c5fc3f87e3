//! How a request is found again: by its id, in what was counted, and with the reason why it was refused.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{BINARY, Gateway, call};

fn request_id(head: &str) -> &str {
    let line = head.lines().find_map(|line| line.strip_prefix("x-voicegain-request-id: "));
    line.unwrap_or_else(|| panic!("no request id: {head}"))
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = String::from_utf8(call(gateway.admin, "GET", "/metrics", &[], b"").body).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
}

#[test]
fn a_refusal_is_found_by_the_id_that_its_answer_has() {
    let gateway = Gateway::start(&[]);
    let (_, token) = gateway.create();
    let form = format!("token={}&next=", gateway.admin_token);
    let urlencoded = ("content-type", "application/x-www-form-urlencoded");
    let signed_in = call(gateway.admin, "POST", "/console/sign-in", &[urlencoded], form.as_bytes());
    let cookie =
        signed_in.head_as_sent.split_once("voicegain-console=").unwrap().1.split(';').next().unwrap();
    let cookie = format!("voicegain-console={cookie}");

    let forged = "0".repeat(32);
    let claims = [("x-voicegain-request-id", &*forged), ("origin", "https://page.example")];
    let mut ids = Vec::new();
    for (target, token, decided) in [
        ("/v1/x", &*token, "403 <code>origin_not_allowed"),
        ("/v1/x", "x", "401 <code>invalid_token"),
        ("/v1/../x", &token, "400 <code>invalid_request"),
        ("/elsewhere", &token, "404 <code>not_found"),
        ("/v1/security/jwt?aud=", &token, "403 <code>origin_not_allowed"),
    ] {
        let answer = gateway.get(target, token, &claims);
        let id = request_id(&answer.head).to_owned();
        let page = call(
            gateway.admin,
            "GET",
            &format!("/console/explain?request={id}"),
            &[("cookie", &*cookie)],
            b"",
        );
        let page = String::from_utf8(page.body).unwrap();
        assert!(page.contains(&format!("Refused: {decided}")), "{target}: {page}");
        assert!(!page.contains(token) || token == "x", "{page}");
        ids.push(id);
    }
    // Minting is refused behind the decision about the token.
    let minted = gateway.get("/v1/security/jwt?aud=https://a.example&expInSec=nothing", &token, &[]);
    assert_eq!(minted.reason(), "invalid_parameter");
    let id = request_id(&minted.head).to_owned();
    let page =
        call(gateway.admin, "GET", &format!("/console/explain?request={id}"), &[("cookie", &*cookie)], b"");
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains("<li class=\"failed\"><strong>What it may mint"), "{page}");
    ids.push(id);
    ids.push(forged);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 7, "each is called otherwise, and as no client says");

    let accepted = gateway.get("/v1/x", &token, &[("x-voicegain-request-id", "evil")]);
    assert_eq!(request_id(&accepted.head).len(), 32);
    let echo: Value = serde_json::from_slice(&accepted.body).unwrap();
    assert!(echo["headers"].get("x-voicegain-request-id").is_none(), "V8 has no such header: {echo}");
}

#[test]
fn what_was_decided_is_counted() {
    let gateway = Gateway::start(&[]);
    let (_, token) = gateway.create();
    for (target, token) in [("/v1/x", &*token), ("/v1/x", &token), ("/v1/x", "x"), ("/elsewhere", &token)] {
        gateway.get(target, token, &[]);
    }
    for (name, value) in [
        ("voicegain_auth_accepted_total", 2.0),
        (r#"voicegain_auth_refused_by_cause_total{reason="invalid_token",cause="malformed token"}"#, 1.0),
        (r#"voicegain_auth_refused_total{reason="not_found"}"#, 1.0),
        (r#"voicegain_auth_refused_total{reason="token_expired"}"#, 0.0),
        (r#"voicegain_gateway_request_duration_seconds_count{status="2xx"}"#, 2.0),
        (r#"voicegain_gateway_request_duration_seconds_count{status="4xx"}"#, 2.0),
        (r#"voicegain_auth_lookups_total{result="failed"}"#, 0.0),
    ] {
        assert_eq!(metric(&gateway, name), value, "{name}");
    }
    assert!(metric(&gateway, r#"voicegain_auth_proofs_total{result="proved"}"#) >= 1.0);
}

#[test]
fn lines_of_json_name_the_request_and_the_web_config() {
    // Free a moment ago, so nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let args = ["--log-format", "json", "--upstream", &format!("http://{nobody}")];
    let mut command = Command::new(BINARY);
    command.env("RUST_LOG", "debug");
    let gateway = Gateway::launch(command, "memory:", &args, Stdio::from(log.reopen().unwrap()));
    let (web_config, token) = gateway.create();
    let forged = format!("{token}x");
    let answers = [
        ("invalid_token", gateway.get("/v1/x", "no.such.token", &[])),
        ("invalid_token", gateway.get("/v1/x", &forged, &[])),
        ("upstream_unavailable", gateway.get("/v1/x", &token, &[])),
    ];
    drop(gateway);
    let text = std::fs::read_to_string(log.path()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{text}");
    let of = |id: &str| lines.iter().filter(|line| line["request"] == id).collect::<Vec<_>>();
    for (reason, answer) in &answers {
        assert_eq!(answer.reason(), *reason);
        let of_it = of(request_id(&answer.head));
        let refused = of_it.iter().find(|line| line["message"] == "refused");
        assert_eq!(refused.unwrap_or_else(|| panic!("{reason}: {text}"))["reason"], *reason);
    }
    assert!(of(request_id(&answers[0].1.head)).iter().any(|line| line["level"] == "DEBUG"), "{text}");
    let failed = of(request_id(&answers[2].1.head));
    assert!(failed.iter().all(|line| line["web_config"] == *web_config), "{text}");
    let cause =
        failed.iter().find_map(|line| line["cause"].as_str().filter(|cause| cause.contains("refused")));
    assert!(cause.is_some(), "{text}");
    for part in token.split('.').skip(1) {
        assert!(!text.contains(part), "a part of the token: {text}");
    }
}
