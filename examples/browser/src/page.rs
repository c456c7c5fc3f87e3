//! The page, and short-lived tokens for it. The long-lived one stays here.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use url::Url;
use voicegain_auth_client::{MintError, ShortLivedToken, TokenMinter, TokenRequest};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

struct Page {
    minter: TokenMinter,
    /// What the page asks for: the API, and the same for its WebSocket.
    config: serde_json::Value,
    policy: HeaderValue,
    authority: String,
    /// The page's own tokens: its origin is their audience.
    own: TokenRequest,
    lifetime: Duration,
}

/// The server at this address, for a page that calls the API at this URL.
pub fn router(
    minter: TokenMinter,
    api: &str,
    address: SocketAddr,
    lifetime: Duration,
) -> Result<Router, Box<dyn Error>> {
    let api = Url::parse(api)?;
    let mut web_socket = api.clone();
    let scheme = if api.scheme() == "https" { "wss" } else { "ws" };
    web_socket.set_scheme(scheme).map_err(|()| "the API's URL is neither https nor http")?;
    let base = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    let api_origin = api.origin().ascii_serialization();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {api_origin} {}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        api_origin.replacen("http", "ws", 1)
    );
    let page = Page {
        minter,
        config: json!({ "api": base(&api), "webSocket": base(&web_socket) }),
        policy: HeaderValue::from_str(&policy)?,
        authority: address.to_string(),
        own: TokenRequest::new(format!("http://{address}")).lifetime(lifetime),
        lifetime,
    };
    let page = Arc::new(page);
    let tokens = Router::new()
        .route("/token", get(own_token))
        .route("/token/new", get(new_token))
        .route("/token/other-origin", get(token_for_another_origin))
        .route("/token/one-second", get(token_for_one_second))
        .layer(middleware::from_fn_with_state(Arc::clone(&page), only_for_the_page));
    Ok(Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("../assets/page.html"))))
        .route("/page.js", get(async || file("text/javascript", include_str!("../assets/page.js"))))
        .route("/page.css", get(async || file("text/css", include_str!("../assets/page.css"))))
        .route("/config.json", get(async |State(page): State<Arc<Page>>| Json(page.config.clone())))
        .merge(tokens)
        .layer(middleware::from_fn_with_state(Arc::clone(&page), for_every_answer))
        .with_state(page))
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], content)
}

/// Nothing of another origin may run in the page, frame it or read what is answered here, and nothing is kept.
async fn for_every_answer(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, page.policy.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Tokens are for this page's own script. Browsers say by themselves who asks, and no script can change it; `Host` is
/// looked at for pages whose name has been made to lead here. **Who signs in is a matter of your application**: ask for its
/// session here too.
async fn only_for_the_page(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    if is_from_the_page(request.headers(), &page.authority) {
        return next.run(request).await;
    }
    refuse(StatusCode::FORBIDDEN, "cross_site", "Tokens are for the page of this server; ask from there.")
}

fn is_from_the_page(headers: &HeaderMap, authority: &str) -> bool {
    let is_just = |name, wanted: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value == wanted) && values.next().is_none()
    };
    is_just(HOST, authority) && is_just(SEC_FETCH_SITE, "same-origin")
}

/// The page's own token, the same one until it is nearly over.
async fn own_token(State(page): State<Arc<Page>>) -> Response {
    answer(page.minter.token(&page.own).await)
}

/// The next one, for a page whose last one was refused, as Regenerate ends tokens before their time. Whoever asks again and
/// again gets one a second.
async fn new_token(State(page): State<Arc<Page>>) -> Response {
    if let Ok(token) = page.minter.token(&page.own).await
        && token.remaining().saturating_add(Duration::from_secs(1)) < page.lifetime
    {
        page.minter.forget(&page.own, &token);
    }
    answer(page.minter.token(&page.own).await)
}

/// Good for another page alone, so that this one is refused for its origin.
async fn token_for_another_origin(State(page): State<Arc<Page>>) -> Response {
    answer(page.minter.token("https://other.example.com").await)
}

/// The shortest life there is.
async fn token_for_one_second(State(page): State<Arc<Page>>) -> Response {
    answer(page.minter.mint(page.own.clone().lifetime(Duration::from_secs(1))).await)
}

fn answer(minted: Result<ShortLivedToken, MintError>) -> Response {
    match minted {
        Ok(token) => {
            let remaining = u64::try_from(token.remaining().as_millis()).unwrap_or(u64::MAX);
            Json(json!({ "token": token.expose(), "remainingMilliseconds": remaining })).into_response()
        }
        Err(error) => {
            // What is wrong with the server's token is no matter of the page's.
            eprintln!("no token: {}", crate::with_causes(&error));
            refuse(
                StatusCode::BAD_GATEWAY,
                "no_token",
                "The API gave this server no token; its terminal says why.",
            )
        }
    }
}

fn refuse(status: StatusCode, reason: &str, detail: &str) -> Response {
    (status, Json(json!({ "error": { "reason": reason, "detail": detail } }))).into_response()
}

#[cfg(test)]
mod tests;
