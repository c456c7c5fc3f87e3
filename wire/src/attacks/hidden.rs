//! What stands behind a request that was refused is its body, or a request of its own, and never both.

use crate::subject::Tokens;

use super::case::{Case, Expect, Passed, chunked, post};

/// What follows on the same connection.
const SECOND: &str = "GET /v1/second HTTP/1.1\r\nHost: gw.example\r\n{auth}\r\n";

pub(super) fn cases() -> Vec<Case> {
    let long = format!("X: {}\r\n", "x".repeat(40_000));
    // A request with a token, where a body is.
    let hidden = format!(
        "GET /v1/hidden HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {}\r\n\r\n",
        Tokens::new().long
    );
    let refusals: [(&str, &str, &str); 10] = [
        ("no token", "POST /v1/case HTTP/1.1\r\nHost: gw.example\r\n", ""),
        ("wrong token", "POST /v1/case HTTP/1.1\r\nHost: gw.example\r\n", "Authorization: Bearer a.b.c\r\n"),
        ("two tokens", "POST /v1/case HTTP/1.1\r\nHost: gw.example\r\n", "{auth}{auth}"),
        ("path", "POST /v1/../case HTTP/1.1\r\nHost: gw.example\r\n", "{auth}"),
        ("outside", "POST /other HTTP/1.1\r\nHost: gw.example\r\n", "{auth}"),
        ("method", "TRACE /v1/case HTTP/1.1\r\nHost: gw.example\r\n", "{auth}"),
        ("mint", "POST /v1/security/jwt HTTP/1.1\r\nHost: gw.example\r\n", "{auth}"),
        ("two hosts", "POST /v1/case HTTP/1.1\r\nHost: gw.example\r\nHost: evil\r\n", "{auth}"),
        (
            "preflight",
            "OPTIONS /v1/case HTTP/1.1\r\nHost: gw.example\r\n",
            "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n",
        ),
        ("head too large", "POST /v1/case HTTP/1.1\r\nHost: gw.example\r\n", &long),
    ];
    let second = || Expect::Either(vec![Passed::new("GET", "/v1/second", "")]);
    let mut cases = Vec::new();
    for (name, start, lines) in refusals {
        let length = format!("Content-Length: {}\r\n", hidden.len());
        let chunk = chunked(&hidden);
        for (framing, field, body) in
            [("CL", &*length, &hidden), ("TE", "Transfer-Encoding: chunked\r\n", &chunk)]
        {
            let case = |way: &str, expectation: &str, with: &str| {
                let head = format!("{start}{lines}{field}{expectation}\r\n{with}");
                Case::new(format!("behind a refusal: {name}, {framing}, {way}"), head, second())
            };
            cases.push(case("at once", "", &format!("{body}{SECOND}")));
            cases.push(case("later", "", "").then(body).then(SECOND));
            cases.push(case("100-continue", "Expect: 100-continue\r\n", "").then(body).then(SECOND));
        }
    }
    let two = |first: &str| vec![Passed::new("GET", first, ""), Passed::new("GET", "/v1/second", "")];
    let one = "GET /v1/first HTTP/1.1\r\nHost: gw.example\r\n{auth}\r\n";
    cases.push(Case::new("pipelined", format!("{one}{SECOND}"), Expect::Passed(two("/v1/first"))));
    let refused = "GET /v1/case HTTP/1.1\r\nHost: gw.example\r\n\r\n";
    cases.push(Case::new("pipelined behind a refusal", format!("{refused}{SECOND}"), second()));
    let bad = "GET /v1/case HTTP/1.1\r\nHost : gw.example\r\n\r\n";
    // What cannot be read has no end, so nothing can follow it.
    cases.push(
        Case::new("pipelined behind what is no HTTP", format!("{bad}{SECOND}"), Expect::Refused).closes(),
    );
    let text = "GET /v1/hidden HTTP/1.1\r\nHost: gw.example\r\n\r\n";
    let mut accepted = post(text);
    accepted.push(Passed::new("GET", "/v1/second", ""));
    let lines = format!("Content-Length: {}\r\n", text.len());
    let rest = format!("{text}{SECOND}");
    cases.push(Case::post("pipelined behind a body", &lines, rest, Expect::Passed(accepted)));
    cases
}
