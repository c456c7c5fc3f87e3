//! Request lines, line ends, hosts, and header fields that are not what they look like.

use super::case::{Case, Expect, Passed, SMUGGLED, TARGET, chunked, get, post};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = line_ends();
    cases.extend(fields());
    cases.extend(hosts());
    cases.extend(request_lines());
    cases.extend(names());
    cases
}

fn either() -> Expect {
    Expect::Either(get())
}

fn line_ends() -> Vec<Case> {
    let lines = |end: &str| {
        let head = ["GET /v1/case HTTP/1.1", "Host: gw.example", "Authorization: Bearer {token}", "", ""];
        head.join(end)
    };
    let mixed = "GET /v1/case HTTP/1.1\r\nHost: gw.example\r\n{auth}\n";
    let mut cases = vec![
        Case::new("line ends LF", lines("\n") + SMUGGLED, either()),
        Case::new("line ends CR", lines("\r") + SMUGGLED, Expect::Refused),
        Case::new("line ends CR CR LF", lines("\r\r\n") + SMUGGLED, Expect::Refused),
        Case::new("head ended by LF", mixed.to_owned() + SMUGGLED, either()),
        Case::new("empty lines in front", format!("\r\n\r\n{}", lines("\r\n")), either()),
        Case::new("LF in front", format!("\n{}", lines("\r\n")), either()),
        Case::new("CR in front", format!("\r{}", lines("\r\n")), Expect::Refused),
    ];
    for (name, end) in [("LF", "\n"), ("CR", "\r"), ("NUL", "\0"), ("CR CR LF", "\r\r\n")] {
        let lines = format!("X: a{end}X-Voicegain-Account-Id: evil\r\n");
        cases.push(Case::get(&format!("identity behind {name}"), lines, either()));
    }
    cases.push(Case::get("identity in a folded line", "X: a\r\n X-Voicegain-Account-Id: evil\r\n", either()));
    cases.push(Case::get("identity behind a tab", "X: a\r\n\tX-Voicegain-Account-Id: evil\r\n", either()));
    cases
}

fn fields() -> Vec<Case> {
    let table: [(&str, &[u8], Expect); 17] = [
        ("NUL in a value", b"X: a\0b\r\n", Expect::Refused),
        ("NUL in a name", b"X\0Y: a\r\n", Expect::Refused),
        ("control in a value", b"X: a\x01b\r\n", Expect::Refused),
        ("DEL in a value", b"X: a\x7fb\r\n", Expect::Refused),
        ("control in a name", b"X\x01: a\r\n", Expect::Refused),
        ("space in a name", b"X Y: a\r\n", Expect::Refused),
        ("space before the colon", b"X : a\r\n", Expect::Refused),
        ("space before a name", b" X: a\r\n", either()),
        ("identity, space before the colon", b"X-Voicegain-Account-Id : evil\r\n", Expect::Refused),
        ("no name", b": a\r\n", Expect::Refused),
        ("no colon", b"nothing\r\n", Expect::Refused),
        ("bytes above ASCII in a value", b"X: caf\xe9\r\n", either()),
        ("bytes above ASCII in a name", b"X\xe9: a\r\n", Expect::Refused),
        ("slash in a name", b"X/Y: a\r\n", Expect::Refused),
        ("tab in a value", b"X: a\tb\r\n", either()),
        ("empty value", b"X:\r\n", either()),
        ("two Authorization", b"{auth}", Expect::Refused),
    ];
    let mut cases: Vec<_> =
        table.into_iter().map(|(name, lines, expect)| Case::get(name, lines, expect)).collect();
    let spaces = "GET /v1/case HTTP/1.1\r\nHost: gw.example\r\nAuthorization:  Bearer   {token}  \r\n\r\n";
    cases.push(Case::new("token behind two spaces", spaces, Expect::Passed(get())));
    cases
}

