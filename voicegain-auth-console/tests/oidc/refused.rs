//! Sign-ins that are refused, each for just one reason.

use http::StatusCode;
use serde_json::{Value, json};

use super::browser::Browser;
use super::provider::{CLIENT, Key, Provider, SECRET, now, unsigned};

const RULE: &str = "sub:248289761001";

#[tokio::test]
async fn claims_of_another_sign_in() {
    let provider = Provider::new().await;
    for (claims, said) in [
        (json!({ "nonce": "another" }), "its nonce is not"),
        (json!({ "nonce": null }), "its nonce is not"),
        (json!({ "aud": "another-client" }), "another audience"),
        (json!({ "aud": [CLIENT, "another-client"] }), "another audience"),
        (json!({ "aud": [] }), "another audience"),
        (json!({ "iss": "https://evil.test" }), "another issuer"),
        (json!({ "iss": format!("{}/", provider.issuer) }), "another issuer"),
        (json!({ "exp": now() - 1 }), "it has expired"),
        (json!({ "exp": null }), "not as OpenID Connect has it"),
    ] {
        provider.behaviour().claims = claims.clone();
        let text = Browser::new(&provider, &[RULE]).await.refused().await;
        assert!(text.contains(said), "{claims}: {text}");
        // Nothing else was wrong.
        provider.behaviour().claims = json!({});
        assert_eq!(Browser::new(&provider, &[RULE]).await.sign_in().await.status, 200);
    }
}

#[tokio::test]
async fn tokens_that_the_provider_has_not_signed() {
    type Sign = Box<dyn Fn(&Value) -> String + Send>;
    let provider = Provider::new().await;
    let hmac = |key: &'static str| -> Sign { Box::new(move |claims| hs256(claims, key.as_bytes())) };
    let other = |id| -> Sign {
        let key = Key::new(id);
        Box::new(move |claims| key.sign(claims))
    };
    let cases: Vec<(&str, Sign, &str)> = vec![
        (
            "none",
            Box::new(|claims| format!("{}.", unsigned(&json!({ "alg": "none" }), claims))),
            "its algorithm",
        ),
        ("HS256 with the client's id", hmac(CLIENT), "its algorithm"),
        ("HS256 with the client's secret", hmac(SECRET), "its algorithm"),
        ("another key by the same name", other(Some("first")), "its signature is not"),
        ("another key without a name", other(None), "its signature is not"),
        ("a key by another name", other(Some("another")), "none of the provider&#39;s keys"),
        ("no token", Box::new(|_| "no-token-of-any-kind".to_owned()), "not as OpenID Connect has it"),
    ];
    for (what, sign, said) in cases {
        provider.behaviour().sign = sign;
        let text = Browser::new(&provider, &[RULE]).await.refused().await;
        assert!(text.contains(said), "{what}: {text}");
    }
}

fn hs256(claims: &Value, key: &[u8]) -> String {
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};
    // RFC 2104, for a key that is shorter than a block.
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let signed = unsigned(&json!({ "alg": "HS256" }), claims);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(&signed).finalize();
    let mac = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    format!("{signed}.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mac))
}

#[tokio::test]
async fn answers_to_another_sign_in() {
    const OVER: &str = "This sign-in was not begun in this browser";
    let provider = Provider::new().await;
    let mut browser = Browser::new(&provider, &[RULE]).await;

    let path = browser.callback().await;
    let (before, _) = path.split_once("state=").unwrap();
    let to = browser.come_back(&format!("{before}state=another")).await;
    let page = browser.get(&to).await;
    assert!(browser.is_refused(page).contains(OVER), "a state that is not known");

    let path = browser.another().callback().await;
    let to = browser.come_back(&path).await;
    let page = browser.get(&to).await;
    assert!(browser.is_refused(page).contains(OVER), "without the cookie");

    let path = browser.another().callback().await;
    browser.callback().await;
    let to = browser.come_back(&path).await;
    let page = browser.get(&to).await;
    assert!(browser.is_refused(page).contains(OVER), "another browser's");

    let mut first = browser.another();
    let path = first.callback().await;
    let mut copy = first.another();
    copy.adopt(&first);
    assert_eq!(first.come_back(&path).await, "/console/contexts?account=a");
    let to = copy.come_back(&path).await;
    let page = copy.get(&to).await;
    assert!(copy.is_refused(page).contains(OVER), "used before");

    let path = browser.callback().await;
    let to = browser.come_back(&path.replace("&iss=", "&iss=https://evil.test/")).await;
    let page = browser.get(&to).await;
    assert!(browser.is_refused(page).contains("another issuer has answered"), "RFC 9207");
}

#[tokio::test]
async fn strangers_are_told_who_they_are() {
    let provider = Provider::new().await;
    let ann = json!({ "email": "ann@example.com", "email_verified": true, "groups": ["staff"] });
    let rules = ["sub:2482897610", "email:bob@example.com", "domain:example.org", "group:ops"];
    provider.behaviour().claims = ann;
    let text = Browser::new(&provider, &rules).await.refused().await;
    for said in ["signed you in as ann@example.com", "sub:248289761001 or email:ann@example.com"] {
        assert!(text.contains(said), "{text}");
    }
    for verified in [json!(false), json!("false"), json!(null)] {
        provider.behaviour().claims = json!({ "email": "ann@example.com", "email_verified": verified });
        let rules = ["email:ann@example.com", "domain:example.com"];
        let text = Browser::new(&provider, &rules).await.refused().await;
        assert!(text.contains("signed you in as sub:248289761001,"), "{text}");
        assert!(text.contains("does not say that it is verified"), "{text}");
        assert!(!text.contains("ann@example.com"), "{text}");
    }
    provider.behaviour().claims = json!({ "sub": "<script>x</script>" });
    let text = Browser::new(&provider, &rules).await.refused().await;
    assert!(text.contains("sub:&#60;script&#62;x"), "{text}");
}

#[tokio::test]
async fn what_the_provider_says_of_an_error_is_escaped_and_short() {
    let provider = Provider::new().await;
    let mut browser = Browser::new(&provider, &[RULE]).await;
    for (error, said) in [
        ("error=access_denied", "did not let you in"),
        ("error=server_error&error_description=Try+later", "It says: “Try later”"),
        (
            "error=<b>%0a&error_description=<script>x</script>",
            "“&#60;b&#62;\u{fffd}”. It says: “&#60;script&#62;x",
        ),
    ] {
        let path = browser.callback().await;
        let (_, state) = path.split_once("&state=").unwrap();
        let path = format!("/console/oidc/callback?{error}&state={state}");
        let to = browser.come_back(&path.replace('<', "%3C").replace('>', "%3E")).await;
        let page = browser.get(&to).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        let text = browser.is_refused(page);
        assert!(text.contains(said), "{text}");
    }
    let path = browser.callback().await;
    let (_, state) = path.split_once("&state=").unwrap();
    let long = "x".repeat(5_000);
    let to = browser
        .come_back(&format!("/console/oidc/callback?error=e&error_description={long}&state={state}"))
        .await;
    let text = browser.get(&to).await.text;
    assert!(text.contains(&"x".repeat(200)) && !text.contains(&"x".repeat(201)), "{text}");
}
