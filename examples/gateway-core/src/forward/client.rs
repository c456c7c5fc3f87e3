use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, VIA};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use super::body::{BoxError, ForwardBody, RequestBody};
use super::config::{ForwardConfig, ForwardConfigError};
use super::error::ForwardError;
use super::exchange::{Ending, Exchange};
use super::hop;
use super::upgrade::{self, ClientUpgrade, Purpose};

/// How many fields a forwarded request gets at most besides those of its context: three that tell where it came from, `Host`,
/// `Via`, and two of framing and trailers.
const ADDED_FIELDS: usize = 7;

/// Forwards requests to one upstream. Cheap to clone; the clones share a pool of connections.
#[derive(Clone)]
pub struct Forwarder(Arc<Inner>);

struct Inner {
    config: ForwardConfig,
    authority: Authority,
    host: HeaderValue,
    via: Option<HeaderValue>,
    client: Client<HttpConnector, RequestBody>,
    /// For exchanges, if they are limited.
    places: Option<Arc<Semaphore>>,
}

/// A request on its way.
enum Begun {
    Exchange { sent: ResponseFuture, exchange: Arc<Exchange> },
    WebSocket(Pin<Box<dyn Future<Output = Result<Response<ForwardBody>, ForwardError>> + Send>>),
}

/// What the gateway knows about a request besides the request.
#[derive(Debug)]
pub struct ForwardContext {
    /// The address of the connection's other end, for `X-Forwarded-For`.
    pub client: IpAddr,
    /// The scheme the client used, for `X-Forwarded-Proto`.
    pub scheme: Scheme,
    /// Fields set last over whatever the client sent: the identity (rule V8).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The client's side of an upgrade. If it is `None`, what hyper left in the request's extensions is used.
    pub upgrade: Option<ClientUpgrade>,
    /// Ends the exchange when it has come, as long as anything of it is still being sent or received: a
    /// response that is waited for, both bodies, and the tunnel (rule C8).
    pub ending: Option<Ending>,
}

impl ForwardContext {
    /// A context without an identity that is never ended.
    #[must_use]
    pub fn new(client: IpAddr, scheme: Scheme) -> Self {
        Self { client, scheme, headers: Vec::new(), upgrade: None, ending: None }
    }
}

