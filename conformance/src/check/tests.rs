use super::handler::encodes;
use super::refusal::parameters;
use super::*;
use crate::table::Minted;
use crate::token;

const UNAUTHORIZED: &str = "HTTP/1.1 401\r\n\
    content-type: application/json\r\nwww-authenticate: Bearer realm=\"voicegain\", error=\"invalid_token\"\r\n\
    cache-control: no-store\r\nvary: Origin\r\n\r\n\
    {\"error\":{\"reason\":\"invalid_token\",\"detail\":\"Do something.\"}}";

fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers =
        lines.filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.into()))).collect();
    Answer::Response(Response { status, headers, body: body.into(), ..Response::default() })
}

fn facts(kind: Kind, origins: &[String]) -> Facts<'_> {
    Facts {
        kind,
        method: "GET",
        origins,
        asked: ("", ""),
        below_base: true,
        claims: None,
        minter: None,
        times: (0, 0),
    }
}

fn refusal(text: &str, reason: &str, facts: &Facts<'_>) -> Verdict {
    let expect = Expect { is: Outcome::Reason(reason.to_owned()), ..Expect::default() };
    judge(&answer(text), &expect, facts, None)
}

#[test]
fn rule_e_to_the_letter_is_right() {
    assert_eq!(refusal(UNAUTHORIZED, "invalid_token", &facts(Kind::Layer, &[])), Verdict::Right);
}

#[test]
fn every_departure_from_rule_e_is_wrong() {
    for (from, to) in [
        ("401", "403"),
        ("error=\"invalid_token\"", "error=\"invalid_request\""),
        ("\", error", "\" error"),
        ("www-authenticate", "www-authenticated"),
        ("no-store", "no-cache"),
        ("vary: Origin", "vary: Accept"),
        ("application/json", "text/plain"),
        ("\"reason\":\"invalid_token\"", "\"reason\":\"missing_token\""),
        ("\"Do something.\"", "\"\""),
        ("something.\"}", "something.\",\"stack\":1}"),
    ] {
        let text = UNAUTHORIZED.replacen(from, to, 1);
        let verdict = refusal(&text, "invalid_token", &facts(Kind::Layer, &[]));
        assert!(matches!(verdict, Verdict::Wrong(_)), "{from} → {to}");
    }
    let verdict = refusal(UNAUTHORIZED, "token_expired", &facts(Kind::Layer, &[]));
    assert!(matches!(verdict, Verdict::Wrong(_)));
}

#[test]
fn a_refusal_by_a_gateway_must_be_readable() {
    let origins = ["https://a.example".to_owned()];
    let facts = facts(Kind::Gateway, &origins);
    assert!(matches!(refusal(UNAUTHORIZED, "invalid_token", &facts), Verdict::Wrong(_)));
    let text = UNAUTHORIZED.replacen(
        "vary: Origin",
        "vary: Origin\r\naccess-control-allow-origin: *\r\naccess-control-expose-headers: WWW-Authenticate, \
         Retry-After",
        1,
    );
    assert_eq!(refusal(&text, "invalid_token", &facts), Verdict::Right);
}

#[test]
fn an_identity_must_be_the_tokens_and_nobody_elses() {
    let config = WebConfig {
        id: "w".to_owned(),
        account: "a".to_owned(),
        context: "c".to_owned(),
        issued: Vec::new(),
    };
    let claims = Claims { id: "w".to_owned(), ..Claims::default() };
    let facts = Facts { claims: Some((&claims, &config)), ..facts(Kind::Gateway, &[]) };
    let echo = r#"HTTP/1.1 200
vary: Origin

{"method":"GET","path":"/v1/x","query":"","headers":{"x-voicegain-account-id":["a"],"x-voicegain-context-id":["c"],"x-voicegain-web-config-id":["w"],"x-voicegain-token-kind":["long-lived"]}}"#
        .replace('\n', "\r\n");
    let judge = |text: &str| judge(&answer(text), &Expect::default(), &facts, None);
    assert_eq!(judge(&echo), Verdict::Right);
    for (from, to) in [
        ("[\"a\"]", "[\"b\"]"),
        ("[\"a\"]", "[\"a\",\"b\"]"),
        ("long-lived", "short-lived"),
        ("\"headers\":{", "\"headers\":{\"x_voicegain.foo\":[\"1\"],"),
        ("\"headers\":{", "\"headers\":{\"x-voicegain-api-path\":[\"/\"],"),
        ("200", "204"),
        ("vary", "very"),
    ] {
        let text = echo.replacen(from, to, 1);
        assert!(matches!(judge(&text), Verdict::Wrong(_)), "{from} → {to}");
    }
}