fn hosts() -> Vec<Case> {
    let with = |name: &str, target: &str, hosts: &str, expect: Expect| {
        Case::new(name, format!("GET {target} HTTP/1.1\r\n{hosts}{{auth}}\r\n"), expect)
    };
    let plain = "Host: gw.example\r\n";
    let passed = || Expect::Passed(get());
    let mut cases = vec![
        with("Host with a port", TARGET, "Host: gw.example:8080\r\n", passed()),
        with("Host twice, equal", TARGET, &plain.repeat(2), Expect::Refused),
        with("Host twice", TARGET, "Host: gw.example\r\nHost: evil\r\n", Expect::Refused),
        with("no Host", TARGET, "", Expect::Refused),
        with("absolute form", "http://gw.example/v1/case", plain, passed()),
        with("absolute form, https", "https://gw.example/v1/case", plain, either()),
        with("absolute form, other scheme", "ftp://gw.example/v1/case", plain, either()),
        with("absolute form, other Host", "http://evil/v1/case", plain, Expect::Refused),
        with("absolute form, no Host", "http://gw.example/v1/case", "", either()),
        with("absolute form, two Hosts", "http://gw.example/v1/case", &plain.repeat(2), Expect::Refused),
        with("absolute form, user", "http://a@gw.example/v1/case", plain, Expect::Refused),
        with("absolute form, no path", "http://gw.example", plain, Expect::Refused),
        with("absolute form, query alone", "http://gw.example?/v1/case", plain, Expect::Refused),
        with("absolute form, one slash", "http:/gw.example/v1/case", plain, Expect::Refused),
        with("two slashes", "//gw.example/v1/case", plain, Expect::Refused),
        with("authority form", "gw.example:80", plain, Expect::Refused),
        with("asterisk", "*", plain, Expect::Refused),
        with("no slash", "v1/case", plain, Expect::Refused),
    ];
    // A name may be percent-encoded and have commas (RFC 3986): the first reads differently to those who decode it, and
    // the second as two to those who join headers.
    for host in [
        "",
        "a@b",
        "gw.example evil",
        "a,b",
        "a, b",
        "a/b",
        "a?b",
        "a#b",
        "gw:80x",
        "gw:+80",
        "gw:-1",
        "gw:65536",
        "gw:80:80",
        "gw: 80",
        "[::1",
        "[::1]x",
        "[gw]",
        "a\\b",
        "%61",
        "gw\u{e9}",
    ] {
        let line = format!("Host: {host}\r\n");
        cases.push(with(&format!("Host `{host}`"), TARGET, &line, Expect::Refused));
    }
    // A port may be empty, as long as it is there.
    for host in ["gw:", "gw:0080", "my_gw", "[::1]:80"] {
        cases.push(with(&format!("Host `{host}`"), TARGET, &format!("Host: {host}\r\n"), passed()));
    }
    for authority in ["gw:80x", "gw:65536", "a,b"] {
        let (target, host) = (format!("http://{authority}/v1/case"), format!("Host: {authority}\r\n"));
        cases.push(with(&format!("absolute form `{authority}`"), &target, &host, Expect::Refused));
    }
    cases
}

