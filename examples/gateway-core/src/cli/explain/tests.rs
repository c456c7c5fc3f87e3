use voicegain_auth_core::{CreateRequest, MemoryStore, Policy, SecretCache};

use super::*;
use crate::cli::parse::tests::serving;

const TOKEN: &str = "aaa.bbb.ccc";

fn asked(path: Option<&str>) -> Asked {
    Asked { path: path.map(str::to_owned), method: "GET".to_owned(), origin: None, host: None }
}

#[test]
fn the_token_is_where_the_gateway_looks_for_it() {
    for (sources, field, value) in [
        ("header,query", "authorization", "Bearer aaa.bbb.ccc"),
        ("protocol,cookie:vg", "sec-websocket-protocol", "bearer.aaa.bbb.ccc, chat"),
        ("cookie:vg", "cookie", "vg=aaa.bbb.ccc"),
    ] {
        let args = serving(&["--token-sources", sources]);
        let head = head(&args, &asked(None), TOKEN).unwrap();
        assert_eq!(head.headers.get(field).unwrap(), value, "{sources}");
        assert_eq!(head.uri, "/v1/", "{sources}");
        assert_eq!(head.headers.get("host").unwrap(), "api.voicegain.ai");
        assert!(!format!("{head:?}").contains("bbb"), "{sources}");
    }
    let args = serving(&["--token-sources", "query", "--base-path", "/"]);
    assert_eq!(head(&args, &asked(None), TOKEN).unwrap().uri, "/?access_token=aaa%2Ebbb%2Eccc");
    let with_query = head(&args, &asked(Some("/x?y=1")), TOKEN).unwrap();
    assert_eq!(with_query.uri, "/x?y=1&access_token=aaa%2Ebbb%2Eccc");
}

#[test]
fn what_no_client_can_send_is_said_without_the_token() {
    let args = serving(&[]);
    for (asked, token, said) in [
        (asked(Some("x")), TOKEN, "--path: write a path that begins with a slash"),
        (asked(Some("/a b")), TOKEN, "--path: no client can send this"),
        (Asked { method: "G T".to_owned(), ..asked(None) }, TOKEN, "--method"),
        (Asked { origin: Some("a\nb".to_owned()), ..asked(None) }, TOKEN, "--origin has characters"),
        (asked(None), "hush\nhush", "the token has characters"),
    ] {
        let problem = head(&args, &asked, token).unwrap_err();
        assert!(problem.contains(said) && !problem.contains("hush"), "{problem}");
    }
}

/// Every check in order, and the end.
async fn told(
    words: &[&str],
    asked: &Asked,
    token: &str,
    verifier: &Verifier,
    issuer: &Issuer,
) -> (Vec<String>, String, bool) {
    let head = head(&serving(words), asked, token).unwrap();
    let (text, outcome) = decide(verifier, issuer, None, &head).await;
    let accepted = outcome == 0;
    assert!(!text.contains(token), "{text}");
    let outcomes = text.lines().filter_map(|line| line.get(..12));
    let outcomes = outcomes.map(str::trim).filter(|word| ["passed", "failed", "not reached"].contains(word));
    (outcomes.map(str::to_owned).collect(), text.lines().last().unwrap_or_default().to_owned(), accepted)
}

#[tokio::test]
async fn v9_each_check_in_order() {
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
    let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
    let verifier = Verifier::new(cache, Policy::default());
    let request = CreateRequest::new("a".parse().unwrap(), "c".parse().unwrap(), "n\u{202e}");
    let issued = issuer.create(request).await.unwrap();
    let token = issued.jwt.as_str();
    let told = async |asked: &Asked, token: &str| told(&[], asked, token, &verifier, &issuer).await;
    let count = |outcomes: &[String], outcome: &str| outcomes.iter().filter(|told| *told == outcome).count();

    let (outcomes, end, accepted) = told(&asked(None), token).await;
    assert_eq!((outcomes, end.as_str(), accepted), (vec!["passed".to_owned(); 9], "accepted", true));

    let page = Asked { origin: Some("https://page.example".to_owned()), ..asked(None) };
    let (outcomes, end, accepted) = told(&page, token).await;
    assert_eq!(outcomes.get(7..), Some(["failed", "not reached"].map(str::to_owned).as_slice()));
    assert!(end.starts_with("refused: 403 origin_not_allowed: ") && !accepted, "{end}");

    let (outcomes, end, _) = told(&asked(Some("/v1/../x")), token).await;
    assert_eq!(
        (outcomes, end.starts_with("refused: 400 invalid_request: ")),
        ([vec!["failed".to_owned()], vec!["not reached".to_owned(); 8]].concat(), true)
    );
    let (_, end, _) = told(&asked(Some("/elsewhere")), token).await;
    assert!(end.starts_with("refused: 404 not_found: "), "{end}");
    let (outcomes, end, _) = told(&asked(None), "x.y").await;
    assert_eq!((count(&outcomes, "passed"), count(&outcomes, "failed")), (2, 1), "{end}");
    assert!(end.starts_with("refused: 401 invalid_token: "), "{end}");

    for (path, passed, reason) in [
        ("/v1/security/jwt?aud=https://a.example", 9, "accepted"),
        ("/v1/security/jwt", 9, "refused: 400 invalid_parameter: "),
        ("/v1/security/jwt?aud=*.com", 9, "refused: 400 invalid_parameter: "),
    ] {
        let (outcomes, end, _) = told(&asked(Some(path)), token).await;
        assert_eq!(count(&outcomes, "passed"), passed, "{path}: {end}");
        assert!(end.starts_with(reason), "{path}: {end}");
    }

    issuer.regenerate(issued.config.id).await.unwrap();
    let (outcomes, end, accepted) = told(&asked(None), token).await;
    assert_eq!(outcomes.get(4).map(String::as_str), Some("failed"), "{outcomes:?}");
    assert!(end.starts_with("refused: 401 invalid_token: ") && !accepted, "{end}");
}