#[test]
fn a_parser_may_answer_only_where_the_case_says_so() {
    let expect = |may| Expect {
        is: Outcome::Reason("invalid_token".to_owned()),
        parser_may_answer: may,
        ..Expect::default()
    };
    let facts = facts(Kind::Layer, &[]);
    let bare = answer("HTTP/1.1 400\r\n\r\n");
    assert!(matches!(judge(&bare, &expect(true), &facts, None), Verdict::Parser(_)));
    assert!(matches!(judge(&bare, &expect(false), &facts, None), Verdict::Wrong(_)));
    let closed = Answer::Closed("closed".to_owned());
    assert!(matches!(judge(&closed, &expect(true), &facts, None), Verdict::Parser(_)));
    assert!(matches!(judge(&closed, &expect(false), &facts, None), Verdict::Wrong(_)));
    let crash = answer("HTTP/1.1 500\r\n\r\n");
    assert!(matches!(judge(&crash, &expect(true), &facts, None), Verdict::Wrong(_)));
}

#[test]
fn a_path_may_be_encoded_more_than_needed_but_not_less() {
    for (text, path, want) in [
        ("/a:b", "/a:b", true),
        ("/a%3Ab", "/a:b", true),
        ("/%c3%a9", "/é", true),
        ("/é", "/é", false),
        ("/a b", "/a b", false),
        ("/a%2", "/a%2", false),
        ("/a%2B", "/a%2B", false),
        ("/A", "/a", false),
    ] {
        assert_eq!(encodes(text, path), want, "{text}");
    }
}

#[test]
fn challenges_are_read_strictly() {
    assert_eq!(parameters("Bearer realm=\"a\", error=\"b\"").unwrap().len(), 2);
    for bad in
        ["Basic realm=\"a\"", "Bearer", "Bearer realm=\"a\" error=\"b\"", "Bearer error=b", "Bearer a=\"\\\""]
    {
        assert_eq!(parameters(bad), None, "{bad}");
    }
}

#[test]
fn a_minted_token_must_be_signed_dated_and_spelt_right() {
    let config =
        WebConfig { id: "w".to_owned(), account: String::new(), context: String::new(), issued: vec![] };
    let facts =
        Facts { minter: Some((&config, Some(b"k"))), times: (1000, 1000), ..facts(Kind::Gateway, &[]) };
    let expect = Expect {
        is: Outcome::Minted,
        minted: Minted { aud: "a".to_owned(), ..Minted::default() },
        ..Expect::default()
    };
    let judge = |payload: &str, key: &[u8]| {
        let token = token::sign(token::HEADER.as_bytes(), payload.as_bytes(), key);
        let head =
            "HTTP/1.1 200\r\ncontent-type: text/plain\r\ncache-control: no-store\r\nvary: origin\r\n\r\n";
        judge(&answer(&format!("{head}{token}")), &expect, &facts, None)
    };
    assert_eq!(judge(r#"{"aud":"a","sub":"w","exp":1301}"#, b"k"), Verdict::Right);
    for (payload, key) in [
        (r#"{"aud":"a","sub":"w","exp":1301}"#, b"x"),
        (r#"{"aud":"a","sub":"w","exp":1299}"#, b"k"),
        (r#"{"aud":"a","sub":"w","exp":1302}"#, b"k"),
        (r#"{"sub":"w","aud":"a","exp":1301}"#, b"k"),
        (r#"{"aud":"b","sub":"w","exp":1301}"#, b"k"),
        (r#"{"aud":"a","sub":"w"}"#, b"k"),
    ] {
        assert!(matches!(judge(payload, key), Verdict::Wrong(_)), "{payload}");
    }
}
