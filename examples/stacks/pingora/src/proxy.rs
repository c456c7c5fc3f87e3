//! The decision about a request, before it is passed on.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ORIGIN, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OrErr as _, Result};
use voicegain_auth_core::{Admitted, Caller, Reason, Rejection, Watch, is_reserved_header};
use voicegain_gateway_core::forward::handshake_key;
use voicegain_gateway_core::gate::Route;
use voicegain_gateway_core::head::HttpHead;
use voicegain_gateway_core::{Arrival, Gateway, GatewayBody, cors, is_grpc};

use crate::strip;

/// The gateway, as Pingora's proxy asks it.
pub struct Proxy {
    pub(crate) gateway: Gateway,
    pub(crate) upstream: (String, u16),
    pub(crate) max_body_bytes: u64,
    /// Numbers the handshakes.
    pub(crate) handshakes: AtomicU64,
}

/// What is known of a request that was accepted.
pub struct Accepted {
    pub admitted: Admitted,
    pub origin: Option<HeaderValue>,
    /// The key of a WebSocket's handshake.
    pub key: Option<HeaderValue>,
    /// Its token is revoked (rule C8).
    pub revoked: Arc<AtomicBool>,
    /// Tells, as long as it is there.
    _watch: Option<Watch>,
}

/// What Pingora keeps for a request.
#[derive(Default)]
pub struct Context {
    pub accepted: Option<Accepted>,
    pub grpc: bool,
    /// How much of its body has come.
    pub received: u64,
}

/// What a client is told whose body is too large.
pub const TOO_LARGE: &str = "The request body is larger than this gateway takes; send less at a time.";

impl Proxy {
    /// A proxy in front of the API there.
    #[must_use]
    pub fn new(gateway: Gateway, host: &str, port: u16, max_body_bytes: u64) -> Self {
        Self { gateway, upstream: (host.to_owned(), port), max_body_bytes, handshakes: AtomicU64::new(0) }
    }

    /// Decides about a request. One that is not passed on is answered, and so it says `true`.
    pub(crate) async fn decide(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        let mut head = session.req_header().as_owned_parts();
        context.grpc = is_grpc(&head.headers);
        if !is_plain(session.req_header()) {
            return refuse(session, context, Reason::InvalidRequest, "The path is not plain; correct it.")
                .await;
        }
        let route = match self.gateway.admit(&mut head) {
            Ok(route) => route,
            Err(response) => return answer(session, *response).await,
        };
        let verifier = self.gateway.verifier();
        let admitted = match verifier.authorize(&HttpHead(&head)).await {
            Ok(admitted) => admitted,
            Err(rejection) => return answer(session, cors::refused(rejection.into(), context.grpc)).await,
        };
        let plan = verifier.strip_admitted(&HttpHead(&head), &admitted);
        let request = session.req_header_mut();
        let is_reserved = |name: &&HeaderName| is_reserved_header(name.as_str().as_bytes());
        let reserved: Vec<_> = request.headers.keys().filter(is_reserved).cloned().collect();
        for name in &reserved {
            request.remove_header(name);
        }
        strip::apply(plan, request)?;
        if route == Route::Mint {
            return self.mint(session, admitted.into_caller()).await;
        }
        let length =
            request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > self.max_body_bytes) {
            return refuse(session, context, Reason::RequestTooLarge, TOO_LARGE).await;
        }
        // Over HTTP/1.1 a body that is not empty is framed, and then this is no handshake.
        let key = handshake_key(&head, true);
        if key.is_none() {
            request.remove_header(&UPGRADE);
        }
        let revoked = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&revoked);
        let watch = admitted.caller().identity().map(|identity| {
            verifier.cache().on_revoked(identity, move || end.store(true, Ordering::Relaxed))
        });
        let origin = head.headers.get(ORIGIN).cloned();
        context.accepted = Some(Accepted { admitted, origin, key, revoked, _watch: watch });
        Ok(false)
    }

    async fn mint(&self, session: &mut Session, caller: Caller) -> Result<bool> {
        let arrival = Arrival {
            caller: Some(caller),
            route: Route::Mint,
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            upgrade: None,
        };
        let head = session.req_header().as_owned_parts();
        let request = Request::from_parts(head, Empty::<Bytes>::new());
        answer(session, self.gateway.serve(request, arrival).await).await
    }
}

/// Whether the target's path is what it is taken for (rule P4): Pingora keeps what is no URI beside it, to be passed on.
fn is_plain(request: &RequestHeader) -> bool {
    let target = request.raw_path();
    let absolute = [b"http://".as_slice(), b"https://"]
        .iter()
        .any(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    request.raw_path_is_utf8() && (target.starts_with(b"/") || absolute || request.method == Method::CONNECT)
}

async fn refuse(
    session: &mut Session,
    context: &Context,
    reason: Reason,
    detail: &'static str,
) -> Result<bool> {
    answer(session, cors::refused(Rejection::new(reason, detail).into(), context.grpc)).await
}

/// Answers in the upstream's place.
pub async fn answer(session: &mut Session, response: Response<GatewayBody>) -> Result<bool> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.or_err(ErrorType::InternalError, "an answer of our own")?.to_bytes();
    let mut header = ResponseHeader::from(parts);
    if !header.status.is_informational() && header.status != StatusCode::NO_CONTENT {
        header.insert_header("content-length", body.len().to_string())?;
    }
    let end = body.is_empty() || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(header), end).await?;
    if !end {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(true)
}

/// The exchange has to end.
pub fn ended() -> Box<Error> {
    Error::explain(ErrorType::HTTPStatus(503), "the token can no longer be confirmed")
}
