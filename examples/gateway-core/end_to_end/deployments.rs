//! A cloud and an Edge beside it: separate deployments, of which one lists the other and neither takes the other's tokens.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{BINARY, Gateway, call, failure, without_variables};

const EDGE: &[&str] = &[
    "--base-path",
    "/ascalon-web-api",
    "--api-url",
    "https://edge.example/ascalon-web-api",
    "--max-revocation-delay",
    "2500ms",
    "--deployment-name",
    "Berlin",
    "--console-url",
    "https://console.edge.example/console",
];

#[test]
fn a_deployment_says_how_it_is_set_up_to_whoever_asks() {
    let gateway = Gateway::start(EDGE);
    let answer = call(gateway.admin, "GET", "/deployment", &[], b"");
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap(),
        json!({
            "name": "Berlin",
            "version": env!("CARGO_PKG_VERSION"),
            "status": "ready",
            "configuration": {
                "basePath": "/ascalon-web-api",
                "apiUrl": "https://edge.example/ascalon-web-api",
                "maxRevocationDelaySeconds": 2.5,
                "store": "memory",
            },
            "consoleUrl": "https://console.edge.example/console",
        })
    );
}

#[test]
fn a_token_of_another_deployment_is_refused_and_explained() {
    let edge = Gateway::start(EDGE);
    let directory = tempfile::TempDir::new().unwrap();
    let store = format!("sqlite://{}", directory.path().join("store.db").display());
    let cloud = Gateway::with_store(&store, &[]);
    let ((_, of_edge), (_, of_cloud)) = (edge.create(), cloud.create());
    for (gateway, path, token, status) in [
        (&edge, "/ascalon-web-api/x", &of_edge, 200),
        (&cloud, "/v1/x", &of_cloud, 200),
        (&edge, "/ascalon-web-api/x", &of_cloud, 401),
        (&cloud, "/v1/x", &of_edge, 401),
    ] {
        assert_eq!(gateway.get(path, token, &[]).status, status, "{path}");
    }
    // A client is told the same as of any token that is none (rule V5).
    let foreign = cloud.get("/v1/x", &of_edge, &[]);
    let (_, replaced) = cloud.create();
    let mut damaged = replaced.clone();
    let last = damaged.pop().unwrap();
    damaged.insert_str(damaged.rfind('.').unwrap() + 1, if last == 'A' { "B" } else { "A" });
    assert_eq!(foreign.body, cloud.get("/v1/x", &damaged, &[]).body);

    let list = format!("berlin=http://{}", edge.admin);
    let mut command = Command::new(BINARY);
    let mut process = without_variables(&mut command)
        .args(["explain", "--store", &store, "--edge", &list, "--edge", "down=http://127.0.0.1:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(of_edge.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        "none of this id",
        "Not verified",
        "the API https://edge.example/ascalon-web-api, and this deployment's is https://api.voicegain.ai/v1.",
        "That is the API of Edge berlin,",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains(&of_edge), "{said}");
}

#[test]
fn an_edge_that_cannot_be_one_is_said_at_the_start() {
    for (args, said) in [
        (["--edge", "https://user:hush@edge.example"], "--edge: write a name, ="),
        (["--edge", "berlin=https://user:hush@edge.example"], "--edge berlin: write a URL"),
        (["--console-url", "https://user:hush@console.example"], "--console-url: write a URL"),
        (["--deployment-name", ""], "--deployment-name: a name has"),
    ] {
        let text = failure(&[&["--store", "memory:"] as &[_], &args].concat());
        assert!(text.contains(said), "{args:?}: {text}");
    }
}
