//! The API behind the gateway: it is sent no token, and believes what the gateway says of the caller.

use axum::Json;
use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::header::{AUTHORIZATION, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::{any, get};
use serde_json::{Value, json};

pub fn router() -> Router {
    Router::new().route("/v1/hello", any(hello)).route("/v1/echo", get(echo))
}

async fn hello(method: Method, uri: Uri, headers: HeaderMap) -> Json<Value> {
    tell(&method, &uri, &headers);
    Json(json!({
        "hello": text(&headers, "x-voicegain-account-id"),
        "context": text(&headers, "x-voicegain-context-id"),
        "tokenKind": text(&headers, "x-voicegain-token-kind"),
        "tokenArrived": headers.contains_key(AUTHORIZATION),
    }))
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    tell(&method, &uri, &headers);
    upgrade.protocols(["echo"]).on_upgrade(send_back)
}

async fn send_back(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        // A ping is answered by the library, and is no message to send back.
        if matches!(message, axum::extract::ws::Message::Text(_) | axum::extract::ws::Message::Binary(_))
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}

/// What has arrived, in the terminal.
fn tell(method: &Method, uri: &Uri, headers: &HeaderMap) {
    println!(
        "{method} {} from the page {}, authorization: {:?}, subprotocols: {:?}",
        uri.path(),
        text(headers, ORIGIN.as_str()),
        // No more of a token than that there is one: without a gateway in front it would be whole.
        text(headers, AUTHORIZATION.as_str()).get(..1).unwrap_or_default(),
        text(headers, SEC_WEBSOCKET_PROTOCOL.as_str())
            .replace("bearer.", "bearer")
            .split('.')
            .next()
            .unwrap_or_default(),
    );
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
