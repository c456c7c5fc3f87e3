//! Two answers to the question where a body ends: `Content-Length` and `Transfer-Encoding`.

use super::case::{Case, Expect, Passed, SMUGGLED, TARGET, chunked, post};

/// Lines that are `chunked` to some: whether they are by RFC 9112.
const CODINGS: [(&str, &str, bool); 23] = [
    ("plain", "Transfer-Encoding: chunked", true),
    ("upper case", "TRANSFER-ENCODING: CHUNKED", true),
    ("tab", "Transfer-Encoding:\tchunked", true),
    ("no space", "Transfer-Encoding:chunked", true),
    ("space behind", "Transfer-Encoding: chunked ", true),
    ("empty element", "Transfer-Encoding: chunked,", true),
    ("space before colon", "Transfer-Encoding : chunked", false),
    ("xchunked", "Transfer-Encoding: xchunked", false),
    ("chunked, identity", "Transfer-Encoding: chunked, identity", false),
    ("identity, chunked", "Transfer-Encoding: identity, chunked", false),
    ("identity", "Transfer-Encoding: identity", false),
    ("gzip, chunked", "Transfer-Encoding: gzip, chunked", false),
    ("chunked, chunked", "Transfer-Encoding: chunked, chunked", false),
    ("two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", false),
    ("identity in a second field", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", false),
    ("identity in a first field", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", false),
    ("folded", "Transfer-Encoding:\r\n chunked", false),
    ("folded behind", "X: y\r\n Transfer-Encoding: chunked", false),
    ("vertical tab", "Transfer-Encoding: \x0bchunked", false),
    ("NUL", "Transfer-Encoding: chunked\0", false),
    ("quoted", "Transfer-Encoding: \"chunked\"", false),
    ("parameter", "Transfer-Encoding: chunked;a=b", false),
    ("bare CR", "X: y\rTransfer-Encoding: chunked", false),
];

/// Refused, but with `chunked` last, so that the end of the body is known (RFC 9112, section 6.3).
const ENDED: [&str; 5] =
    ["identity, chunked", "gzip, chunked", "chunked, chunked", "two fields", "identity in a first field"];

const LENGTHS: [(&str, &str, Option<bool>); 20] = [
    ("5", "Content-Length: 5", Some(true)),
    ("two spaces", "Content-Length:  5", Some(true)),
    ("tab behind", "Content-Length: 5\t", Some(true)),
    ("two equal", "Content-Length: 5\r\nContent-Length: 5", None),
    ("5, 5", "Content-Length: 5, 5", None),
    ("zeros", "Content-Length: 0005", None),
    ("two different", "Content-Length: 5\r\nContent-Length: 6", Some(false)),
    ("5, 6", "Content-Length: 5, 6", Some(false)),
    ("+5", "Content-Length: +5", Some(false)),
    ("-5", "Content-Length: -5", Some(false)),
    ("0x5", "Content-Length: 0x5", Some(false)),
    ("5_0", "Content-Length: 5_0", Some(false)),
    ("5.0", "Content-Length: 5.0", Some(false)),
    ("5 5", "Content-Length: 5 5", Some(false)),
    ("5;a", "Content-Length: 5;a", Some(false)),
    ("empty", "Content-Length: ", Some(false)),
    ("2^64 + 5", "Content-Length: 18446744073709551621", Some(false)),
    ("vertical tab", "Content-Length: 5\x0b", Some(false)),
    ("space before colon", "Content-Length : 5", Some(false)),
    ("full width digit", "Content-Length: \u{ff15}", Some(false)),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let ended = format!("0\r\n\r\n{SMUGGLED}");
    let chunk = chunked(SMUGGLED);
    for (name, line, is_chunked) in CODINGS {
        // Without a length both readings end the body at once; what follows has no token.
        let alone = if is_chunked { Expect::Passed(post("")) } else { Expect::Refused };
        // An empty element is none, but who takes it for one does no harm.
        let alone =
            if matches!(name, "folded behind" | "empty element") { Expect::Either(post("")) } else { alone };
        let is_unclear = matches!(alone, Expect::Refused) && !ENDED.contains(&name);
        let case = Case::post(format!("TE {name}"), &format!("{line}\r\n"), &ended, alone);
        cases.push(if is_unclear { case.closes() } else { case });
        let beside = |body: &str| if is_chunked { Expect::Either(post(body)) } else { Expect::Refused };
        let mut both = |name: String, length: usize, rest: &str, expect: Expect| {
            for lines in [
                format!("Content-Length: {length}\r\n{line}\r\n"),
                format!("{line}\r\nContent-Length: {length}\r\n"),
            ] {
                let order = if lines.starts_with("Content") { "" } else { ", TE first" };
                let case = Case::post(format!("{name}{order}"), &lines, rest, expect.clone());
                cases.push(case.closes());
            }
        };
        if name == "folded behind" {
            // To whoever unfolds it there is one length and no coding.
            both(format!("CL.TE {name}"), ended.len(), &ended, Expect::Either(post(&ended)));
            continue;
        }
        both(format!("CL.TE {name}"), ended.len(), &ended, beside(""));
        let size_line = chunk.find("\r\n").unwrap_or_default() + 2;
        both(format!("TE.CL {name}"), size_line, &chunk, beside(SMUGGLED));
    }
    let body = format!("hello{SMUGGLED}");
    for (name, line, good) in LENGTHS {
        let expect = match good {
            Some(true) => Expect::Passed(post("hello")),
            Some(false) => Expect::Refused,
            None => Expect::Either(post("hello")),
        };
        let case = Case::post(format!("CL {name}"), &format!("{line}\r\n"), &body, expect);
        cases.push(if good == Some(false) { case.closes() } else { case });
    }
    let begun = Expect::Begun(Passed::new("POST", TARGET, "hello"));
    cases.push(Case::post("CL short, cut off", "Content-Length: 500\r\n", "hello", begun));
    cases.push(Case::post("no framing", "", SMUGGLED, Expect::Passed(post(""))));
    // These are ordinary fields, but some servers take them for the real ones.
    for (name, line) in [
        ("Content_Length", "Content_Length: 90"),
        ("Content.Length", "Content.Length: 90"),
        ("Transfer_Encoding", "Transfer_Encoding: chunked"),
    ] {
        cases.push(Case::post(name, &format!("{line}\r\n"), SMUGGLED, Expect::Either(post(""))));
    }
    let old = "HTTP/1.0\r\nHost: gw.example\r\n{auth}";
    for (name, lines) in [
        ("HTTP/1.0 TE", "Transfer-Encoding: chunked\r\n".to_owned()),
        ("HTTP/1.0 TE, kept alive", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n".to_owned()),
        ("HTTP/1.0 CL.TE", format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", ended.len())),
    ] {
        // RFC 9112: whoever gets a coding from HTTP/1.0 must treat the framing as faulty.
        let bytes = format!("POST /v1/case {old}{lines}\r\n{ended}");
        cases.push(Case::new(name, bytes, Expect::Refused).closes());
    }
    cases.push(Case::new(
        "GET with a body",
        format!(
            "GET /v1/case HTTP/1.1\r\nHost: gw.example\r\n{{auth}}Content-Length: {}\r\n\r\n{SMUGGLED}",
            SMUGGLED.len()
        ),
        Expect::Passed(vec![Passed::new("GET", "/v1/case", SMUGGLED)]),
    ));
    // Whose chunks are dropped or believed to be none leaves them for the next request.
    for method in ["GET", "DELETE", "OPTIONS"] {
        let head = format!(
            "{method} /v1/case HTTP/1.1\r\nHost: gw.example\r\n{{auth}}Transfer-Encoding: chunked\r\n\r\n"
        );
        let passed = Expect::Passed(vec![Passed::new(method, TARGET, SMUGGLED)]);
        cases.push(Case::new(format!("{method} with TE"), head, passed).then(&chunk));
    }
    // An answer to HEAD has no body, whatever length it tells.
    let head = |lines: &str| format!("HEAD {TARGET} HTTP/1.1\r\nHost: gw.example\r\n{lines}\r\n");
    let next = "GET /v1/next HTTP/1.1\r\nHost: gw.example\r\n{auth}\r\n";
    let passed = |body: &str| Passed::new("HEAD", TARGET, body);
    let behind = Passed::new("GET", "/v1/next", "");
    let both = Expect::Passed(vec![passed(""), behind.clone()]);
    cases.push(Case::new("HEAD", head("{auth}"), Expect::Passed(vec![passed("")])));
    cases.push(Case::new("HEAD, and a request behind it", head("{auth}") + next, both));
    let refused = Case::new(
        "HEAD that is refused, and a request behind it",
        head("") + next,
        Expect::Either(vec![behind]),
    );
    cases.push(refused);
    let lines = format!("Content-Length: {}\r\n{{auth}}", SMUGGLED.len());
    cases.push(Case::new(
        "HEAD with a body",
        head(&lines) + SMUGGLED,
        Expect::Passed(vec![passed(SMUGGLED)]),
    ));
    // Who is answered before the body has gone must not leave the rest of it for the next request.
    let long = "x".repeat(100_000) + SMUGGLED;
    let (start, rest) = long.split_at(1_000);
    let early = |name: &str, lines: &str, start: &str, expect: Expect| {
        let head = format!("POST /v1/early HTTP/1.1\r\nHost: gw.example\r\n{{auth}}{lines}\r\n{start}");
        Case::new(name, head, expect)
    };
    let length = format!("Content-Length: {}\r\n", long.len());
    let answered = |body: &str| Passed::new("POST", "/v1/early", body);
    let both = Expect::Either(vec![answered(&long), Passed::new("GET", "/v1/next", "")]);
    let chunk = format!("{:x}\r\n{start}\r\n", start.len());
    let chunks = format!("{:x}\r\n{rest}\r\n0\r\n\r\n{next}", rest.len());
    cases.extend([
        early("answered early", &length, start, both.clone()).then(rest.to_owned() + next),
        early("answered early, chunked", "Transfer-Encoding: chunked\r\n", &chunk, both).then(chunks),
        early("answered early, cut off", &length, start, Expect::Begun(answered(&long))),
    ]);
    let length = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", SMUGGLED.len());
    cases
        .push(Case::post("Expect: 100-continue", &length, "", Expect::Passed(post(SMUGGLED))).then(SMUGGLED));
    cases.push(Case::post(
        "Expect: something else",
        "Expect: 200-ok\r\nContent-Length: 5\r\n",
        "hello",
        Expect::Either(post("hello")),
    ));
    cases
}
