//! The decision as a whole, through [`Verifier::authorize`]; the case table has the breadth.

use std::time::Duration;

use super::*;
use crate::claims::long_lived_payload;
use crate::head::testing::TestHead;
use crate::jws::sign;
use crate::mac::MacKey;
use crate::mac::tests::MACS;
use crate::testing::{API_URL, Logged, World};
use crate::{Issued, Mode, Policy, PolicyBuilder, Reason, Secret, SecretStore, TokenSource, TokenSources};
use crate::{Rejection, RequestId};

const APP: &str = "https://app.example.com";

struct Fixture {
    world: World,
    issued: Issued,
    key: MacKey,
}

impl Fixture {
    async fn new() -> Self {
        let world = World::new().await;
        let issued = world.create_for(&["https://allowed.example.com", "*"]).await;
        // `*` would allow everything; it is here for the cookie's sake and taken out otherwise.
        let patch = crate::WebConfigPatch {
            allowed_origins: Some(vec!["https://allowed.example.com".into()]),
            name: None,
        };
        world.issuer.update(issued.config.id, patch).await.unwrap();
        let secret = world.store.load(issued.config.id).await.unwrap().value.unwrap().secret;
        Self { key: MacKey::new(&secret), world, issued }
    }

    fn now(&self) -> u64 {
        self.world.cache.now().wall.as_secs()
    }