fn request_lines() -> Vec<Case> {
    let rest = "\r\nHost: gw.example\r\n{auth}\r\n";
    let line = |name: &str, line: &str, expect: Expect| Case::new(name, format!("{line}{rest}"), expect);
    let other = |method: &str| Expect::Either(vec![Passed::new(method, TARGET, "")]);
    let mut cases = vec![
        line("two spaces", "GET  /v1/case HTTP/1.1", either()),
        line("tabs", "GET\t/v1/case\tHTTP/1.1", Expect::Refused),
        line("vertical tab", "GET\x0b/v1/case HTTP/1.1", Expect::Refused),
        line("space behind", "GET /v1/case HTTP/1.1 ", either()),
        line("space in front", " GET /v1/case HTTP/1.1", Expect::Refused),
        line("space in the target", "GET /v1/case /v1/other HTTP/1.1", Expect::Refused),
        line("two versions", "GET /v1/case HTTP/1.1 HTTP/1.1", Expect::Refused),
        line("HTTP/1.2", "GET /v1/case HTTP/1.2", either()),
        line("HTTP/2.0", "GET /v1/case HTTP/2.0", Expect::Refused),
        line("HTTP/1.10", "GET /v1/case HTTP/1.10", Expect::Refused),
        line("http/1.1", "GET /v1/case http/1.1", Expect::Refused),
        line("no version", "GET /v1/case", Expect::Refused),
        line("HTTP/1.0", "GET /v1/case HTTP/1.0", either()),
        line("no method", "/v1/case HTTP/1.1", Expect::Refused),
        line("lower case", "get /v1/case HTTP/1.1", Expect::Refused),
        line("mixed case", "Get /v1/case HTTP/1.1", Expect::Refused),
        line("lower case trace", "trace /v1/case HTTP/1.1", Expect::Refused),
        line("lower case connect", "connect /v1/case HTTP/1.1", Expect::Refused),
        line("lower case patch, as browsers send it", "patch /v1/case HTTP/1.1", other("patch")),
        line("method of its own", "PURGE /v1/case HTTP/1.1", other("PURGE")),
        line("method of its own, lower case", "purge /v1/case HTTP/1.1", other("purge")),
        line("method with a bracket", "GE(T /v1/case HTTP/1.1", Expect::Refused),
        line("TRACE", "TRACE /v1/case HTTP/1.1", Expect::Refused),
        line("CONNECT", "CONNECT gw.example:80 HTTP/1.1", Expect::Refused),
        line("CONNECT with a path", "CONNECT /v1/case HTTP/1.1", Expect::Refused),
        line("PRI", "PRI * HTTP/1.1", Expect::Refused),
    ];
    let long = "M".repeat(20_000);
    cases.push(line("method of 20,000 letters", &format!("{long} /v1/case HTTP/1.1"), other(&long)));
    for (name, path) in [
        ("Latin-1", &b"/v1/caf\xe9"[..]),
        ("Latin-1 in the query", b"/v1/case?caf\xe9"),
        ("overlong UTF-8", b"/v1/\xc0\xae\xc0\xae/x"),
        ("a surrogate", b"/v1/\xed\xa0\x80"),
        ("DEL", b"/v1/case\x7f"),
    ] {
        let request = [b"GET ", path, b" HTTP/1.1", rest.as_bytes()].concat();
        cases.push(Case::new(format!("target with {name}"), request, Expect::Refused));
    }
    cases.push(Case::new("HTTP/0.9", "GET /v1/case\r\n", Expect::Refused));
    cases.push(Case::new("HTTP/0.9 twice", "GET /v1/case\r\n\r\nGET /v1/case\r\n\r\n", Expect::Refused));
    cases
}

/// Names that some servers take for others, and `Connection` that names what is not its own.
fn names() -> Vec<Case> {
    let passed = || Expect::Passed(get());
    let identity = [
        "X-Voicegain-Account-Id: evil",
        "X-VOICEGAIN-ACCOUNT-ID: evil",
        "X_Voicegain_Account_Id: evil",
        "X.Voicegain.Account.Id: evil",
        "X-Voicegain_Account.Id: evil",
        "X-Voicegain-New: evil",
        "X-Voicegain-: evil",
        "X-Voicegain-Account-Id: evil\r\nX-Voicegain-Account-Id: acct-beta",
        "X-Voicegain-Api-Path: /",
        "X-Voicegain-Token-Expires: 1",
        "Connection: X-Voicegain-Account-Id",
        "Connection: X-Voicegain-Account-Id\r\nX-Voicegain-Account-Id: evil",
        "Connection: keep-alive\r\nConnection: x-voicegain-token-kind, x-voicegain-context-id",
        "Connection: authorization, host",
        "Connection: host",
        "Connection: x-forwarded-for, via, x-forwarded-host",
        "Connection: connection",
        "Connection: ,,",
        "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https",
        "X_Forwarded_For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Real-Ip: 1.1.1.1",
        "X-Original-Url: /v1/other\r\nX-Rewrite-Url: /v1/other",
        "X-Envoy-Original-Path: /v1/other\r\nX_Original_Path: /v1/other",
        "Keep-Alive: timeout=1\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==",
        "TE: gzip, trailers",
        "TE: gzip",
        "Http2-Settings: AAMAAABk",
        "Cookie: a=b\r\nCookie: c=d",
    ];
    let mut cases: Vec<_> =
        identity.into_iter().map(|line| Case::get(line, format!("{line}\r\n"), passed())).collect();
    // Who takes out what frames the body reads it as the next request.
    let length = format!("Connection: content-length\r\nContent-Length: {}\r\n", SMUGGLED.len());
    cases.push(Case::post("Connection: content-length", &length, SMUGGLED, Expect::Passed(post(SMUGGLED))));
    let coding = "Connection: close, transfer-encoding\r\nTransfer-Encoding: chunked\r\n";
    let passed = Expect::Passed(post(SMUGGLED));
    cases.push(Case::post("Connection: transfer-encoding", coding, chunked(SMUGGLED), passed));
    cases
}
