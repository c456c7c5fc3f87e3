//! What is behind the middleware: the exchange itself, on the shared runtime.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::body::{BodySize, MessageBody as _};
use actix_web::http::ConnectionType;
use actix_web::http::header::UPGRADE;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use http::header::{CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use voicegain_auth_actix::Caller;
use voicegain_auth_core::{Reason, Rejection, RequestId, is_websocket_upgrade};
use voicegain_gateway_core::forward::ClientUpgrade;
use voicegain_gateway_core::gate::Route;
use voicegain_gateway_core::head::HttpHead;
use voicegain_gateway_core::otel::Trace;
use voicegain_gateway_core::{Arrival, Gateway, GatewayBody, cors};

use crate::body::{AnswerBody, Payload, RequestBody, feed_tunnel};
use crate::convert;

/// How much of a tunnel waits between the threads, in each direction.
const TUNNEL_BUFFER: usize = 16 * 1024;

/// Marks an answer that says already which page may read it.
#[derive(Debug, Clone, Copy)]
pub struct Readable;

/// Answers every request that was accepted.
pub async fn serve(
    request: HttpRequest,
    caller: Caller,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
    runtime: web::Data<Handle>,
    shutdown: web::Data<CancellationToken>,
) -> HttpResponse<AnswerBody> {
    let payload = Payload::new(payload, &request);
    let id = request.extensions().get().copied();
    let mut head = match convert::head(request.head(), id) {
        Ok(head) => head,
        Err(refusal) => return answer(cors::refused(refusal, false), &request),
    };
    if let Some(trace) = request.extensions().get::<Trace>() {
        head.extensions.insert(trace.clone());
    }
    // Trailers are lost in actix, so none are announced and none are asked for.
    head.headers.remove(TE);
    head.headers.remove(TRAILER);
    let route = request.extensions_mut().remove::<Route>();
    let arrival = Arrival {
        caller: Some(caller.into_inner()),
        route: route.unwrap_or(Route::Upstream),
        client: request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip()),
        upgrade: None,
    };
    if may_become_tunnel(&head) {
        let shutdown = shutdown.get_ref().clone();
        return upgrade(head, payload, arrival, &gateway, &runtime, &request, shutdown).await;
    }
    let body = if has_no_body(&head) {
        RequestBody::empty()
    } else {
        RequestBody::from_payload(payload, announced_length(&head))
    };
    let response = exchange(Request::from_parts(head, body), arrival, &gateway, &runtime).await;
    answer(response, &request)
}

async fn upgrade(
    head: Parts,
    payload: Payload,
    arrival: Arrival,
    gateway: &Gateway,
    runtime: &Handle,
    request: &HttpRequest,
    shutdown: CancellationToken,
) -> HttpResponse<AnswerBody> {
    let id = head.extensions.get().copied();
    let (near, far) = tokio::io::duplex(TUNNEL_BUFFER);
    let arrival = Arrival { upgrade: Some(ClientUpgrade::Duplex(far)), ..arrival };
    let response = exchange(Request::from_parts(head, RequestBody::empty()), arrival, gateway, runtime).await;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return answer(response, request);
    }
    // Only now is anything read of what the client sends after its handshake (rule V10).
    let (from_upstream, to_upstream) = tokio::io::split(near);
    feed_tunnel(payload, to_upstream, id);
    answer(response, request).map_body(|_, _| AnswerBody::tunnel(from_upstream, shutdown))
}

/// The exchange ends with its client: if the worker drops this future, it drops the task.
async fn exchange(
    request: Request<RequestBody>,
    arrival: Arrival,
    gateway: &Gateway,
    runtime: &Handle,
) -> Response<GatewayBody> {
    let id = request.extensions().get().copied();
    let (gateway, counts) = (gateway.clone(), gateway);
    let task = runtime.spawn(async move { gateway.serve(request, arrival).await }.in_current_span());
    AbortOnDropHandle::new(task).await.unwrap_or_else(|error| {
        tracing::error!(request = id.map(tracing::field::display::<RequestId>), %error, "an exchange has failed");
        let detail = "The request could not be answered; try again shortly.";
        let rejection = Rejection::new(Reason::TemporarilyUnavailable, detail);
        counts.verifier().count_refusal(id, &rejection);
        cors::refused(rejection.into(), false)
    })
}

fn answer(response: Response<GatewayBody>, request: &HttpRequest) -> HttpResponse<AnswerBody> {
    let mut answer = convert::response(response, request.method());
    if request.headers().contains_key(UPGRADE)
        && answer.status().as_u16() != StatusCode::SWITCHING_PROTOCOLS.as_u16()
    {
        // actix sends a body of unknown length unchunked here, whatever its own header says: it must end with the
        // connection, and say so.
        let streamed = matches!(answer.body().size(), BodySize::Stream);
        let head = answer.head_mut();
        head.set_connection_type(ConnectionType::Close);
        if streamed {
            head.no_chunking(true);
        }
    }
    answer.extensions_mut().insert(Readable);
    answer
}

fn may_become_tunnel(head: &Parts) -> bool {
    head.version == Version::HTTP_11
        && is_websocket_upgrade(&HttpHead(head))
        && !head.headers.contains_key(CONTENT_LENGTH)
        && !head.headers.contains_key(TRANSFER_ENCODING)
}

/// Over HTTP/2 a body need not be announced.
fn has_no_body(head: &Parts) -> bool {
    head.version != Version::HTTP_2
        && !head.headers.contains_key(TRANSFER_ENCODING)
        && announced_length(head).is_none_or(|length| length == 0)
}

fn announced_length(head: &Parts) -> Option<u64> {
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
