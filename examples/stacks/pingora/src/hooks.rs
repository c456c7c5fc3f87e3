//! Where Pingora asks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Response, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use voicegain_auth_core::{Admitted, Reason, Rejection, private_cache_control};
use voicegain_gateway_core::{cors, forward};

use crate::proxy::{Context, Proxy, TOO_LARGE, answer, ended};

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::default()
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        self.decide(session, context).await
    }

    async fn upstream_peer(&self, _: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.upstream.clone(), false, String::new());
        if context.accepted.as_ref().is_some_and(|accepted| accepted.key.is_some()) {
            // Whatever comes of a handshake, its connection is its own, and is closed after it (rule V10).
            peer.group_key = self.handshakes.fetch_add(1, Ordering::Relaxed) + 1;
            peer.options.idle_timeout = Some(Duration::ZERO);
        }
        Ok(Box::new(peer))
    }

    /// The identity is set last (rule V8).
    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let identity = context.accepted.as_ref().and_then(|accepted| accepted.admitted.caller().identity());
        let identity =
            identity.ok_or_else(|| Error::explain(ErrorType::InternalError, "nobody was let in"))?;
        for (name, value) in identity.headers() {
            request.insert_header(HeaderName::from_static(name), value.as_bytes())?;
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        context: &mut Context,
    ) -> Result<()> {
        context.received += body.as_ref().map_or(0, |body| body.len() as u64);
        if context.received > self.max_body_bytes && !session.was_upgraded() {
            return Err(Error::explain(ErrorType::HTTPStatus(413), TOO_LARGE));
        }
        self.go_on(context)
    }

    async fn upstream_response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        let key = context.accepted.as_ref().and_then(|accepted| accepted.key.as_ref());
        if response.status == StatusCode::SWITCHING_PROTOCOLS
            && !key.is_some_and(|key| forward::is_agreed(&response.headers, key))
        {
            return Err(
                Error::explain(ErrorType::InvalidHTTPHeader, "a handshake that does not fit").into_up()
            );
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        let Some(accepted) = &context.accepted else { return Ok(()) };
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let mut readable = Response::from_parts(response.as_owned_parts(), ());
        cors::accept(&mut readable, accepted.origin.as_ref());
        finish(&accepted.admitted, &mut readable);
        *response = readable.into_parts().0.into();
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        _: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        self.go_on(context).map(|()| None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        let gone = matches!(
            error.etype(),
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed
        ) && *error.esource() == ErrorSource::Downstream;
        let (reason, detail) = match (error.etype(), error.esource()) {
            (ErrorType::HTTPStatus(503), _) => {
                (Reason::TemporarilyUnavailable, "The token can no longer be confirmed; send a valid one.")
            }
            (ErrorType::HTTPStatus(413), _) => (Reason::RequestTooLarge, TOO_LARGE),
            (ErrorType::ReadTimedout | ErrorType::ConnectTimedout, ErrorSource::Upstream) => (
                Reason::UpstreamTimeout,
                "The API behind this gateway did not answer in time; try again later.",
            ),
            (_, ErrorSource::Downstream) => {
                (Reason::InvalidRequest, "The request is not well formed; correct it.")
            }
            _ => (
                Reason::UpstreamUnavailable,
                "The API behind this gateway cannot be reached; try again later.",
            ),
        };
        let rejection = Rejection::new(reason, detail);
        let error_code = rejection.status();
        if !gone && session.response_written().is_none() {
            session.set_keepalive(None);
            // Who is gone need not be told.
            let _ = answer(session, cors::refused(rejection.into(), context.grpc)).await;
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }
}

impl Proxy {
    /// Ends an exchange whose token was revoked, as soon as anything more of it comes (rule C8). Pingora has nothing that
    /// would end one in which nothing does.
    fn go_on(&self, context: &Context) -> Result<()> {
        match &context.accepted {
            Some(accepted) if accepted.revoked.load(Ordering::Relaxed) => Err(ended()),
            _ => Ok(()),
        }
    }
}

/// What an accepted request's answer still needs (rule V1).
fn finish(admitted: &Admitted, response: &mut Response<()>) {
    let status = response.status();
    let headers = response.headers_mut();
    if admitted.is_private() {
        let said: Vec<_> = headers.get_all(CACHE_CONTROL).iter().map(HeaderValue::as_bytes).collect();
        if let Some(value) = private_cache_control(said.into_iter()) {
            let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("private"));
            headers.insert(CACHE_CONTROL, value);
        }
    }
    if let Some(protocol) = admitted.default_protocol().and_then(|name| HeaderValue::try_from(name).ok())
        && status == StatusCode::SWITCHING_PROTOCOLS
        && !headers.contains_key(SEC_WEBSOCKET_PROTOCOL)
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
}
