use axum::body::Body;
use axum::http::header::ORIGIN;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use voicegain_auth_client::LongLivedToken;

use super::*;

const TOKENS: [&str; 4] = ["/token", "/token/new", "/token/other-origin", "/token/one-second"];
const LONG: &str = "bG9uZw.bGl2ZWQ.dG9rZW4";

/// The page's server, before an API that mints `short.lived.token` if it knows the long-lived one.
async fn page(long: &str) -> Router {
    let mint = async |headers: HeaderMap| match headers.get("authorization") {
        Some(value) if *value == *format!("Bearer {LONG}") => "short.lived.token".into_response(),
        _ => refuse(StatusCode::UNAUTHORIZED, "invalid_token", "secret matters"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}/v1", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/security/jwt", get(mint));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let minter = TokenMinter::new(&*api, LongLivedToken::new(long).unwrap()).unwrap();
    router(minter, &api, "127.0.0.1:3000".parse().unwrap(), Duration::from_secs(300)).unwrap()
}

async fn ask(page: &Router, path: &str, headers: &[(&str, &str)]) -> (Response<()>, String) {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = page.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    (Response::from_parts(parts, ()), body)
}

const OWN: [(&str, &str); 2] = [("host", "127.0.0.1:3000"), ("sec-fetch-site", "same-origin")];

#[tokio::test]
async fn the_page_gets_tokens_that_nothing_keeps() {
    let page = page(LONG).await;
    for path in TOKENS {
        let (response, body) = ask(&page, path, &OWN).await;
        assert_eq!(response.status(), 200);
        assert!(body.contains(r#""token":"short.lived.token""#), "{body}");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
}

#[tokio::test]
async fn nobody_else_gets_one() {
    let page = page(LONG).await;
    let [host, same] = OWN;
    let cases: [&[(&str, &str)]; 9] = [
        &[],
        &[host],
        &[same],
        &[host, ("sec-fetch-site", "cross-site")],
        &[host, ("sec-fetch-site", "same-site")],
        // Somebody who types the address, and would see the token.
        &[host, ("sec-fetch-site", "none")],
        &[host, same, ("sec-fetch-site", "cross-site")],
        &[("host", "evil.example:3000"), same],
        &[host, ("host", "evil.example"), same],
    ];
    for headers in cases {
        for path in TOKENS {
            let (response, body) = ask(&page, path, headers).await;
            assert_eq!(response.status(), 403, "{headers:?}");
            assert!(body.contains("cross_site") && !body.contains("short.lived"), "{body}");
        }
    }
    let (response, _) = ask(&page, "/token", &[host, same, (ORIGIN.as_str(), "https://evil.example")]).await;
    assert!(!response.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn what_is_wrong_with_the_servers_token_is_not_told_to_the_page() {
    let page = page("an.other.token").await;
    let (response, body) = ask(&page, "/token", &OWN).await;
    assert_eq!(response.status(), 502);
    assert!(body.contains("no_token") && !body.contains("secret"), "{body}");
}

#[tokio::test]
async fn the_page_may_connect_to_the_api_and_run_nothing_else() {
    let page = page(LONG).await;
    let (response, body) = ask(&page, "/", &OWN).await;
    let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    let (_, config) = ask(&page, "/config.json", &OWN).await;
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let api = config["api"].as_str().unwrap().strip_suffix("/v1").unwrap();
    let web_socket = config["webSocket"].as_str().unwrap().strip_suffix("/v1").unwrap();
    assert_eq!(web_socket, api.replace("http://", "ws://"));
    assert!(policy.contains(&format!("connect-src 'self' {api} {web_socket};")), "{policy}");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    // Which then would not run.
    assert!(!body.contains("<script>") && !body.contains(" style="));
}