impl Forwarder {
    /// Checks the configuration. Connections are opened as requests need them.
    ///
    /// # Errors
    ///
    /// The upstream is not plain `http://host:port`, a limit is too low, or the name for `Via` is no token.
    pub fn new(config: ForwardConfig) -> Result<Self, ForwardConfigError> {
        let authority = config.authority()?;
        config.check_limits()?;
        let via = config.via_value()?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| ForwardConfigError::NotHttp)?;

        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.connect_timeout));
        connector.set_nodelay(true);
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
        Ok(Self(Arc::new(Inner { config, authority, host, via, client, places })))
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
        let mut head = self.head(parts, &context)?;
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
        let sent =
            async { sent.await.map_err(|error| exchange.own_error().unwrap_or_else(|| explain(error))) };
        let response = self.in_time(sent, exchange).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(broken("an upgrade that was not asked for"));
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
        let mut head = self.head(&mut parts, &context)?;
        // The server's, about its connection.
        let attached = parts.extensions;
        hop::set_own(&mut head.headers, context.headers);
        head.method = Method::GET;
        upgrade::set_handshake(&mut head.headers, key.clone());
        head.uri = origin_form(head.uri)?;

        let request = Request::from_parts(head, Empty::new());
        let address = self.address();
        let sent = upgrade::send_alone(&address, config.connect_timeout, config.max_header_bytes, request);
        let mut response = self.in_time(sent, &exchange).await?;

        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            if purpose == Purpose::ExtendedConnect && response.status().is_success() {
                // On HTTP/2 it would open the tunnel.
                return Err(broken("no upgrade, but success"));
            }
            return self.answer(response, &exchange);
        }
        if !upgrade::is_agreed(response.headers(), &key) {
            return Err(broken("a handshake that does not fit"));
        }
        let upstream = hyper::upgrade::on(&mut response);
        let (mut parts, _) = response.into_parts();
        clean_head(&mut parts);
        upgrade::set_agreement(&mut parts, &purpose);
        upgrade::spawn_tunnel(client, upstream, exchange, attached);
        Ok(Response::from_parts(parts, ForwardBody::empty()))
    }

    /// The head for the upstream, without the gateway's own fields.
    fn head(&self, parts: &mut Parts, context: &ForwardContext) -> Result<Parts, ForwardError> {
        let path = path(&parts.uri)?;
        let authority = client_authority(parts);
        let mut headers = std::mem::take(&mut parts.headers);
        hop::strip_request_headers(&mut headers);
        // Once for all that is added below and by whoever called.
        headers.reserve(context.headers.len() + ADDED_FIELDS);
        hop::join_cookies(&mut headers);
        hop::set_forwarding(&mut headers, context.client, &context.scheme, authority);
        headers.insert(HOST, self.0.host.clone());
        if let Some(via) = &self.0.via {
            headers.append(VIA, via.clone());
        }

        let uri =
            Uri::builder().scheme(Scheme::HTTP).authority(self.0.authority.clone()).path_and_query(path);
        let uri = uri.build().map_err(|error| bad_target().with(error))?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = parts.method.clone();
        head.uri = uri;
        head.headers = headers;
        Ok(head)
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
        hop::settle_content_length(&mut parts.headers).map_err(|_| broken("an unclear length"))?;
        clean_head(&mut parts);
        Ok(Response::from_parts(parts, ForwardBody::new(body, exchange, self.0.config.idle_timeout)))
    }

    fn address(&self) -> String {
        let authority = &self.0.authority;
        format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80))
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("config", &self.0.config).finish_non_exhaustive()
    }
}

fn clean_head(parts: &mut http::response::Parts) {
    hop::strip_response_headers(&mut parts.headers);
    // The version and the extensions belong to the upstream's connection.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
}

/// Frames the request for HTTP/1.1 where hyper would not: it leaves out a `GET` body of unknown length, and
/// the zero that servers expect from methods which usually have a body.
fn set_framing(head: &mut Parts, empty: bool, length: Option<u64>, known: Option<u64>) {
    if length.is_some() {
        return;
    }
    if empty {
        if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if known.is_none() {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// The path to ask the upstream for, as the client sent it.
fn path(uri: &Uri) -> Result<PathAndQuery, ForwardError> {
    match uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => Ok(path.clone()),
        Some(path) if path.as_str().is_empty() => Ok(PathAndQuery::from_static("/")),
        _ => Err(bad_target()),
    }
}

fn origin_form(uri: Uri) -> Result<Uri, ForwardError> {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = uri.into_parts().path_and_query;
    Uri::from_parts(parts).map_err(|error| bad_target().with(error))
}

fn bad_target() -> ForwardError {
    ForwardError::invalid("The request target must be a path that begins with a slash.")
}

/// What the client asked for: the target's authority, or else the one `Host`.
fn client_authority(parts: &Parts) -> Option<HeaderValue> {
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => hop::single(&parts.headers, &HOST)?,
    };
    let host = authority.rsplit(|byte| *byte == b'@').next()?;
    HeaderValue::from_bytes(host).ok()
}

fn broken(what: &'static str) -> ForwardError {
    ForwardError::unavailable(
        "The API behind this gateway gave an answer that cannot be passed on; try again later.",
    )
    .with(what)
}

fn explain(error: hyper_util::client::legacy::Error) -> ForwardError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(each) = cause {
        if each.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return ForwardError::timeout().with(error);
        }
        cause = each.source();
    }
    ForwardError::unavailable("The API behind this gateway cannot be reached or broke off; try again later.")
        .with(error)
}
