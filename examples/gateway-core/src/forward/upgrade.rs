//! WebSockets: what counts as a handshake, the connection of its own it gets, and the tunnel after it (rule
//! V10).

use std::fmt;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, copy_bidirectional_with_sizes};
use tracing::debug;
use tracing::field::display;
use voicegain_auth_core::RequestId;

use super::connect::Stream;
use super::error::{ForwardError, ForwardErrorKind};
use super::exchange::Exchange;
use super::hop::{has_token, single};

/// How much a tunnel holds in each direction.
const TUNNEL_BUFFER: usize = 16 * 1024;

/// The client's side of a connection that is about to become a tunnel.
///
/// Nothing is read from it before the upstream has agreed.
#[non_exhaustive]
pub enum ClientUpgrade {
    /// What hyper's servers (and so axum's) leave in the request's extensions.
    Hyper(OnUpgrade),
    /// For other servers: the other half of the pair is fed with the client's bytes and drained to the
    /// client.
    Duplex(DuplexStream),
}

impl fmt::Debug for ClientUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hyper(_) => "ClientUpgrade::Hyper",
            Self::Duplex(_) => "ClientUpgrade::Duplex",
        })
    }
}

/// What a request asks of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// One response.
    Exchange,
    /// A WebSocket by HTTP/1.1 upgrade.
    WebSocket { key: HeaderValue },
    /// A WebSocket over HTTP/2 (RFC 8441).
    ExtendedConnect,
}

impl Purpose {
    /// A handshake that is not well-formed is an ordinary request, whose `Upgrade` is removed like any other.
    ///
    /// # Errors
    ///
    /// The method is `CONNECT` without a WebSocket, or `TRACE`.
    pub(crate) fn of(parts: &Parts, body_is_empty: bool) -> Result<Self, ForwardError> {
        if parts.method == Method::CONNECT {
            return extended_connect(parts);
        }
        if parts.method == Method::TRACE {
            return Err(not_allowed("TRACE is not forwarded; use another method."));
        }
        Ok(match handshake_key(parts, body_is_empty) {
            Some(key) => Self::WebSocket { key },
            None => Self::Exchange,
        })
    }
}

fn extended_connect(parts: &Parts) -> Result<Purpose, ForwardError> {
    let websocket = parts.version == Version::HTTP_2
        && parts
            .extensions
            .get::<Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"));
    if !websocket {
        return Err(not_allowed("CONNECT is accepted only for a WebSocket over HTTP/2; use another method."));
    }
    if single(&parts.headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(ForwardError::invalid(
            "The WebSocket version must be 13; send Sec-WebSocket-Version: 13.",
        ));
    }
    Ok(Purpose::ExtendedConnect)
}

/// The key of a handshake that has all of RFC 6455 section 4.2.1.
pub fn handshake_key(parts: &Parts, body_is_empty: bool) -> Option<HeaderValue> {
    let headers = &parts.headers;
    let framed_empty = !headers.contains_key(TRANSFER_ENCODING)
        && (!headers.contains_key(CONTENT_LENGTH) || single(headers, &CONTENT_LENGTH) == Some(b"0"));
    let well_formed = parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && body_is_empty
        && framed_empty
        && switches_to_websocket(headers)
        && single(headers, &SEC_WEBSOCKET_VERSION) == Some(b"13");
    let key = single(headers, &SEC_WEBSOCKET_KEY)?;
    let sixteen_bytes = BASE64.decode(key).is_ok_and(|key| key.len() == 16);
    if well_formed && sixteen_bytes { HeaderValue::from_bytes(key).ok() } else { None }
}

fn switches_to_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, b"upgrade")
        && single(headers, &UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
}

fn not_allowed(detail: &'static str) -> ForwardError {
    ForwardError::new(ForwardErrorKind::MethodNotAllowed, detail)
}

/// A key for a client that has none, since HTTP/2 needs none.
///
/// # Errors
///
/// The operating system has no random bytes.
pub(super) fn fresh_key() -> Result<HeaderValue, ForwardError> {
    let mut bytes = [0; 16];
    let failed = "The gateway could not open the WebSocket; try again later.";
    getrandom::fill(&mut bytes).map_err(|error| ForwardError::unavailable(failed).with(error.to_string()))?;
    HeaderValue::from_str(&BASE64.encode(bytes))
        .map_err(|error| ForwardError::unavailable(failed).with(error))
}

/// Makes stripped request headers a handshake again.
pub(crate) fn set_handshake(headers: &mut HeaderMap, key: HeaderValue) {
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, key);
}

/// Whether a `101` is the answer to the handshake with this key.
pub fn is_agreed(headers: &HeaderMap, key: &HeaderValue) -> bool {
    let expected = accept_value(key);
    switches_to_websocket(headers) && single(headers, &SEC_WEBSOCKET_ACCEPT) == Some(expected.as_bytes())
}

fn accept_value(key: &HeaderValue) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(hash.finalize())
}

