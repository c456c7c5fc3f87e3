//! Providers that are down or do not do as they should, and browsers that try too often.

use form_urlencoded::Serializer;
use http::StatusCode;
use serde_json::json;

use super::browser::{ADMIN_TOKEN, Browser};
use super::provider::Provider;

const RULE: &str = "sub:248289761001";

#[tokio::test]
async fn one_that_is_down_keeps_nobody_else_out_and_may_come_back() {
    let (provider, listener) = Provider::silent().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut browser = Browser::new(&provider, &[RULE]).await;
    let page = browser.get("/console/oidc/begin").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(browser.is_refused(page).contains("or sign in with the admin token"));
    let form = Serializer::new(String::new()).append_pair("token", ADMIN_TOKEN).finish();
    let answer = browser.another().send("POST", "/console/sign-in", form, "same-origin").await;
    assert_eq!(answer.location(), "/console/contexts");

    provider.serve(tokio::net::TcpListener::bind(address).await.unwrap());
    assert_eq!(browser.sign_in().await.status, 200);
}

#[tokio::test]
async fn one_that_is_slow_is_not_waited_for_without_end() {
    let (provider, _listener) = Provider::silent().await;
    let mut browser = Browser::new(&provider, &[RULE]).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let page = browser.get("/console/oidc/begin").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!((10..11).contains(&begun.elapsed().as_secs()));
}

#[tokio::test]
async fn what_it_says_of_itself_has_to_fit() {
    let provider = Provider::new().await;
    let mut browser = Browser::new(&provider, &[RULE]).await;
    let right = provider.behaviour().metadata.clone();
    for (name, value) in [
        ("issuer", json!("https://evil.test")),
        ("jwks_uri", json!("http://evil.test/keys")),
        ("authorization_endpoint", json!("http://evil.test/authorize")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("service_documentation", json!(format!("https://id.example/{}", "x".repeat(300 * 1024)))),
    ] {
        provider.behaviour().metadata[name] = value;
        let page = browser.get("/console/oidc/begin").await;
        assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{name}");
        assert!(browser.is_refused(page).contains("does not answer, or not as"), "{name}");
        provider.behaviour().metadata = right.clone();
        // So that nothing is kept.
        browser = Browser::new(&provider, &[RULE]).await;
    }
    assert_eq!(browser.sign_in().await.status, 200);
}

#[tokio::test]
async fn what_it_answers_to_a_code_has_to_fit() {
    let provider = Provider::new().await;
    let refused = json!({ "error": "invalid_client", "error_description": "by the code" }).to_string();
    for (status, answer, said) in [
        (StatusCode::UNAUTHORIZED, refused, "calls that “invalid_client”"),
        (StatusCode::INTERNAL_SERVER_ERROR, String::new(), "does not answer, or not as"),
        (StatusCode::FOUND, "{}".to_owned(), "does not answer, or not as"),
        (StatusCode::OK, "{\"access_token\":\"x\",\"token_type\":\"Bearer\"}".to_owned(), "there is none"),
    ] {
        provider.behaviour().answer = Some((status, answer));
        let text = Browser::new(&provider, &[RULE]).await.refused().await;
        assert!(text.contains(said) && !text.contains("by the code"), "{text}");
    }
    provider.behaviour().answer = None;
    for (length, is_good) in [(100 * 1024, true), (300 * 1024, false)] {
        provider.behaviour().claims = json!({ "more": "x".repeat(length) });
        let page = Browser::new(&provider, &[RULE]).await.sign_in().await;
        assert_eq!(page.status.is_success(), is_good, "{length}: {}", page.text);
    }
    provider.behaviour().claims = json!({});
    let mut browser = Browser::new(&provider, &[RULE]).await;
    let path = browser.callback().await.replace("code%26", "another%26");
    let to = browser.come_back(&path).await;
    let page = browser.get(&to).await;
    assert!(browser.is_refused(page).contains("calls that “invalid_grant”"));
    provider.behaviour().metadata["token_endpoint"] = json!("http://evil.test/token");
    let text = Browser::new(&provider, &[RULE]).await.refused().await;
    assert!(text.contains("does not answer, or not as"), "{text}");
}

#[tokio::test]
async fn nobody_tries_very_often() {
    let provider = Provider::new().await;
    let mut browser = Browser::new(&provider, &[RULE]).await;
    let path = browser.callback().await;
    for _ in 1..10 {
        assert_eq!(browser.another().get("/console/oidc/begin").await.status, 303);
    }
    let page = browser.another().get("/console/oidc/begin").await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(page.text.contains("wait 60 seconds") || page.text.contains("wait 5"), "{}", page.text);
    let to = browser.come_back(&path).await;
    let page = browser.get(&to).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "nor is a code looked at");
    // The admin token is another matter.
    let form = Serializer::new(String::new()).append_pair("token", ADMIN_TOKEN).finish();
    let answer = browser.another().send("POST", "/console/sign-in", form, "same-origin").await;
    assert_eq!(answer.location(), "/console/contexts");
}
