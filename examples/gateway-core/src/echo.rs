//! The built-in echo: answers what an upstream would have received.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::pin;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderValue, Response};
use http_body::Body;
use http_body_util::BodyExt as _;
use serde::Serialize;
use voicegain_auth_core::{Reason, Rejection};

use crate::body::GatewayBody;
use crate::forward::{ForwardContext, Purpose, hop, set_handshake};

#[derive(Serialize)]
struct Echo<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: BTreeMap<&'a str, Vec<Cow<'a, str>>>,
    #[serde(rename = "bodyBytes")]
    body_bytes: u64,
}

/// Answers 200 with `{"method","path","query","headers":{"lower-case-name":["value",…]},"bodyBytes":n}`, to WebSocket
/// handshakes too. The body is read to its end and counted, never kept.
///
/// # Errors
/// If the body is too large, breaks off, or the exchange is ended before it has been read (rule C8).
pub async fn echo<B>(
    mut parts: Parts,
    body: B,
    context: ForwardContext,
    max_body_bytes: u64,
) -> Result<Response<GatewayBody>, Rejection>
where
    B: Body<Data = Bytes>,
{
    let purpose = Purpose::of(&parts, body.is_end_stream());
    let counted = count(body, max_body_bytes);
    let body_bytes = match context.ending {
        Some(ending) => tokio::select! {
            biased;
            counted = counted => counted?,
            () = ending.has_come() => return Err(ended_early()),
        },
        None => counted.await?,
    };

    let authority = authority(&parts);
    let headers = &mut parts.headers;
    hop::strip_request_headers(headers);
    hop::join_cookies(headers);
    hop::set_forwarding(headers, context.client, &context.scheme, authority.clone());
    if let Some(authority) = authority {
        headers.insert(HOST, authority);
    }
    if let Ok(Purpose::WebSocket { key }) = purpose {
        set_handshake(headers, key);
    }
    hop::set_own(headers, context.headers);

    let mut seen: BTreeMap<&str, Vec<Cow<'_, str>>> = BTreeMap::new();
    for (name, value) in &parts.headers {
        seen.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()));
    }
    let echo = Echo {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: seen,
        body_bytes,
    };
    // Strings and a number: there is nothing in it that JSON cannot hold.
    let mut response = Response::new(serde_json::to_string(&echo).unwrap_or_default().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn authority(parts: &Parts) -> Option<HeaderValue> {
    match parts.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => parts.headers.get(HOST).cloned(),
    }
}

async fn count<B: Body<Data = Bytes>>(body: B, max: u64) -> Result<u64, Rejection> {
    if body.size_hint().lower() > max {
        return Err(too_large());
    }
    let mut body = pin!(body);
    let mut count: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            let detail = "The request body ended early; send it again in full.";
            return Err(Rejection::new(Reason::InvalidRequest, detail));
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        count = count.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if count > max {
            return Err(too_large());
        }
    }
    Ok(count)
}

fn too_large() -> Rejection {
    let detail = "The request body is larger than this gateway takes; send less at a time.";
    Rejection::new(Reason::RequestTooLarge, detail)
}

fn ended_early() -> Rejection {
    let detail = "The request was ended because its token can no longer be confirmed; send it again with a valid token.";
    Rejection::new(Reason::TemporarilyUnavailable, detail)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::uri::Scheme;
    use http::{HeaderName, Request};
    use http_body_util::{Full, StreamBody};

    use super::*;
    use crate::forward::Ending;

    fn context() -> ForwardContext {
        let mut context = ForwardContext::new(Ipv4Addr::new(192, 0, 2, 9).into(), Scheme::HTTP);
        let account = (HeaderName::from_static("x-voicegain-account-id"), HeaderValue::from_static("acc"));
        context.headers.push(account);
        context
    }

    async fn read(response: Response<GatewayBody>) -> serde_json::Value {
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    /// A body that must not be read.
    struct Announced(u64);

    impl Body for Announced {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            panic!("it is known to be too large")
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test]
    async fn it_answers_what_an_upstream_would_have_received() {
        let request = Request::post("/v1/a%20b?x=1&y")
            .header("host", "gw.example")
            .header("x-twice", "1")
            .header("x-twice", "2")
            .header("connection", "upgrade, x-hop")
            .header("upgrade", "h2c")
            .header("x-hop", "1")
            .header("x-forwarded-for", "203.0.113.1")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let answer = echo(parts, Full::new(Bytes::from_static(b"12345")), context(), 5).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(
            read(answer).await,
            serde_json::json!({
                "method": "POST", "path": "/v1/a%20b", "query": "x=1&y", "bodyBytes": 5,
                "headers": {
                    "host": ["gw.example"],
                    "x-twice": ["1", "2"],
                    "cookie": ["a=1; b=2"],
                    "x-forwarded-for": ["192.0.2.9"],
                    "x-forwarded-host": ["gw.example"],
                    "x-forwarded-proto": ["http"],
                    "x-voicegain-account-id": ["acc"],
                },
            })
        );
    }

    #[tokio::test]
    async fn v10_an_upgrade_is_shown_only_as_a_well_formed_handshake() {
        for (version, shown) in [("13", Some(serde_json::json!(["websocket"]))), ("8", None)] {
            let request = Request::get("/v1/ws")
                .header("host", "gw.example")
                .header("connection", "keep-alive, upgrade")
                .header("upgrade", "WebSocket")
                .header("sec-websocket-version", version)
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let answer = echo(parts, Full::<Bytes>::default(), context(), 0).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(read(answer).await["headers"].get("upgrade"), shown.as_ref(), "{version}");
        }
    }

    #[tokio::test]
    async fn e_a_body_over_the_limit_is_refused_announced_or_not() {
        let (parts, ()) = Request::post("/v1/x").body(()).unwrap().into_parts();
        let error = echo(parts.clone(), Announced(6), context(), 5).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RequestTooLarge);
        let pieces = [Bytes::from_static(b"123"), Bytes::from_static(b"456")].map(http_body::Frame::data);
        let pieces = pieces.map(Ok::<_, std::convert::Infallible>);
        let unannounced = StreamBody::new(futures_util::stream::iter(pieces));
        let error = echo(parts, unannounced, context(), 5).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RequestTooLarge);
    }

    #[tokio::test]
    async fn c8_an_upload_ends_with_its_token() {
        let (parts, ()) = Request::post("/v1/x").body(()).unwrap().into_parts();
        let endless = StreamBody::new(futures_util::stream::pending::<
            Result<http_body::Frame<Bytes>, std::io::Error>,
        >());
        let context = ForwardContext { ending: Some(Ending::when(std::future::ready(()))), ..context() };
        let error = echo(parts, endless, context, 5).await.unwrap_err();
        assert_eq!(error.reason(), Reason::TemporarilyUnavailable);
    }
}