    /// A token with these members beside `sub`.
    fn token(&self, members: &str) -> String {
        sign(&self.key, &format!(r#"{{{members},"sub":"{}"}}"#, self.issued.config.id))
    }

    /// A short-lived token for this audience.
    fn short(&self, aud: &str) -> String {
        self.token(&format!(r#""aud":"{aud}","exp":{}"#, self.now() + 300))
    }

    async fn ask_with(&self, policy: PolicyBuilder, head: &TestHead) -> Result<Admitted, Reason> {
        let verifier = self.world.verifier(policy.build().unwrap());
        verifier.authorize(head).await.map_err(|rejection| rejection.reason())
    }

    async fn ask(&self, head: &TestHead) -> Result<(), Reason> {
        self.ask_with(Policy::builder(), head).await.map(drop)
    }
}

fn get() -> TestHead {
    TestHead::get("/v1/x").with("host", "api.example.net")
}

#[tokio::test]
async fn v8_the_identity_is_that_of_the_record() {
    let fixture = Fixture::new().await;
    let admitted = fixture.ask_with(Policy::builder(), &get().bearer(&fixture.issued.jwt)).await.unwrap();
    let identity = admitted.caller().identity().unwrap();
    assert_eq!((identity.token_kind(), identity.token_expires_at()), (TokenKind::LongLived, None));
    let headers: Vec<_> = identity.headers().map(|(name, value)| format!("{name}: {value}")).collect();
    let id = fixture.issued.config.id;
    assert_eq!(
        headers,
        [
            "x-voicegain-account-id: acc-1".to_owned(),
            "x-voicegain-context-id: ctx-1".to_owned(),
            format!("x-voicegain-web-config-id: {id}"),
            "x-voicegain-token-kind: long-lived".to_owned(),
        ]
    );
    let exp = fixture.now() + 10;
    let limited = sign(&fixture.key, &format!(r#"{{"sub":"api:/x y:{id}","exp":{exp}.5}}"#));
    let head = TestHead::get("/v1/x%20y/z").bearer(&limited);
    let admitted = fixture.ask_with(Policy::builder(), &head).await.unwrap();
    let identity = admitted.caller().identity().unwrap();
    assert_eq!((identity.token_kind(), identity.token_expires_at()), (TokenKind::ShortLived, Some(exp)));
    assert_eq!(identity.token_kind().to_string(), "short-lived");
    let headers: Vec<_> = identity.headers().skip(3).collect();
    assert_eq!(headers[0].1, "short-lived");
    assert_eq!(headers[1], ("x-voicegain-token-expires", exp.to_string().into()));
    assert_eq!(headers[2], ("x-voicegain-api-path", "/x%20y".into()));
}

#[test]
fn v8_the_reserved_prefix_is_folded() {
    for ours in ["x-voicegain-account-id", "X-VoiceGain-", "x_voicegain_account_id", "X.Voicegain-anything"] {
        assert!(is_reserved_header(ours.as_bytes()), "{ours}");
    }
    for other in ["x-voicegain", "xx-voicegain-a", "x-voicegains-a", "authorization", ""] {
        assert!(!is_reserved_header(other.as_bytes()), "{other}");
    }
}

#[tokio::test]
async fn v4_time() {
    let fixture = Fixture::new().await;
    let now = fixture.now();
    let at = |members: String| get().bearer(&fixture.token(&members));
    assert_eq!(fixture.ask(&at(format!(r#""exp":{}"#, now + 30))).await, Ok(()));
    assert_eq!(fixture.ask(&at(format!(r#""exp":{now}"#))).await, Err(Reason::TokenExpired));
    assert_eq!(fixture.ask(&at(format!(r#""nbf":{}"#, now + 30))).await, Err(Reason::InvalidToken));
    assert_eq!(fixture.ask(&at(format!(r#""nbf":{now}"#))).await, Ok(()));
    let lenient = || Policy::builder().leeway(Duration::from_secs(60));
    assert!(fixture.ask_with(lenient(), &at(format!(r#""exp":{}"#, now - 30))).await.is_ok());
    assert!(fixture.ask_with(lenient(), &at(format!(r#""exp":{}"#, now - 90))).await.is_err());
    assert!(fixture.ask_with(lenient(), &at(format!(r#""nbf":{}"#, now + 30))).await.is_ok());
    assert!(fixture.ask_with(lenient(), &at(format!(r#""nbf":{}"#, now + 90))).await.is_err());
    assert!(Policy::builder().leeway(Duration::from_secs(301)).build().is_err());
}

#[tokio::test]
async fn v7_a_good_answer_does_not_outlive_exp() {
    let fixture = Fixture::new().await;
    let head = get().bearer(&fixture.short("*"));
    assert_eq!(fixture.ask(&head).await, Ok(()));
    fixture.world.clock.advance(Duration::from_secs(20));
    assert_eq!(fixture.ask(&head).await, Ok(()));
    fixture.world.clock.advance(Duration::from_secs(300));
    assert_eq!(fixture.ask(&head).await, Err(Reason::TokenExpired));
}

#[tokio::test]
async fn v3_only_the_newest_secret() {
    let fixture = Fixture::new().await;
    let short = fixture.short("*");
    let new = fixture.world.issuer.regenerate(fixture.issued.config.id).await.unwrap();
    for old in [&fixture.issued.jwt, &short] {
        assert_eq!(fixture.ask(&get().bearer(old)).await, Err(Reason::InvalidToken));
    }
    assert_eq!(fixture.ask(&get().bearer(&new.jwt)).await, Ok(()));
    let other_key = MacKey::new(&Secret::generate().unwrap());
    let forged = sign(&other_key, &long_lived_payload(API_URL, fixture.issued.config.id));
    assert_eq!(fixture.ask(&get().bearer(&forged)).await, Err(Reason::InvalidToken));
}

#[tokio::test]
async fn v5_what_looks_the_same_is_the_same() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let key = MacKey::new(&Secret::generate().unwrap());
    let unknown = sign(&key, &long_lived_payload(API_URL, crate::WebConfigId::generate().unwrap()));
    let forged = sign(&key, &long_lived_payload(API_URL, fixture.issued.config.id));
    let mut answers = Vec::new();
    for token in [&unknown, &forged, "e30.e30.e30"] {
        let rejection = verifier.authorize(&get().bearer(token)).await.unwrap_err();
        let headers: Vec<_> = rejection.headers().collect();
        answers.push((rejection.body(), headers, rejection.cause()));
    }
    assert!(answers.iter().all(|(body, headers, _)| (body, headers) == (&answers[0].0, &answers[0].1)));
    assert_ne!(answers[0].2, answers[1].2, "the operator can tell them apart");
}

/// Rule V5: the operator's log tells apart what the answers do not.
#[tokio::test]
async fn v5_the_log_says_why_and_of_which_web_config() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let known = fixture.issued.config.id;
    let unknown = crate::WebConfigId::generate().unwrap();
    let key = MacKey::new(&Secret::generate().unwrap());
    let log = Logged::begin();
    let mut told = Vec::new();
    for id in [unknown, known] {
        log.take();
        let token = sign(&key, &long_lived_payload(API_URL, id));
        let rejection = verifier.authorize(&get().bearer(&token)).await.unwrap_err();
        let lines = log.take();
        let [line] = &lines[..] else { panic!("{lines:?}") };
        let cause = rejection.cause();
        for part in [" INFO ", r#": refused reason="invalid_token" "#, cause, &id.to_string()] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert!(!line.contains(&token) && !line.contains(token.rsplit('.').next().unwrap()), "{line}");
        told.push(cause);
    }
    assert_ne!(told[0], told[1]);
}

#[tokio::test]
async fn e_a_challenge_names_the_realm_of_the_policy() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::builder().realm("speech").build().unwrap());
    assert_eq!(verifier.policy().realm(), "speech");
    let rejection = verifier.authorize(&get()).await.unwrap_err();
    assert_eq!(rejection.www_authenticate().as_deref(), Some(r#"Bearer realm="speech""#));
}

#[tokio::test]
async fn v2_an_unclear_request_is_told_how_to_be_clear() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let rejection = verifier.authorize(&get().bearer("t").bearer("u")).await.unwrap_err();
    assert_eq!(rejection.reason(), Reason::InvalidRequest);
    assert!(rejection.detail().contains("send one Authorization header only"), "{}", rejection.detail());
}

/// How many MACs the first look at a token takes, and whether it was let in by that.
fn first_look(verifier: &Verifier, token: &str) -> (u32, bool) {
    let before = MACS.get();
    let progress = verifier.decide(&get().bearer(token));
    (MACS.get() - before, matches!(progress, Progress::Decided(Ok(_))))
}

#[tokio::test]
async fn v5_a_long_lived_token_costs_no_mac_and_every_other_one_costs_one() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let id = fixture.issued.config.id;
    let other_key = MacKey::new(&Secret::generate().unwrap());
    let of = |key: &MacKey, id| sign(key, &long_lived_payload(API_URL, id));
    assert_eq!(fixture.ask(&get().bearer(&fixture.issued.jwt)).await, Ok(()), "it is loaded");
    assert_eq!(first_look(&verifier, &fixture.issued.jwt), (0, true));
    // The same, but for another API, or written in another way: it is read.
    let elsewhere = sign(&fixture.key, &long_lived_payload("https://elsewhere.example/v1", id));
    assert_eq!(first_look(&verifier, &elsewhere), (1, true));
    let spaced = sign(&fixture.key, &long_lived_payload(API_URL, id).replace(',', ", "));
    assert_eq!(first_look(&verifier, &spaced), (1, true));
    assert_eq!(first_look(&verifier, &fixture.short("*")), (1, true));
    // Refused ones take the same work, whatever is wrong with them.
    assert_eq!(first_look(&verifier, &of(&other_key, id)), (1, false));
    let unknown = crate::WebConfigId::generate().unwrap();
    assert_eq!(first_look(&verifier, &of(&other_key, unknown)), (1, false));
    let new = fixture.world.issuer.regenerate(id).await.unwrap();
    assert_eq!(fixture.ask(&get().bearer(&new.jwt)).await, Ok(()), "it is loaded");
    assert_eq!(first_look(&verifier, &fixture.issued.jwt), (1, false), "superseded");
}

#[tokio::test]
async fn v5_a_refusal_that_waits_costs_one_mac_and_one_reading() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    assert_eq!(fixture.ask(&get().bearer(&fixture.issued.jwt)).await, Ok(()), "it is loaded");
    let key = MacKey::new(&Secret::generate().unwrap());
    for id in [fixture.issued.config.id, crate::WebConfigId::generate().unwrap()] {
        let token = sign(&key, &long_lived_payload(API_URL, id));
        let before = MACS.get();
        let Progress::Pending(pending) = verifier.decide(&get().bearer(&token)) else { panic!("{id}") };
        let resumption = pending.await;
        // Nothing is read of the request any more.
        let Progress::Decided(decision) = verifier.resume(&get(), resumption) else { panic!("{id}") };
        let rejection = decision.unwrap_err();
        assert_eq!((rejection.reason(), rejection.web_config_id()), (Reason::InvalidToken, Some(id)));
        assert_eq!(MACS.get() - before, 1, "{id}");
    }
}

#[tokio::test]
async fn c7_what_became_right_while_it_waited_is_let_in() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let id = fixture.issued.config.id;
    assert_eq!(fixture.ask(&get().bearer(&fixture.issued.jwt)).await, Ok(()), "it is loaded");
    let secret = Secret::generate().unwrap();
    let head = get().bearer(&sign(&MacKey::new(&secret), &long_lived_payload(API_URL, id)));
    let mut progress = verifier.decide(&head);
    assert!(matches!(progress, Progress::Pending(_)), "wrong as yet");
    fixture.world.store.regenerate(id, secret).await.unwrap();
    while let Progress::Pending(pending) = progress {
        progress = verifier.resume(&head, pending.await);
    }
    assert!(matches!(progress, Progress::Decided(Ok(_))), "{progress:?}");
}

#[tokio::test]
async fn o8_a_long_lived_token_is_asked_for_its_origin_however_it_was_known() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let elsewhere = long_lived_payload("https://elsewhere.example/v1", fixture.issued.config.id);
    for token in [&fixture.issued.jwt, &sign(&fixture.key, &elsewhere)] {
        assert_eq!(fixture.ask(&get().bearer(token)).await, Ok(()));
        for (origin, allowed) in
            [("https://allowed.example.com", true), ("https://evil.example", false), ("null", false)]
        {
            let answer = verifier.authorize(&get().with("origin", origin).bearer(token)).await;
            assert_eq!(answer.is_ok(), allowed, "{origin}");
            assert!(answer.is_ok_and(|it| it.caller().identity().is_some()) || !allowed);
        }
    }
}

#[tokio::test]
async fn o1_origin_is_asked_only_if_it_is_there() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask(&get().bearer(&fixture.short(APP))).await, Ok(()));
    assert_eq!(fixture.ask(&get().bearer(&fixture.token(r#""exp":99999999999"#))).await, Ok(()));
    let from = |origin: &str| get().with("origin", origin);
    assert_eq!(fixture.ask(&from(APP).bearer(&fixture.short(APP))).await, Ok(()));
    let evil = from("https://evil.example").bearer(&fixture.short(APP));
    assert_eq!(fixture.ask(&evil).await, Err(Reason::OriginNotAllowed));
    let without_aud = from(APP).bearer(&fixture.token(r#""exp":99999999999"#));
    assert_eq!(fixture.ask(&without_aud).await, Err(Reason::OriginNotAllowed));
    let array = fixture.token(&format!(r#""aud":["https://a.example","{APP}"],"exp":99999999999"#));
    assert_eq!(fixture.ask(&from(APP).bearer(&array)).await, Ok(()));
}

#[tokio::test]
async fn o2_two_origins_or_a_bad_one() {
    let fixture = Fixture::new().await;
    let token = fixture.short("*");
    for bad in
        ["", "https://a.example/", "https://u@a.example", "a.example", "https://a.example https://a.example"]
    {
        let head = get().with("origin", bad).bearer(&token);
        assert_eq!(fixture.ask(&head).await, Err(Reason::OriginNotAllowed), "{bad:?}");
    }
    let two = get().with("origin", APP).with("origin", APP).bearer(&token);
    assert_eq!(fixture.ask(&two).await, Err(Reason::OriginNotAllowed));
    assert_eq!(fixture.ask(&get().with("origin", "null").bearer(&token)).await, Ok(()), "O6");
    let null = get().with("origin", "null").bearer(&fixture.short(APP));
    assert_eq!(fixture.ask(&null).await, Err(Reason::OriginNotAllowed), "O6");
}

#[tokio::test]
async fn o8_a_long_lived_token_in_a_page() {
    let fixture = Fixture::new().await;
    let from = |origin: &str| get().with("origin", origin).bearer(&fixture.issued.jwt);
    for allowed in [
        "https://api.voicegain.ai",
        "https://api.example.net",
        "http://api.example.net",
        "https://allowed.example.com",
    ] {
        assert_eq!(fixture.ask(&from(allowed)).await, Ok(()), "{allowed}");
    }
    for refused in [APP, "null", "https://api.example.net:8443", "https://sub.allowed.example.com"] {
        assert_eq!(fixture.ask(&from(refused)).await, Err(Reason::OriginNotAllowed), "{refused}");
    }
    // The authority is the target's, then the one Host; a forwarding header is neither.
    let mut absolute = from("https://other.example");
    absolute.authority = Some("other.example".into());
    assert_eq!(fixture.ask(&absolute).await, Ok(()));
    let forwarded =
        from(APP).with("x-forwarded-host", "app.example.com").with("forwarded", "host=app.example.com");
    assert_eq!(fixture.ask(&forwarded).await, Err(Reason::OriginNotAllowed));
    let two_hosts = from("https://api.example.net").with("host", "api.example.net");
    assert_eq!(fixture.ask(&two_hosts).await, Err(Reason::OriginNotAllowed));
    let relaxed = Policy::builder().dangerously_allow_long_lived_tokens_from_any_origin(true);
    assert!(fixture.ask_with(relaxed, &from(APP)).await.is_ok());
}

fn all_sources() -> PolicyBuilder {
    let sources = TokenSources { header: true, query: true, protocol: true, cookie: Some("vg".into()) };
    Policy::builder().token_sources(sources)
}

#[tokio::test]
async fn o1_a_cookie_or_query_token_needs_to_know_where_it_comes_from() {
    let fixture = Fixture::new().await;
    let short = fixture.short(APP);
    let cookie = get().with("cookie", format!("vg={short}"));
    let mut query = get();
    query.query = Some(format!("access_token={short}"));
    for head in [&cookie, &query] {
        let source = if head.query.is_some() { TokenSource::Query } else { TokenSource::Cookie };
        let refused = fixture.ask_with(all_sources(), head).await.unwrap_err();
        assert_eq!(refused, Reason::OriginNotAllowed);
        let optional = fixture.ask_with(all_sources().mode(Mode::Optional), head).await.unwrap_err();
        assert_eq!(optional, Reason::OriginNotAllowed, "in optional mode too");
        for site in ["same-origin", "none"] {
            let admitted =
                fixture.ask_with(all_sources(), &head.clone().with("sec-fetch-site", site)).await.unwrap();
            assert_eq!(admitted.source(), Some(source));
            assert!(admitted.is_private());
        }
        for site in ["same-site", "cross-site", "", "Same-Origin"] {
            assert!(
                fixture.ask_with(all_sources(), &head.clone().with("sec-fetch-site", site)).await.is_err(),
                "{site}"
            );
        }
        for twice in
            [["same-origin", "cross-site"], ["cross-site", "same-origin"], ["same-origin", "same-origin"]]
        {
            let head = head.clone().with("sec-fetch-site", twice[0]).with("sec-fetch-site", twice[1]);
            assert_eq!(
                fixture.ask_with(all_sources(), &head).await.unwrap_err(),
                Reason::OriginNotAllowed,
                "{twice:?}"
            );
        }
        assert!(fixture.ask_with(all_sources(), &head.clone().with("origin", APP)).await.is_ok());
        let evil = head.clone().with("origin", "https://evil.example").with("sec-fetch-site", "same-origin");
        assert!(fixture.ask_with(all_sources(), &evil).await.is_err());
    }
    assert!(fixture.ask_with(all_sources(), &query.clone().websocket()).await.is_ok(), "a WebSocket's query");
    assert!(
        fixture.ask_with(all_sources(), &cookie.clone().websocket()).await.is_err(),
        "but not its cookie"
    );
}

/// Rules O1 and O8: `*` among the allowed origins lets any page send the long-lived token itself, but not its cookie.
#[tokio::test]
async fn o1_for_a_cookie_a_star_among_the_allowed_origins_matches_nothing() {
    let world = World::new().await;
    let token = world.create_for(&["*"]).await.jwt;
    let verifier = world.verifier(all_sources().build().unwrap());
    for origin in ["https://anything.example", "null"] {
        let cookie = get().with("cookie", format!("vg={token}")).with("origin", origin);
        let refused = verifier.authorize(&cookie).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::OriginNotAllowed, "{origin}");
        let bearer = get().bearer(&token).with("origin", origin);
        assert!(verifier.authorize(&bearer).await.is_ok(), "{origin}");
    }
}

#[tokio::test]
async fn o1_for_a_cookie_a_star_matches_nothing() {
    let fixture = Fixture::new().await;
    let star = fixture.short("*");
    let cookie = get().with("cookie", format!("vg={star}")).with("origin", APP);
    assert_eq!(fixture.ask_with(all_sources(), &cookie).await.unwrap_err(), Reason::OriginNotAllowed);
    assert!(fixture.ask_with(all_sources(), &get().bearer(&star).with("origin", APP)).await.is_ok());
    let relaxed = all_sources().dangerously_allow_long_lived_tokens_from_any_origin(true);
    let long_lived = get().with("cookie", format!("vg={}", fixture.issued.jwt)).with("origin", APP);
    assert_eq!(fixture.ask_with(relaxed, &long_lived).await.unwrap_err(), Reason::OriginNotAllowed);
}

#[tokio::test]
async fn o9_a_preflight_is_nobody() {
    let fixture = Fixture::new().await;
    let preflight =
        || get().method("OPTIONS").with("origin", APP).with("access-control-request-method", "POST");
    let admitted =
        fixture.ask_with(Policy::builder(), &preflight().bearer(&fixture.issued.jwt)).await.unwrap();
    assert!(matches!(admitted.caller(), Caller::Preflight));
    assert_eq!(fixture.ask(&preflight().with("origin", APP)).await, Err(Reason::OriginNotAllowed), "O2");
    for other in [
        get().method("OPTIONS").with("origin", APP),
        get().method("OPTIONS").with("origin", APP).with("access-control-request-method", ""),
        get().method("OPTIONS").with("access-control-request-method", "POST"),
        preflight().method("options"),
        preflight().method("GET"),
    ] {
        assert_eq!(fixture.ask(&other).await, Err(Reason::MissingToken), "{other:?}");
    }
}

#[tokio::test]
async fn v1_optional_never_hides_a_bad_token() {
    let fixture = Fixture::new().await;
    let optional = || Policy::builder().mode(Mode::Optional);
    let admitted = fixture.ask_with(optional(), &get()).await.unwrap();
    assert!(matches!(admitted.caller(), Caller::Anonymous));
    for (head, reason) in [
        (get().bearer("rubbish"), Reason::InvalidToken),
        (get().bearer(&fixture.token(r#""exp":1"#)), Reason::TokenExpired),
        (get().bearer("a").bearer("b"), Reason::InvalidRequest),
        (get().with("origin", APP).with("origin", APP), Reason::OriginNotAllowed),
    ] {
        assert_eq!(fixture.ask_with(optional(), &head).await.unwrap_err(), reason);
    }
}

#[tokio::test]
async fn p1_the_path_the_client_sent() {
    let fixture = Fixture::new().await;
    let limited = sign(&fixture.key, &format!(r#"{{"sub":"api:/data-prep:{}"}}"#, fixture.issued.config.id));
    let at = |path: &str| TestHead::get(path).bearer(&limited);
    for good in
        ["/v1/data-prep", "/v1/data-prep/", "/v1/data-prep/x", "/v1/data%2Dprep", "/v1/data-prep?x=/y"]
    {
        assert_eq!(fixture.ask(&at(good)).await, Ok(()), "{good}");
    }
    for bad in [
        "/data-prep",
        "/v1/data-prepared",
        "/v1/x?path=/data-prep",
        "/v1/data-prep/../x",
        "/v1/Data-prep",
        "/v1//data-prep",
    ] {
        assert_eq!(fixture.ask(&at(bad)).await, Err(Reason::InsufficientScope), "{bad}");
    }
}

#[tokio::test]
async fn v9_the_first_thing_wrong_is_the_answer() {
    let fixture = Fixture::new().await;
    let id = fixture.issued.config.id;
    let other = MacKey::new(&Secret::generate().unwrap());
    let payload = format!(r#"{{"sub":"api:/y:{id}","exp":1,"nbf":99999999999,"aud":"https://a.example"}}"#);
    let wrong_everywhere = || get().with("origin", APP);
    let ask = async |token: &str| fixture.ask(&wrong_everywhere().bearer(token)).await;
    assert_eq!(fixture.ask(&wrong_everywhere()).await, Err(Reason::MissingToken));
    assert_eq!(ask(&sign(&other, &payload)).await, Err(Reason::InvalidToken));
    assert_eq!(ask(&sign(&fixture.key, &payload)).await, Err(Reason::TokenExpired));
    let payload = payload.replace(r#""exp":1,"#, r#""exp":99999999999,"#);
    assert_eq!(ask(&sign(&fixture.key, &payload)).await, Err(Reason::InvalidToken), "nbf");
    let payload = payload.replace(r#""nbf":99999999999,"#, "");
    assert_eq!(ask(&sign(&fixture.key, &payload)).await, Err(Reason::OriginNotAllowed));
    let payload = payload.replace("https://a.example", APP);
    assert_eq!(ask(&sign(&fixture.key, &payload)).await, Err(Reason::InsufficientScope));
    let payload = payload.replace("/y:", "/x:");
    assert_eq!(ask(&sign(&fixture.key, &payload)).await, Ok(()));
}

#[tokio::test]
async fn v1_the_answer_names_another_protocol() {
    let fixture = Fixture::new().await;
    let head =
        get().websocket().with("sec-websocket-protocol", format!("bearer.{}, chat, x", fixture.issued.jwt));
    let admitted = fixture.ask_with(all_sources(), &head).await.unwrap();
    assert_eq!(admitted.source(), Some(TokenSource::Protocol));
    assert_eq!(admitted.default_protocol(), Some("chat"));
    assert!(!admitted.is_private());
}

/// Which check failed, and that those before it passed and those behind it were not come to.
async fn failed(fixture: &Fixture, policy: PolicyBuilder, head: &TestHead) -> Option<Check> {
    let verifier = fixture.world.verifier(policy.build().unwrap());
    let Explanation { rejection, steps, .. } = verifier.explain(head).await;
    let decided = verifier.authorize(head).await.err().map(|rejection| rejection.reason());
    assert_eq!(
        rejection.map(|rejection| rejection.reason()),
        decided,
        "it is the decision itself that is explained"
    );
    assert_eq!(steps.iter().map(|step| step.check).collect::<Vec<_>>(), Check::ALL[..9]);
    let at = steps.iter().position(|step| step.outcome == Outcome::Failed);
    let last = at.unwrap_or(if head_has_token(head) { 8 } else { 1 });
    for (number, step) in steps.iter().enumerate() {
        let expected = match number {
            number if Some(number) == at => Outcome::Failed,
            number if number <= last => Outcome::Passed,
            _ => Outcome::NotReached,
        };
        assert_eq!(step.outcome, expected, "{steps:?}");
        assert_eq!(step.compared.is_empty(), expected == Outcome::NotReached, "{steps:?}");
    }
    at.map(|at| Check::ALL[at])
}

fn head_has_token(head: &TestHead) -> bool {
    crate::head::single(head, crate::head::Field::Authorization) != crate::head::Single::Absent
}

#[tokio::test(flavor = "multi_thread")]
async fn v9_each_check_is_explained() {
    let fixture = Fixture::new().await;
    let plain = || Policy::builder();
    let long = &fixture.issued.jwt;
    let gone = fixture.world.create().await;
    fixture.world.issuer.delete(gone.config.id).await.unwrap();
    let other = sign(
        &MacKey::new(&Secret::generate().unwrap()),
        &long_lived_payload(API_URL, fixture.issued.config.id),
    );
    let later = fixture.now() + 600;
    let cases = [
        (get(), Some(Check::Credentials)),
        (get().bearer(long).bearer(long), Some(Check::Credentials)),
        (get().bearer("a.b"), Some(Check::Token)),
        (get().bearer(&gone.jwt), Some(Check::WebConfig)),
        (get().bearer(&other), Some(Check::Signature)),
        (get().bearer(&fixture.token(r#""aud":"*","exp":1"#)), Some(Check::Expiry)),
        (
            get().bearer(&fixture.token(&format!(r#""aud":"*","nbf":{later},"exp":{later}"#))),
            Some(Check::NotBefore),
        ),
        (get().bearer(&fixture.short(APP)).with("origin", "https://other.example.com"), Some(Check::Origin)),
        (get().bearer(long).with("origin", APP), Some(Check::Origin)),
        (get().bearer(&fixture.short(APP)).with("origin", APP), None),
        (get().bearer(long), None),
    ];
    for (head, expected) in cases {
        assert_eq!(failed(&fixture, plain(), &head).await, expected);
    }
    let limited =
        format!(r#"{{"aud":"*","exp":{},"sub":"api:/data-prep:{}"}}"#, later, fixture.issued.config.id);
    let limited = sign(&fixture.key, &limited);
    assert_eq!(failed(&fixture, plain(), &get().bearer(&limited)).await, Some(Check::ApiPath));
    assert_eq!(failed(&fixture, plain().mode(Mode::Optional), &get()).await, None);

    let optional = fixture.world.verifier(plain().mode(Mode::Optional).build().unwrap());
    let explained = optional.explain(&get().with("origin", "none")).await;
    let outcomes: Vec<_> = explained.steps.iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes[..2], [Outcome::Passed; 2]);
    assert!(outcomes[2..7].iter().all(|outcome| *outcome == Outcome::NotReached), "{outcomes:?}");
    assert_eq!(outcomes[7..], [Outcome::Failed, Outcome::NotReached]);
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_what_a_token_says_is_told_only_if_its_signature_holds() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let forged = sign(
        &MacKey::new(&Secret::generate().unwrap()),
        &format!(r#"{{"aud":"https://forged.example","exp":1,"sub":"{}"}}"#, fixture.issued.config.id),
    );
    for token in [&forged, &fixture.issued.jwt, &fixture.short(APP)] {
        let head = get().bearer(token).with("origin", "https://page.example");
        let told = format!("{:?}", verifier.explain(&head).await);
        assert!(!told.contains("forged.example"), "{told}");
        for part in token.split('.').skip(1) {
            assert!(!told.contains(part), "a part of the token: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v5_decisions_are_counted_with_their_causes_and_explanations_are_not() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let good = get().bearer(&fixture.issued.jwt);
    let gone = fixture.world.create().await;
    fixture.world.issuer.delete(gone.config.id).await.unwrap();
    for head in [&good, &good, &get(), &get().bearer("x"), &get().bearer(&gone.jwt)] {
        let _ = verifier.authorize(head).await;
        let _ = verifier.explain(head).await;
    }
    verifier.count_refusal(None, &Rejection::new(Reason::NotFound, "d"));
    let decisions = verifier.decisions();
    assert_eq!(decisions.accepted, 2);
    assert!(decisions.waited >= 1, "a proof newer than the request was waited for: {decisions:?}");
    let refused: Vec<_> =
        decisions.refused.iter().map(|it| (it.reason.as_str(), it.cause, it.count)).collect();
    assert_eq!(
        refused,
        [
            ("missing_token", "missing_token", 1),
            ("invalid_token", "malformed token", 1),
            ("invalid_token", "unknown web config", 1),
            ("not_found", "not_found", 1),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_refusals_are_kept_explained_and_without_their_tokens() {
    let fixture = Fixture::new().await;
    let none = fixture.world.verifier(Policy::default());
    let verifier = fixture.world.verifier(Policy::default()).keeping_refusals(3);
    let other = fixture.short(APP);
    let id = RequestId::new();
    for head in [
        get(),
        get().bearer("a.b.c"),
        get().bearer(&other).with("origin", "https://other.example.com").called(id),
        get().bearer(&fixture.issued.jwt),
        get().bearer(&fixture.token(r#""exp":1"#)),
    ] {
        let _ = (none.authorize(&head).await, verifier.authorize(&head).await);
    }
    assert_eq!(none.recent_refusals().len(), 0);
    let kept = verifier.recent_refusals();
    let reasons: Vec<_> =
        kept.iter().map(|it| it.explanation.rejection.as_ref().unwrap().reason().as_str()).collect();
    assert_eq!(reasons, ["token_expired", "origin_not_allowed", "invalid_token"], "the newest first, three");
    assert_eq!(kept.iter().map(|it| it.request).collect::<Vec<_>>(), [None, Some(id), None]);
    let why = kept[1].explanation.steps.iter().find(|step| step.outcome == Outcome::Failed).unwrap();
    assert_eq!(
        (why.check, &*why.compared),
        (Check::Origin, "Origin is https://other.example.com. `aud` is https://app.example.com.")
    );
    let told = format!("{kept:?}");
    for part in other.split('.') {
        assert!(!told.contains(part), "a part of the token: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v9_what_a_gateway_refuses_is_explained_in_the_same_words() {
    let fixture = Fixture::new().await;
    let verifier = fixture.world.verifier(Policy::default());
    let explained =
        verifier.explain_refusal(&get(), None, Rejection::new(Reason::NotFound, "Nothing is there."));
    assert_eq!(explained.steps[0].check, Check::Request);
    assert_eq!(explained.steps[0].outcome, Outcome::Failed);
    assert_eq!(explained.steps[0].compared, "Nothing is there.");
    assert!(explained.steps[1..].iter().all(|step| step.outcome == Outcome::NotReached));

    let head = get().bearer(&fixture.short(APP));
    let identity = verifier.explain(&head).await.identity.unwrap();
    let refused = fixture.world.issuer.mint(&identity, None).unwrap_err();
    for (head, identity) in [(&head, None), (&get(), Some(&identity))] {
        let explained = verifier.explain_refusal(head, identity, refused.clone());
        assert_eq!(explained.steps.len(), Check::ALL.len());
        assert!(explained.steps[..9].iter().all(|step| step.outcome == Outcome::Passed), "{explained:?}");
        assert!(explained.steps.iter().all(|step| !step.compared.is_empty()), "{explained:?}");
        assert_eq!((explained.steps[9].check, explained.steps[9].outcome), (Check::Minting, Outcome::Failed));
    }
}