/// Makes the stripped headers of the upstream's `101` the answer to the client.
pub(super) fn set_agreement(response: &mut http::response::Parts, purpose: &Purpose) {
    response.headers.remove(CONTENT_LENGTH);
    if *purpose == Purpose::ExtendedConnect {
        response.status = StatusCode::OK;
        response.headers.remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        response.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Sends a request on a connection of its own, which is never pooled: it closes after the response, or
/// becomes the tunnel.
///
/// # Errors
///
/// The upstream breaks the connection before its response header.
pub(super) async fn send_alone(
    stream: Stream,
    max_header_bytes: usize,
    request: Request<Empty<Bytes>>,
    id: Option<RequestId>,
) -> Result<Response<Incoming>, ForwardError> {
    let unreachable =
        || ForwardError::unavailable("The API behind this gateway cannot be reached; try again later.");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(max_header_bytes)
        .max_header_size(max_header_bytes)
        .handshake(stream)
        .await
        .map_err(|error| unreachable().with(error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, request = id.map(display), "the connection of a WebSocket handshake failed");
        }
    });
    sender.send_request(request).await.map_err(|error| unreachable().with(error))
}

/// Copies both ways until both sides have ended, one has failed, or the exchange is ended, and then closes
/// both. What is `attached` to the request is kept until then.
pub(super) fn spawn_tunnel(
    client: ClientUpgrade,
    upstream: OnUpgrade,
    exchange: Arc<Exchange>,
    attached: Extensions,
) {
    let id = attached.get::<RequestId>().copied();
    tokio::spawn(async move {
        let tunnel = async {
            let upstream = TokioIo::new(upstream.await?);
            match client {
                ClientUpgrade::Hyper(client) => copy(TokioIo::new(client.await?), upstream).await?,
                ClientUpgrade::Duplex(client) => copy(client, upstream).await?,
            }
            Ok::<(), super::BoxError>(())
        };
        let request = id.map(display);
        match exchange.ended().run_until_cancelled(tunnel).await {
            Some(Ok(())) => debug!(request, "a WebSocket has closed"),
            Some(Err(error)) => debug!(request, %error, "a WebSocket has failed"),
            None => debug!(request, "a WebSocket was ended"),
        }
        drop((exchange, attached));
    });
}

async fn copy(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut upstream: TokioIo<Upgraded>,
) -> io::Result<()> {
    copy_bidirectional_with_sizes(&mut client, &mut upstream, TUNNEL_BUFFER, TUNNEL_BUFFER).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn handshake() -> http::request::Builder {
        Request::get("/ws")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", KEY)
    }

    fn purpose(request: http::request::Builder) -> Purpose {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Purpose::of(&parts, true).unwrap()
    }

    #[test]
    fn rfc_6455_example() {
        let key = HeaderValue::from_static(KEY);
        assert_eq!(accept_value(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(purpose(handshake()), Purpose::WebSocket { key });
    }

    #[test]
    fn v10_a_handshake_with_one_fault_is_an_ordinary_request() {
        let without = |name: &str| {
            let mut request = handshake();
            request.headers_mut().unwrap().remove(name);
            request
        };
        let with = |name: &'static str, value: &'static str| {
            let mut request = handshake();
            request.headers_mut().unwrap().insert(name, HeaderValue::from_static(value));
            request
        };
        for (fault, request) in [
            ("no key", without("sec-websocket-key")),
            ("two keys", handshake().header("sec-websocket-key", KEY)),
            ("short key", with("sec-websocket-key", "c2hvcnQ=")),
            ("key is not base64", with("sec-websocket-key", "!!!!!!!!!!!!!!!!!!!!!!==")),
            ("no version", without("sec-websocket-version")),
            ("version 8", with("sec-websocket-version", "8")),
            ("no connection", without("connection")),
            ("connection without upgrade", with("connection", "keep-alive")),
            ("two protocols", with("upgrade", "websocket, h2c")),
            ("two upgrade fields", handshake().header("upgrade", "h2c")),
            ("other protocol", with("upgrade", "foo")),
            ("with a length", handshake().header("content-length", "5")),
            ("with an encoding", handshake().header("transfer-encoding", "chunked")),
            ("POST", handshake().method(Method::POST)),
            ("HTTP/1.0", handshake().version(Version::HTTP_10)),
        ] {
            assert_eq!(purpose(request), Purpose::Exchange, "{fault}");
        }
        let (parts, ()) = handshake().body(()).unwrap().into_parts();
        assert_eq!(Purpose::of(&parts, false).unwrap(), Purpose::Exchange, "with a body");
    }

    #[test]
    fn v10_connect_and_trace_are_not_allowed() {
        for request in [
            Request::connect("example.com:443"),
            Request::connect("/ws").extension(Protocol::from_static("websocket")),
            Request::connect("/ws").version(Version::HTTP_2).extension(Protocol::from_static("connect-udp")),
            Request::trace("/"),
        ] {
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(Purpose::of(&parts, true).unwrap_err().kind(), ForwardErrorKind::MethodNotAllowed);
        }
        let request = Request::connect("https://a.example/ws")
            .version(Version::HTTP_2)
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        assert_eq!(purpose(request), Purpose::ExtendedConnect);
    }

    #[test]
    fn v10_an_agreement_needs_all_three_fields() {
        let key = HeaderValue::from_static(KEY);
        let agreed: HeaderMap = [
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ]
        .into_iter()
        .collect();
        assert!(is_agreed(&agreed, &key));
        for name in agreed.keys() {
            let mut headers = agreed.clone();
            headers.remove(name);
            assert!(!is_agreed(&headers, &key), "without {name}");
            headers.insert(name, HeaderValue::from_static("S3PPLMBITXAQ9KYGZZHZRBK+XOO="));
            assert!(!is_agreed(&headers, &key), "wrong {name}");
        }
    }
}
