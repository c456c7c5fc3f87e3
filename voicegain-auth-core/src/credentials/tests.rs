use super::*;
use crate::head::testing::TestHead;

fn all() -> TokenSources {
    TokenSources { header: true, query: true, protocol: true, cookie: Some("vg".into()) }
}

fn found(head: &TestHead) -> Option<(String, TokenSource)> {
    match find(head, &all()) {
        Found::Token(token, source) => Some((String::from_utf8(token.into_owned()).unwrap(), source)),
        Found::Nothing => None,
        Found::Ambiguous(why) => panic!("ambiguous: {why}"),
    }
}

fn is_ambiguous(head: &TestHead) -> bool {
    matches!(find(head, &all()), Found::Ambiguous(_))
}

fn from(source: TokenSource) -> Option<(String, TokenSource)> {
    Some(("t".into(), source))
}

#[test]
fn v1_the_header_in_any_case_with_one_or_more_spaces() {
    for value in ["Bearer t", "bearer t", "BEARER    t"] {
        assert_eq!(
            found(&TestHead::get("/").with("authorization", value)),
            from(TokenSource::Header),
            "{value}"
        );
    }
    for value in ["", "Bearer", "Bearer ", "Bearer\tt", "Basic t", "Bearert", "Token t"] {
        assert_eq!(found(&TestHead::get("/").with("authorization", value)), None, "{value:?}");
    }
}

#[test]
fn v1_sources_count_only_when_enabled() {
    let head = TestHead::get("/?access_token=t").websocket().with("sec-websocket-protocol", "chat, bearer.t");
    let head = head.with("cookie", "vg=t");
    assert_eq!(find(&head, &TokenSources::default()), Found::Nothing);
    let head = TestHead::get("/").bearer("t").with("authorization", "Bearer u");
    assert_eq!(find(&head, &TokenSources { query: true, ..TokenSources::none() }), Found::Nothing);
}

#[test]
fn v1_the_query_parameter_however_spelt() {
    for query in ["access_token=t", "a=b&access_token=t", "access%5Ftoken=t", "access_token=%74"] {
        assert_eq!(found(&TestHead::get(&format!("/?{query}"))), from(TokenSource::Query), "{query}");
    }
    // A name with an escape, or as long as the parameter's, is not the parameter for that.
    for query in [
        "access_token=",
        "access_token",
        "Access_Token=t",
        "xaccess_token=t",
        "acc%65ss_key_=t",
        "access_tokem",
        "",
    ] {
        assert_eq!(found(&TestHead::get(&format!("/?{query}"))), None, "{query}");
    }
}

#[test]
fn v1_the_protocol_only_on_an_upgrade_beside_another() {
    let offer = |offer: &str| TestHead::get("/").with("sec-websocket-protocol", offer);
    assert_eq!(found(&offer("chat, bearer.t").websocket()), from(TokenSource::Protocol));
    assert_eq!(
        found(&offer("bearer.t").with("sec-websocket-protocol", "chat").websocket()),
        from(TokenSource::Protocol)
    );
    assert_eq!(found(&offer("chat, bearer.t")), None, "no upgrade");
    assert_eq!(found(&offer("chat, bearer.t").websocket().method("POST")), None, "no GET");
    assert!(is_ambiguous(&offer("bearer.t").websocket()), "V2: no companion");
    assert_eq!(found(&offer("chat, bearer.").websocket()), None, "empty");
}

#[test]
fn v2_two_of_header_query_and_protocol() {
    let query = TestHead::get("/?access_token=t");
    assert!(is_ambiguous(&query.clone().bearer("t")));
    assert!(is_ambiguous(&query.clone().websocket().with("sec-websocket-protocol", "chat, bearer.t")));
    let protocol = TestHead::get("/").websocket().with("sec-websocket-protocol", "chat, bearer.t");
    assert!(is_ambiguous(&protocol.clone().bearer("t")));
    // Another scheme or an empty token leaves the others in force.
    assert_eq!(found(&query.clone().with("authorization", "Basic eA==")), from(TokenSource::Query));
    assert_eq!(found(&protocol.with("authorization", "Bearer ")), from(TokenSource::Protocol));
}

#[test]
fn v2_one_source_twice() {
    assert!(is_ambiguous(&TestHead::get("/").bearer("t").bearer("t")));
    assert!(is_ambiguous(&TestHead::get("/").bearer("t").with("authorization", "Basic eA==")));
    assert!(is_ambiguous(&TestHead::get("/?access_token=t&access_token=t")));
    assert!(is_ambiguous(&TestHead::get("/?access_token=t&access%5ftoken=")));
    assert!(is_ambiguous(
        &TestHead::get("/").websocket().with("sec-websocket-protocol", "x, bearer.t, bearer.u")
    ));
    assert!(is_ambiguous(&TestHead::get("/").with("cookie", "vg=t; vg=t")));
    assert!(is_ambiguous(&TestHead::get("/").with("cookie", "vg=t").with("cookie", "vg=u")));
}

