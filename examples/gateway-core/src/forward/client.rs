use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use super::body::{BoxError, ForwardBody, RequestBody};
use super::config::{ForwardConfig, ForwardConfigError};
use super::connect::Connector;
use super::context::ForwardContext;
use super::error::ForwardError;
use super::exchange::Exchange;
use super::head::{Target, clean_head, origin_form, set_framing};
use super::hop;
use super::tls::{Protocol, Tls};
use super::upgrade::{self, ClientUpgrade, Purpose};

/// Forwards requests to one upstream. Cheap to clone; the clones share a pool of connections.
#[derive(Clone)]
pub struct Forwarder(Arc<Inner>);

struct Inner {
    config: ForwardConfig,
    target: Target,
    client: Client<Connector, RequestBody>,
    /// For WebSockets, which the pool is no place for.
    alone: Connector,
    /// For exchanges, if they are limited.
    places: Option<Arc<Semaphore>>,
}

/// A request on its way.
enum Begun {
    Exchange { sent: ResponseFuture, exchange: Arc<Exchange> },
    WebSocket(Pin<Box<dyn Future<Output = Result<Response<ForwardBody>, ForwardError>> + Send>>),
}

impl Forwarder {
    /// Checks the configuration. Connections are opened as requests need them.
    ///
    /// # Errors
    ///
    /// The upstream is no plain `http://host:port` or `https://host:port`, there is nothing to verify it by, a limit is too
    /// low, or the name for `Via` is no token.
    pub fn new(config: ForwardConfig) -> Result<Self, ForwardConfigError> {
        let target = Target::new(&config)?;
        config.check_limits()?;
        let tls = target.host_for_tls().map(|host| Tls::new(&config, host)).transpose()?;
        let protocol = if config.http2 { Protocol::Http2 } else { Protocol::Http1 };
        let connector = Connector::new(&config, tls.as_ref(), protocol)?;
        let alone = Connector::new(&config, tls.as_ref(), Protocol::Http1)?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.pool_idle_timeout)
            .http1_max_buf_size(config.max_header_bytes)
            .http2_max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
            .http2_only(config.http2)
            // One connection carries everything: if it has silently broken, nothing else would find out.
            .http2_keep_alive_interval(Some(config.connect_timeout))
            .http2_keep_alive_timeout(config.connect_timeout)
            .build(connector);
        let places =
            config.max_exchanges.map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        Ok(Self(Arc::new(Inner { config, target, client, alone, places })))
    }

    /// What it forwards to.
    pub(crate) fn upstream(&self) -> &Uri {
        &self.0.config.upstream
    }

    /// Forwards one request and gives the upstream's response, its body still streaming.
    ///
    /// A response `101 Switching Protocols` (for HTTP/2, `200` to an extended `CONNECT`) means that a tunnel
    /// waits for the client's side of the upgrade. The request's extensions are kept until its end.
    ///
    /// # Errors
    ///
    /// The request cannot be forwarded, or there was no usable response; see
    /// [`ForwardErrorKind`](super::ForwardErrorKind). The upstream may have acted on the request in the
    /// latter case.
    pub fn forward<B>(
        &self,
        request: Request<B>,
        context: ForwardContext,
    ) -> impl Future<Output = Result<Response<ForwardBody>, ForwardError>> + Send + use<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // What is waited for then needs no room for the request.
        let begun = self.begin(request, context);
        let forwarder = self.clone();
        async move {
            match begun? {
                Begun::Exchange { sent, exchange } => forwarder.response(sent, &exchange).await,
                Begun::WebSocket(response) => response.await,
            }
        }
    }

    fn begin<B>(&self, request: Request<B>, mut context: ForwardContext) -> Result<Begun, ForwardError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let client = context.upgrade.take().or_else(|| {
            let upgrade = parts.extensions.remove::<OnUpgrade>()?;
            Some(ClientUpgrade::Hyper(upgrade))
        });
        let purpose = Purpose::of(&parts, body.is_end_stream())?;
        let place = self.0.places.clone().map(Semaphore::try_acquire_owned).transpose();
        let place = place.map_err(|_full| ForwardError::busy())?;
        let exchange = Exchange::start(context.ending.take(), place);
        match (purpose, client) {
            (Purpose::Exchange, _) | (Purpose::WebSocket { .. }, None) => {
                let sent = self.send(&mut parts, body, context, &exchange)?;
                Ok(Begun::Exchange { sent, exchange })
            }
            // Boxed, so that the others' futures need no room for it.
            (purpose, Some(client)) => {
                let response = self.clone().websocket(purpose, parts, client, context, exchange);
                Ok(Begun::WebSocket(Box::pin(response)))
            }
            (Purpose::ExtendedConnect, None) => {
                Err(ForwardError::invalid("This connection cannot carry a WebSocket; open another one."))
            }
        }
    }

    fn send<B>(
        &self,
        parts: &mut Parts,
        body: B,
        context: ForwardContext,
        exchange: &Arc<Exchange>,
    ) -> Result<ResponseFuture, ForwardError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let config = &self.0.config;
        let length = hop::settle_content_length(&mut parts.headers)
            .map_err(|_| ForwardError::invalid("Content-Length must be one number; correct it."))?;
        if length.zip(config.max_body_bytes).is_some_and(|(length, max)| length > max) {
            return Err(ForwardError::too_large());
        }
        let empty = body.is_end_stream();
        if empty && length.is_some_and(|length| length > 0) {
            // Sent on like this, it would make the next request on the connection a body.
            return Err(ForwardError::invalid(
                "Content-Length announces a body that is not there; correct it.",
            ));
        }
        let wants_trailers = hop::accepts_trailers(&parts.headers);
        let mut head = self.0.target.head(parts, &context)?;
        hop::set_own(&mut head.headers, context.headers);
        if wants_trailers {
            head.headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if config.http2 {
            head.version = Version::HTTP_2;
            head.headers.remove(HOST);
        } else {
            if wants_trailers {
                head.headers.insert(CONNECTION, HeaderValue::from_static("TE"));
            }
            set_framing(&mut head, empty, length, body.size_hint().exact());
        }

        let body = body.map_err(Into::into).boxed_unsync();
        let body = RequestBody::new(body, exchange, config.idle_timeout, config.max_body_bytes);
        Ok(self.0.client.request(Request::from_parts(head, body)))
    }

    async fn response(
        &self,
        sent: ResponseFuture,
        exchange: &Arc<Exchange>,
    ) -> Result<Response<ForwardBody>, ForwardError> {
        let sent = async {
            sent.await.map_err(|error| {
                exchange.own_error().unwrap_or_else(|| ForwardError::of_upstream(error.into()))
            })
        };
        let response = self.in_time(sent, exchange).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ForwardError::broken("an upgrade that was not asked for"));
        }
        self.answer(response, exchange)
    }

    async fn websocket(
        self,
        purpose: Purpose,
        mut parts: Parts,
        client: ClientUpgrade,
        context: ForwardContext,
        exchange: Arc<Exchange>,
    ) -> Result<Response<ForwardBody>, ForwardError> {
        let config = &self.0.config;
        let key = match &purpose {
            Purpose::WebSocket { key } => key.clone(),
            _ => upgrade::fresh_key()?,
        };
        let mut head = self.0.target.head(&mut parts, &context)?;
        // The server's, about its connection.
        let attached = parts.extensions;
        let id = attached.get().copied();
        hop::set_own(&mut head.headers, context.headers);
        head.method = Method::GET;
        upgrade::set_handshake(&mut head.headers, key.clone());
        let target = head.uri.clone();
        head.uri = origin_form(head.uri)?;

        let request = Request::from_parts(head, Empty::new());
        let sent = async {
            let stream = self.0.alone.clone().open(target).await.map_err(ForwardError::of_upstream)?;
            upgrade::send_alone(stream, config.max_header_bytes, request, id).await
        };
        let mut response = self.in_time(sent, &exchange).await?;

        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            if purpose == Purpose::ExtendedConnect && response.status().is_success() {
                // On HTTP/2 it would open the tunnel.
                return Err(ForwardError::broken("no upgrade, but success"));
            }
            return self.answer(response, &exchange);
        }
        if !upgrade::is_agreed(response.headers(), &key) {
            return Err(ForwardError::broken("a handshake that does not fit"));
        }
        let upstream = hyper::upgrade::on(&mut response);
        let (mut parts, _) = response.into_parts();
        clean_head(&mut parts);
        upgrade::set_agreement(&mut parts, &purpose);
        upgrade::spawn_tunnel(client, upstream, exchange, attached);
        Ok(Response::from_parts(parts, ForwardBody::empty()))
    }

    /// Waits for a response header: not for longer than configured, and not past the end of the exchange.
    async fn in_time(
        &self,
        response: impl Future<Output = Result<Response<Incoming>, ForwardError>>,
        exchange: &Exchange,
    ) -> Result<Response<Incoming>, ForwardError> {
        tokio::select! {
            biased;
            () = exchange.ended().cancelled() => Err(ForwardError::ended()),
            response = response => response,
            () = exchange.upstream_silent_for(self.0.config.response_timeout) => Err(ForwardError::timeout()),
        }
    }

    fn answer(
        &self,
        response: Response<Incoming>,
        exchange: &Arc<Exchange>,
    ) -> Result<Response<ForwardBody>, ForwardError> {
        let (mut parts, body) = response.into_parts();
        // Before the encoding goes: a length beside it is not the length.
        hop::settle_content_length(&mut parts.headers)
            .map_err(|_| ForwardError::broken("an unclear length"))?;
        clean_head(&mut parts);
        Ok(Response::from_parts(parts, ForwardBody::new(body, exchange, self.0.config.idle_timeout)))
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("config", &self.0.config).finish_non_exhaustive()
    }
}
