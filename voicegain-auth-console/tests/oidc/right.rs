//! Sign-ins that are good.

use std::collections::HashMap;

use form_urlencoded::Serializer;
use serde_json::json;

use super::browser::{Browser, config};
use super::provider::{CLIENT, Key, Provider};

#[tokio::test]
async fn somebody_signs_in_is_named_and_signs_out() {
    let provider = Provider::new().await;
    provider.behaviour().claims = json!({ "email": "ann@example.com", "email_verified": true });
    let mut browser = Browser::new(&provider, &["sub:other", "email:Ann@example.com"]).await;
    let page = browser.get("/console/sign-in?next=/console/contexts").await;
    assert!(
        page.text.contains("href=\"/console/oidc/begin?next=%2Fconsole%2Fcontexts\">Sign in with 127.0.0.1")
    );
    assert!(page.text.contains("Admin token"), "which goes on to be good");

    let path = browser.callback().await;
    assert_eq!(browser.cookies(), ["voicegain-console-oidc"]);
    assert_eq!(browser.come_back(&path).await, "/console/contexts?account=a");
    assert_eq!(browser.cookies(), ["voicegain-console"]);
    let page = browser.get("/console/contexts").await;
    assert!(page.text.contains("<span>ann@example.com</span>"), "{}", page.text);
    assert_eq!(browser.get("/console/oidc/begin").await.location(), "/console/sign-in", "who is signed in");

    let session = Serializer::new(String::new()).append_pair("session", &page.field("session")).finish();
    let mut copy = browser.another();
    copy.adopt(&browser);
    let answer = browser.send("POST", "/console/sign-out", session, "same-origin").await;
    assert_eq!(answer.location(), "/console/sign-in?signed_out");
    let page = browser.get("/console/sign-in?signed_out").await;
    assert!(page.text.contains("At 127.0.0.1 you still are signed in"), "{}", page.text);
    assert_eq!(
        copy.get("/console/contexts").await.status,
        303,
        "the session has ended here, not only in the browser"
    );
}

#[tokio::test]
async fn the_provider_is_asked_for_what_it_should_be() {
    let provider = Provider::new().await;
    let mut browser = Browser::new(&provider, &["sub:248289761001"]).await;
    let begun = browser.get("/console/oidc/begin").await;
    let cookie = begun.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.ends_with("; Path=/console/oidc/callback; HttpOnly; SameSite=Lax; Max-Age=600; Secure"),
        "{cookie}"
    );
    let (_, query) = begun.location().split_once('?').unwrap();
    let asked: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let wanted = [
        ("client_id", CLIENT),
        ("redirect_uri", super::browser::REDIRECT),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in wanted {
        assert_eq!(asked[name], value, "{name}");
    }
    for name in ["state", "nonce", "code_challenge"] {
        assert!(asked[name].len() >= 22, "{name}");
    }
    let again = browser.get("/console/oidc/begin").await;
    let again: HashMap<_, _> = form_urlencoded::parse(again.location().as_bytes()).into_owned().collect();
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(asked[name], again[name], "{name}");
    }
    let config = config(&provider, &["sub:1"]).scopes(["profile".to_owned(), "groups".to_owned()]);
    let begun = Browser::with(&provider, config).await.get("/console/oidc/begin").await;
    assert!(begun.location().contains("scope=openid+profile+groups"), "{}", begun.location());
}

#[tokio::test]
async fn a_client_shows_who_it_is_as_the_provider_wants_it() {
    let provider = Provider::new().await;
    for methods in [json!(["client_secret_post"]), json!(["client_secret_basic", "client_secret_post"])] {
        provider.behaviour().metadata["token_endpoint_auth_methods_supported"] = methods;
        let mut browser = Browser::new(&provider, &["sub:248289761001"]).await;
        assert_eq!(browser.sign_in().await.status, 200);
    }
    provider.behaviour().metadata["token_endpoint_auth_methods_supported"] = json!(["none"]);
    let mut browser = Browser::with(&provider, config(&provider, &["sub:248289761001"])).await;
    assert_eq!(browser.sign_in().await.status, 200);
}

#[tokio::test]
async fn by_each_kind_of_rule() {
    let provider = Provider::new().await;
    let email = json!({ "email": "ann@example.com", "email_verified": true });
    for (claims, rule, name) in [
        (json!({}), "sub:248289761001", "sub:248289761001"),
        (email.clone(), "sub:248289761001", "ann@example.com"),
        (email.clone(), "email:ann@example.com", "ann@example.com"),
        (email, "domain:example.com", "ann@example.com"),
        // As some providers write it.
        (
            json!({ "email": "ann@example.com", "email_verified": "true" }),
            "domain:example.com",
            "ann@example.com",
        ),
        (json!({ "groups": ["staff", "ops"] }), "group:ops", "sub:248289761001"),
        (json!({ "groups": "ops" }), "group:ops", "sub:248289761001"),
        (json!({ "groups": { "ops": 1 } }), "sub:248289761001", "sub:248289761001"),
    ] {
        provider.behaviour().claims = claims;
        let page = Browser::new(&provider, &[rule]).await.sign_in().await;
        assert!(page.text.contains(&format!("<span>{name}</span>")), "{rule}: {}", page.text);
    }
}

#[tokio::test]
async fn a_key_that_the_provider_has_changed_is_fetched() {
    let provider = Provider::new().await;
    let mut browser = Browser::new(&provider, &["sub:248289761001"]).await;
    assert_eq!(browser.sign_in().await.status, 200);
    assert_eq!(browser.another().sign_in().await.status, 200);
    assert_eq!(provider.behaviour().asked, 1, "keys are kept");
    // Also one that goes by no name, or by the same.
    for (nth, id) in [Some("second"), None, None, Some("third"), Some("third")].into_iter().enumerate() {
        let key = Key::new(id);
        {
            let mut behaviour = provider.behaviour();
            behaviour.keys = vec![key.clone()];
            behaviour.sign = Box::new(move |claims| key.sign(claims));
        }
        assert_eq!(browser.another().sign_in().await.status, 200, "{id:?}");
        assert_eq!(provider.behaviour().asked, nth + 2);
    }
}

#[tokio::test]
async fn what_leads_elsewhere_leads_to_the_first_page() {
    let provider = Provider::new().await;
    let mut browser = Browser::new(&provider, &["sub:248289761001"]).await;
    for next in
        ["https://evil.test/", "//evil.test", "/api/web-configs", &format!("/console/{}", "x".repeat(1_100))]
    {
        let next = Serializer::new(String::new()).append_pair("next", next).finish();
        let mut browser = browser.another();
        let begun = browser.get(&format!("/console/oidc/begin?{next}")).await;
        let path = format!("/console/oidc/callback?{}", provider.authorize(begun.location()));
        assert_eq!(browser.come_back(&path).await, "/console/contexts", "{next}");
    }
    // No other site begins one.
    let answer = browser.send("GET", "/console/oidc/begin", String::new(), "cross-site").await;
    assert_eq!((answer.location(), browser.cookies()), ("/console/sign-in", vec![]));
}
