//! Paths that an upstream may read differently. What is passed on is what was sent, to the byte, and it stays where the
//! token is good by every reading that we can think of.

use std::time::Duration;

use conformance::http1::{self, Answer};

use crate::http2::{self, block, pair};
use crate::judge::decoded;
use crate::upstream::Arrived;

use super::case::describe;
use super::requests::{fields, frames};
use super::{Attack, Family, Outcome, Stage};

mod readings;

const PATHS: [&str; 86] = [
    "/v1/data-prep",
    "/v1/data-prep/",
    "/v1/data-prep/x",
    "/v1/data-prep/x?y=/../../z",
    "/v1/data-prep?x",
    "/v1/%64ata-prep/x",
    "/v1/data%2Dprep/x",
    "/%76%31/data-prep/x",
    "/v1/data-prepared",
    "/v1/data-pre",
    "/v1/DATA-PREP/x",
    "/V1/data-prep/x",
    "/v1/other",
    "/v1",
    "/v1/",
    "/",
    "/v10/data-prep",
    "/v1/data-prep/..",
    "/v1/data-prep/../other",
    "/v1/data-prep/../../other",
    "/v1/data-prep/./x",
    "/v1/data-prep/.",
    "/v1/data-prep/...",
    "/v1/data-prep/.../x",
    "/v1/data-prep/%2e%2e/other",
    "/v1/data-prep/%2E%2E/other",
    "/v1/data-prep/.%2e/other",
    "/v1/data-prep/%2e./other",
    "/v1/data-prep/%2e/x",
    "/v1/data-prep/%252e%252e/other",
    "/v1/data-prep/%25252e/other",
    "/v1/data-prep%2f..%2fother",
    "/v1/data-prep/..%2fother",
    "/v1/data-prep/%2fother",
    "/v1%2fdata-prep/x",
    "/v1/data-prep%252fx",
    "/v1/data-prep/..%5cother",
    "/v1/data-prep/%5c../other",
    "/v1/data-prep/..\\other",
    "/v1/data-prep\\..\\other",
    "\\v1\\data-prep",
    "/v1//data-prep/x",
    "//v1/data-prep/x",
    "/v1/data-prep//x",
    "/v1/data-prep//../other",
    "/v1/data-prep///",
    "/v1/data-prep/..;/other",
    "/v1/data-prep/..;x=y/other",
    "/v1/data-prep/.;/x",
    "/v1/data-prep/;/../other",
    "/v1/data-prep;/x",
    "/v1/data-prep;x=y/x",
    "/v1/data-prep/x;y=z",
    "/v1;x/data-prep/x",
    "/v1/data-prep/;..",
    "/v1/data-prep/%3b/x",
    "/v1/data-prep/..%3b/other",
    "/v1/other;/data-prep",
    "/v1/data-prep/x#/../other",
    "/v1/other#/data-prep",
    "/v1/data-prep/%23/../other",
    "/v1/data-prep%23/x",
    "/v1/other?/data-prep/",
    "/v1/other?path=/v1/data-prep/x",
    "/v1/data-prep%3f/x",
    "/v1/data-prep/x%3f/../../other",
    "/v1/data-prep/%00",
    "/v1/data-prep%00/x",
    "/v1/data-prep/..%00/other",
    "/v1/data-prep/%0d%0aX:%20y",
    "/v1/data-prep/%09",
    "/v1/data-prep/%20",
    "/v1/data-prep/%c0%ae%c0%ae/other",
    "/v1/data-prep/..%c0%afother",
    "/v1/data-prep/%e0%80%ae%e0%80%ae/other",
    "/v1/data-prep/%c1%9c../other",
    "/v1/data-prep/%ef%bc%8e%ef%bc%8e/other",
    "/v1/data-prep/%u002e%u002e/other",
    "/v1/data-prep/%",
    "/v1/data-prep/%2",
    "/v1/data-prep/%zz/x",
    "/v1/data-prep/%ff",
    "/v1/data-prep/caf%C3%A9",
    "/v1/data-prep/{x}|^\"<>`",
    "/v1/data-prep?\u{e9}",
    "/v1/data-prep?x=%zz&y=\\..",
];

/// These are read in one way alone, and good with either token.
const PLAIN: [&str; 5] =
    ["/v1/data-prep", "/v1/data-prep/", "/v1/data-prep/x", "/v1/data%2Dprep/x", "/v1/data-prep/caf%C3%A9"];

pub(super) fn attacks() -> Vec<Attack> {
    let long = [
        format!("/v1/data-prep/{}", "x".repeat(20_000)),
        format!("/v1/data-prep{}", "/x".repeat(10_000)),
        format!("/v1/data-prep/{}other", "../".repeat(5_000)),
        format!("/v1/data-prep/{}", "%2e".repeat(5_000)),
        "/v1/data-prep/\u{e9}".to_owned(),
    ];
    let paths = PATHS.iter().map(|path| (*path).to_owned()).chain(long);
    paths
        .map(|path| {
            let name = path.chars().take(60).collect::<String>();
            Attack::new(name, Family::Paths, move |stage| {
                let path = path.clone();
                Box::pin(async move { run(&path, stage).await })
            })
        })
        .collect()
}

