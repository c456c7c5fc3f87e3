//! Upgrades: only a WebSocket, and only once the upstream has agreed (rule V10).

use super::case::{Case, Expect, Passed, SMUGGLED, get};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
/// A request with a token: it may be read as a request of its own, and as nothing else.
const NEXT: &str = "GET /v1/next HTTP/1.1\r\nHost: gw.example\r\n{auth}\r\n";

fn handshake(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: gw.example\r\n{lines}{UPGRADE}{KEY}{VERSION}\r\n")
}

pub(super) fn cases() -> Vec<Case> {
    let to = |target: &str| vec![Passed::new("GET", target, "")];
    let with_next = |target: &str| vec![Passed::new("GET", target, ""), Passed::new("GET", "/v1/next", "")];
    let plain = |name: &str, lines: String| Case::get(name, lines, Expect::Passed(get()));
    let both = format!("{KEY}{VERSION}");
    let mut cases = vec![
        plain(
            "h2c",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n".into(),
        ),
        plain("websocket, h2c", format!("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n{both}")),
        plain(
            "h2c and websocket",
            format!("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n{both}"),
        ),
        plain("upgrade to foo", "Connection: Upgrade\r\nUpgrade: foo\r\n".into()),
        plain("upgrade to TLS/1.0", "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n".into()),
        plain("handshake without a key", format!("{UPGRADE}{VERSION}")),
        plain("handshake with two keys", format!("{UPGRADE}{VERSION}{KEY}{KEY}")),
        plain("handshake with a short key", format!("{UPGRADE}{VERSION}Sec-WebSocket-Key: c2hvcnQ=\r\n")),
        plain("handshake of version 8", format!("{UPGRADE}{KEY}Sec-WebSocket-Version: 8\r\n")),
        plain("handshake without Connection", format!("Upgrade: websocket\r\n{both}")),
        plain("Connection without Upgrade", format!("Connection: upgrade\r\n{both}")),
        Case::new("tunnel", handshake("/v1/ws", "{auth}"), Expect::Passed(to("/v1/ws")))
            .then("ping")
            .tunnels("ping"),
        Case::new(
            "bytes before the 101",
            handshake("/v1/ws-late", "{auth}") + NEXT,
            Expect::Passed(to("/v1/ws-late")),
        ),
        Case::new(
            "bytes while the 101 is late",
            handshake("/v1/ws-late", "{auth}"),
            Expect::Passed(to("/v1/ws-late")),
        )
        .then(NEXT),
        Case::new("no 101", handshake("/v1/ws-no", "{auth}"), Expect::Passed(to("/v1/ws-no"))).then(SMUGGLED),
        Case::new(
            "no 101, bytes at once",
            handshake("/v1/ws-no", "{auth}") + NEXT,
            Expect::Either(with_next("/v1/ws-no")),
        ),
        Case::new("refused handshake", handshake("/v1/ws", "") + SMUGGLED, Expect::Refused),
        Case::new("refused handshake, bytes later", handshake("/v1/ws", ""), Expect::Refused).then(SMUGGLED),
    ];
    // The upstream's fault: nothing of success may come of it, and nothing may go through.
    for (name, request) in [
        ("101 with a wrong accept", handshake("/v1/ws-wrong", "{auth}")),
        (
            "101 that was not asked for",
            "GET /v1/uninvited HTTP/1.1\r\nHost: gw.example\r\n{auth}\r\n".to_owned(),
        ),
    ] {
        let target = if request.contains("ws-wrong") { "/v1/ws-wrong" } else { "/v1/uninvited" };
        cases.push(Case::new(name, &request, Expect::Failed(to(target))).then(SMUGGLED));
        cases.push(Case::new(
            format!("{name}, bytes at once"),
            request + SMUGGLED,
            Expect::Failed(to(target)),
        ));
    }
    let body = "Content-Length: 4\r\n{auth}".to_owned();
    cases.push(Case::new(
        "handshake with a body",
        handshake("/v1/ws", &body) + "ping",
        Expect::Either(vec![Passed::new("GET", "/v1/ws", "ping")]),
    ));
    let coded = "Transfer-Encoding: chunked\r\n{auth}";
    cases.push(Case::new(
        "handshake with TE",
        handshake("/v1/ws", coded) + "0\r\n\r\n" + SMUGGLED,
        Expect::Either(vec![Passed::new("GET", "/v1/ws", "")]),
    ));
    let old = handshake("/v1/ws", "{auth}").replace("HTTP/1.1", "HTTP/1.0");
    cases.push(Case::new("handshake of HTTP/1.0", old + SMUGGLED, Expect::Either(to("/v1/ws"))));
    let posted = handshake("/v1/ws", "{auth}").replacen("GET", "POST", 1);
    cases.push(Case::new(
        "handshake by POST",
        posted + SMUGGLED,
        Expect::Either(vec![Passed::new("POST", "/v1/ws", "")]),
    ));
    let absolute = handshake("http://gw.example/v1/ws", "{auth}");
    cases.push(Case::new("handshake in absolute form", absolute, Expect::Either(to("/v1/ws"))));
    cases
}
