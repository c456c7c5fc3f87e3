use crate::http2::{Pair, pair};

use super::super::case::{Passed, TARGET};
use super::{Case, Expect};

/// The fields of a plain request with a token, in which these take the place of those of the same name or come behind.
pub(super) fn with(changes: &[(&str, &str)]) -> Vec<Pair> {
    let mut fields: Vec<Pair> = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "gw.example"),
        (":path", TARGET),
        ("authorization", "Bearer {token}"),
    ]
    .iter()
    .map(|(name, value)| pair(name, value))
    .collect();
    for (name, value) in changes {
        match fields.iter_mut().find(|(have, _)| have == name.as_bytes()) {
            Some(field) => field.1 = value.as_bytes().to_vec(),
            None => fields.push(pair(name, value)),
        }
    }
    fields
}

fn get() -> Passed {
    Passed::new("GET", TARGET, "")
}

fn post(body: &str) -> Passed {
    Passed::new("POST", TARGET, body)
}

pub(super) fn cases() -> Vec<Case> {
    let refused = |name: &str, changes: &[(&str, &str)]| Case::new(name, with(changes), Expect::Refused);
    let either = |name: &str, changes: &[(&str, &str)]| Case::new(name, with(changes), Expect::Either(get()));
    let mut cases = vec![
        Case::new("plain", with(&[]), Expect::Passed(get())),
        Case::new("plain with a body", with(&[(":method", "POST")]), Expect::Passed(post("hello")))
            .body("hello"),
    ];
    // RFC 9113, section 8.2.2: what belongs to a connection makes a request malformed.
    for (name, value) in [
        ("connection", "close"),
        ("connection", "x-voicegain-account-id"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=1"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
    ] {
        cases.push(either(&format!("{name}: {value}"), &[(name, value)]));
    }
    cases.push(Case::new("te: trailers", with(&[("te", "trailers")]), Expect::Passed(get())));
    let smuggled = "0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: gw.example\r\n\r\n";
    let chunked = with(&[(":method", "POST"), ("transfer-encoding", "chunked")]);
    cases.push(Case::new("H2.TE", chunked, Expect::Either(post(smuggled))).body(smuggled));
    for length in ["0", "3", "500", "+5", "5, 5", "0x5", "", "18446744073709551621"] {
        let fields = with(&[(":method", "POST"), ("content-length", length)]);
        let expect = match length {
            "5, 5" => Expect::Either(post("hello")),
            // Whoever needs no body may have answered before one comes that was not announced.
            "0" => Expect::Either(post("")),
            "3" | "500" => Expect::Begun(post("hello")),
            _ => Expect::Refused,
        };
        cases.push(Case::new(format!("H2.CL `{length}` for 5"), fields, expect).body("hello"));
    }
    let mut two = with(&[(":method", "POST"), ("content-length", "5")]);
    two.push(pair("content-length", "6"));
    cases.push(Case::new("H2.CL twice", two, Expect::Refused).body("hello"));
    cases.push(refused("content-length without a body", &[("content-length", "5")]));
    cases.extend(pseudo());
    for (name, value) in [
        ("X-Upper", "a"),
        ("x\r\nx-voicegain-account-id", "evil"),
        ("x: a\r\ny", "b"),
        ("x y", "a"),
        ("x:y", "a"),
        ("", "a"),
        ("x\0", "a"),
        ("x", "a\r\nx-voicegain-account-id: evil"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("host", "gw.example\r\nx: y"),
    ] {
        cases.push(refused(
            &format!("field {}: {}", name.escape_debug(), value.escape_debug()),
            &[(name, value)],
        ));
    }
    cases.push(either("value with spaces around", &[("x", " a ")]));
    cases.push(either("value with a tab in front", &[("x", "\ta")]));
    for name in ["x-voicegain-account-id", "x_voicegain_account_id", "x.voicegain-account.id"] {
        cases.push(Case::new(name, with(&[(name, "evil")]), Expect::Passed(get())));
    }
    cases.extend(ends());
    cases.extend(limits());
    cases
}

/// A head over HTTP/2 may be as large as one over HTTP/1.1, and no larger than 64 KiB.
fn limits() -> Vec<Case> {
    let expected = |size: usize| match size {
        ..=30 => Expect::Passed(get()),
        66.. => Expect::Refused,
        _ => Expect::Either(get()),
    };
    let mut cases = Vec::new();
    for size in [8, 30, 60, 70, 200, 2_000] {
        let fields = with(&[("x", &"x".repeat(size << 10))]);
        cases.push(Case::new(format!("a header of {size} KiB"), fields, expected(size)));
        // What a field counts for besides its text is 32 bytes (RFC 9113, section 6.5.2).
        let names: Vec<String> = (0..size).map(|number| format!("x-{number:05}")).collect();
        let value = "x".repeat(1024 - 7 - 32);
        let fields: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
        cases.push(Case::new(format!("headers of {size} KiB together"), with(&fields), expected(size)));
    }
    cases
}

fn pseudo() -> Vec<Case> {
    let refused = |name: &str, changes: &[(&str, &str)]| Case::new(name, with(changes), Expect::Refused);
    let mut cases = Vec::new();
    for (name, value) in [
        (":path", ""),
        (":path", "v1/case"),
        (":path", "*"),
        (":path", "/v1/case HTTP/1.1\r\nHost: evil\r\n\r\nGET /v1/smuggled"),
        (":path", "/v1/case HTTP/1.1"),
        (":path", "/v1/case\r\nx: y"),
        (":path", "/v1/case\0"),
        (":path", "/v1/case\ty"),
        (":path", "http://evil/v1/case"),
        (":path", "/v1/../case"),
        (":method", "GET /v1/smuggled HTTP/1.1\r\nx: y\r\n\r\nGET"),
        (":method", "GET /v1/smuggled"),
        (":method", ""),
        (":method", "G\0T"),
        (":method", "CONNECT"),
        (":method", "TRACE"),
        (":method", "get"),
        (":method", "trace"),
        (":authority", "gw.example\r\nx: y"),
        (":authority", "gw.example evil"),
        (":authority", "user@gw.example"),
        (":authority", ""),
        (":authority", "gw:80x"),
        (":authority", "gw:65536"),
        (":authority", "a,b"),
        (":authority", "gw.example/v1/smuggled?"),
        (":authority", "gw.example#"),
        (":scheme", "http\r\nx: y"),
        (":scheme", "http://evil/?"),
        (":unknown", "x"),
        (":protocol", "websocket"),
    ] {
        cases.push(refused(&format!("{name} `{}`", value.escape_debug()), &[(name, value)]));
    }
    for scheme in ["https", "ftp", ""] {
        let fields = with(&[(":scheme", scheme)]);
        cases.push(Case::new(format!(":scheme `{scheme}`"), fields, Expect::Either(get())));
    }
    cases.push(refused("host that differs", &[("host", "evil")]));
    cases.push(Case::new("host that agrees", with(&[("host", "gw.example")]), Expect::Either(get())));
    for name in [":method", ":path", ":authority", ":scheme"] {
        let value = if name == ":path" { "/v1/other" } else { "GET" };
        let mut twice = with(&[]);
        twice.insert(4, pair(name, value));
        cases.push(Case::new(format!("{name} twice"), twice, Expect::Refused));
        let mut late = with(&[]);
        let field = late.iter().position(|(have, _)| have == name.as_bytes()).unwrap_or_default();
        let field = late.remove(field);
        let mut without = late.clone();
        late.push(field);
        cases.push(Case::new(format!("{name} behind the fields"), late, Expect::Refused));
        if name == ":authority" {
            without.push(pair("host", "gw.example"));
            cases.push(Case::new("host for :authority", without, Expect::Either(get())));
        } else {
            cases.push(Case::new(format!("no {name}"), without, Expect::Refused));
        }
    }
    let websocket = |path: &str, version: &str| {
        let mut fields = with(&[(":method", "CONNECT"), (":path", path), ("sec-websocket-version", version)]);
        fields.insert(1, pair(":protocol", "websocket"));
        fields
    };
    // Its answer is a tunnel, which has no end: these must not open one.
    cases.push(Case::new("extended CONNECT of another version", websocket("/v1/ws", "8"), Expect::Refused));
    cases.push(Case::new(
        "extended CONNECT without a token",
        {
            let mut fields = websocket("/v1/ws", "13");
            fields.retain(|(name, _)| name != b"authorization");
            fields
        },
        Expect::Refused,
    ));
    let mut other = websocket("/v1/ws", "13");
    other[1].1 = b"connect-udp".to_vec();
    cases.push(Case::new("extended CONNECT to another protocol", other, Expect::Refused));
    cases
}

fn ends() -> Vec<Case> {
    let posted = || with(&[(":method", "POST")]);
    let mut cases = vec![
        Case::new("trailers", posted(), Expect::Passed(post("hello")))
            .body("hello")
            .trailers(&[("x-sum", "1")]),
        Case::new("trailers without a body", posted(), Expect::Either(post(""))).trailers(&[("x-sum", "1")]),
    ];
    for (name, value) in [
        (":path", "/v1/other"),
        (":status", "200"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("content-length", "9"),
        ("authorization", "Bearer x"),
        ("host", "evil"),
        ("x-voicegain-account-id", "evil"),
        ("x_voicegain_account_id", "evil"),
        ("x", "a\r\nx-voicegain-account-id: evil"),
        ("X-Upper", "a"),
    ] {
        let name_of = format!("trailer {}: {}", name, value.escape_debug());
        cases.push(
            Case::new(name_of, posted(), Expect::Either(post("hello")))
                .body("hello")
                .trailers(&[(name, value)]),
        );
    }
    let crumbs = |first: &str, second: &str| {
        let mut fields = with(&[("sec-fetch-site", "same-origin")]);
        fields.retain(|(name, _)| name != b"authorization");
        fields.extend([pair("cookie", first), pair("cookie", second)]);
        fields
    };
    cases.push(Case::new("cookie crumbs", crumbs("a=b", "vg={token}"), Expect::Passed(get())));
    cases.push(Case::new("two tokens in cookie crumbs", crumbs("vg=x", "vg={token}"), Expect::Refused));
    cases.push(Case::new("token over two crumbs", crumbs("vg={start}", "{rest}"), Expect::Refused));
    cases
}