/// Sends it in every form, with either token. A field of its own tells which is which.
async fn run(path: &str, stage: Stage<'_>) -> Outcome {
    let subject = stage.subject;
    let mut client = Vec::new();
    for (token, limited) in [(&subject.tokens.long, false), (&subject.tokens.limited, true)] {
        let mark = if limited { "limited" } else { "whole" };
        for start in ["", "http://gw.example"] {
            let request = format!(
                "GET {start}{path} HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {token}\r\nX-Try: {mark}\r\n\
                 Connection: close\r\n\r\n"
            );
            client.push(http1(subject.addr, &request, "GET").await);
        }
        let all = [fields(Some(token), "GET", path), block(&[pair("x-try", mark)])].concat();
        let ended = http2::exchange(subject.addr, &frames(1, &all), Duration::from_secs(8)).await;
        client.push(ended.describe());
    }
    let preflight = format!(
        "OPTIONS {path} HTTP/1.1\r\nHost: gw.example\r\nOrigin: https://a.example\r\n\
         Access-Control-Request-Method: PUT\r\nConnection: close\r\n\r\n"
    );
    let preflight = http1(subject.addr, &preflight, "OPTIONS").await;
    client.push(preflight.clone());

    let seen = stage.seen().await;
    let mut findings = seen.problems.clone();
    for arrived in seen.arrived.iter().chain(&seen.begun) {
        findings.extend(check(path, arrived));
    }
    let sent = if stage.http2 { 6 } else { 4 };
    if seen.total > sent || PLAIN.contains(&path) && seen.total < sent {
        findings.push(format!("{} requests arrived of {sent}", seen.total));
    }
    if is_refused(path) && (seen.total > 0 || !seen.begun.is_empty() || preflight.starts_with('2')) {
        findings.push("a form that rule P4 refuses".to_owned());
    }
    let sent = path.chars().take(120).collect();
    Outcome { sent, client: client.join(", "), upstream: describe(&seen), findings, ..Outcome::default() }
}

/// Whether rule P4 refuses the path with every token, and as a preflight: written from the rule's words once more.
fn is_refused(path: &str) -> bool {
    let raw = path.split(['?', '#']).next().unwrap_or_default();
    let Some(raw) = raw.strip_prefix('/') else { return true };
    raw.split('/').any(|segment| {
        // A broken escape keeps its `%`.
        let Ok(text) = String::from_utf8(decoded(segment.as_bytes())) else { return true };
        matches!(&*text, "." | "..")
            || text.starts_with(".;")
            || text.starts_with("..;")
            || text.chars().any(|character| "/\\%".contains(character) || character.is_control())
    })
}

fn check(path: &str, arrived: &Arrived) -> Option<String> {
    let head = &arrived.request.head;
    let limited = head.all("x-try").any(|mark| mark == b"limited");
    // A fragment is no part of a target, and is cut off before the decision.
    let before_fragment = path.split('#').next().unwrap_or_default();
    if head.method != "GET" || (head.target != path && head.target != before_fragment) {
        return Some(format!("another path: {} {}", head.method, head.target));
    }
    let expected = if limited { &[&b"/data-prep"[..]][..] } else { &[] };
    if head.all("x-voicegain-api-path").ne(expected.iter().copied()) {
        return Some(format!("X-Voicegain-Api-Path does not tell what the token is good for ({limited})"));
    }
    let within = if limited { "/v1/data-prep" } else { "/v1" };
    let elsewhere =
        readings::of(&head.target).into_iter().find(|reading| !readings::is_within(reading, within))?;
    Some(format!("{} may be read as {}, outside {within}", head.target, elsewhere.escape_ascii()))
}

async fn http1(addr: std::net::SocketAddr, request: &str, method: &str) -> String {
    match http1::exchange(addr, request.as_bytes(), method, b"").await {
        Ok(Answer::Response(response)) => response.status.to_string(),
        Ok(Answer::Closed(_)) => "closed".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rule_p4_refuses() {
        for path in
            PLAIN.iter().chain(&["/v1//data-prep/x", "/v1/...", "/v1/x;..", "/v1/?x=/../%", "/v1/%3b"])
        {
            assert!(!is_refused(path), "{path}");
        }
        let forms =
            ["x", "/.", "/a/..", "/%2E", "/.;", "/..;a", "/%2f", "/%5c", "/\\", "/%25", "/%00", "/%7f"];
        for path in forms.iter().chain(&["/%", "/%2", "/%zz", "/%+1", "/%ff", "/a/%c0%ae/b"]) {
            assert!(is_refused(path), "{path}");
        }
    }
}