#[test]
fn v2_the_cookie_only_if_no_other_source_has_a_token() {
    let cookies = TestHead::get("/").with("cookie", "a=b; vg=t; c=d");
    assert_eq!(found(&cookies), from(TokenSource::Cookie));
    assert_eq!(found(&cookies.clone().bearer("h")), Some(("h".into(), TokenSource::Header)));
    let two = TestHead::get("/").with("cookie", "vg=t; vg=u").bearer("h");
    assert_eq!(found(&two), Some(("h".into(), TokenSource::Header)));
    assert_eq!(found(&cookies.with("authorization", "Basic eA==")), from(TokenSource::Cookie));
    for cookie in ["vg=", "VG=t", "xvg=t", "vg2=t", "a=vg=t"] {
        assert_eq!(found(&TestHead::get("/").with("cookie", cookie)), None, "{cookie}");
    }
}

fn plan(head: &TestHead) -> Strip {
    let policy = Policy::builder().token_sources(all()).build().unwrap();
    Strip::plan(&policy, head)
}

fn put(text: &str) -> Edit {
    Edit::Replace(text.into())
}

#[test]
fn v8_every_enabled_source_is_taken_out() {
    let head = TestHead::get("/?a=1&access_token=t&access%5ftoken=u&b=%20")
        .bearer("t")
        .with("cookie", "a=b; vg=t")
        .with("cookie", "vg=u;c=d")
        .with("sec-websocket-protocol", "chat, BEARER.t")
        .with("sec-websocket-protocol", "x");
    let strip = plan(&head);
    assert_eq!(strip.authorization, Edit::Remove);
    assert_eq!(strip.query, put("a=1&b=%20"));
    assert_eq!(strip.cookies, put("a=b; c=d"));
    assert_eq!(strip.protocols, put("chat, x"));
}

#[test]
fn v8_what_carries_no_token_is_left_alone() {
    let head = TestHead::get("/?a=1&&b&acc%65ss_key_=t")
        .with("authorization", "Basic eA==")
        .with("cookie", "a=b;  c");
    let strip = plan(&head.with("sec-websocket-protocol", "chat,x"));
    for edit in [strip.authorization, strip.query, strip.cookies, strip.protocols] {
        assert_eq!(edit, Edit::Keep);
    }
    for odd in ["Bearer", "bearer\tt", " Bearer t", "Bearer,t", "Bearer\u{a0}t", ""] {
        let strip = plan(&TestHead::get("/").with("authorization", odd));
        assert_eq!(strip.authorization, Edit::Remove, "{odd:?} may be a token to somebody");
    }
}

#[test]
fn v8_nothing_is_left_where_the_token_was_all() {
    let head =
        TestHead::get("/?access_token=t").with("cookie", "vg=t").with("sec-websocket-protocol", "bearer.t");
    let strip = plan(&head);
    assert_eq!([strip.query, strip.cookies, strip.protocols], [Edit::Remove, Edit::Remove, Edit::Remove]);
    assert_eq!(plan(&TestHead::get("/?access_token")).query, Edit::Remove, "an empty one too");
}

#[test]
fn v8_unless_told_to() {
    let policy = Policy::builder().token_sources(all()).pass_token_on(true).build().unwrap();
    let strip = Strip::plan(&policy, &TestHead::get("/?access_token=t").bearer("t"));
    assert_eq!((strip.authorization, strip.query), (Edit::Keep, Edit::Keep));
}

#[test]
fn v1_cache_control_becomes_private_unless_it_is_stricter() {
    let said = |value: &str| private_cache_control(std::iter::once(value.as_bytes()));
    assert_eq!(private_cache_control(std::iter::empty()).as_deref(), Some("private"));
    assert_eq!(said("public, max-age=60, s-maxage=10").as_deref(), Some("private, max-age=60"));
    assert_eq!(said("no-cache").as_deref(), Some("private, no-cache"));
    assert_eq!(said("no-cache=\"a, private, b\"").as_deref(), Some("private, no-cache=\"a, private, b\""));
    assert_eq!(said("private=\"set-cookie\"").as_deref(), Some("private"));
    assert_eq!(said("no-cache=\"a\", public").as_deref(), Some("private, no-cache=\"a\""), "the quotes end");
    for strict in ["private", "no-store", "max-age=1, PRIVATE", "No-Store, public"] {
        assert_eq!(said(strict), None, "{strict}");
    }
}
