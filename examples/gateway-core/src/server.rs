//! A hyper server for HTTP/1.1 and HTTP/2 with prior knowledge.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Extension;
use axum::extract::ConnectInfo;
use futures_util::future::Either;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_layer::Layer as _;

use self::accept::Port;
use self::answers::Hears;
pub(crate) use self::silence::WELCOME;
use self::silence::{Heard, Silence};
use self::streams::Streams;
pub use self::unread::{UNREAD_TIMEOUT, WriteLimit};

use crate::forward::BoxError;
use crate::open_files;
use crate::signals::GRACE;
use crate::tls::{Stream, Tls};

mod accept;
mod answers;
mod silence;
mod streams;
#[cfg(test)]
mod tests;
mod unread;

/// How long a request's head may take to arrive, and how long a connection waits for the next one: over HTTP/2 twice as
/// long at most.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// What is kept of an HTTP/1.1 head before hyper answers 431 without a body. [`head`](crate::head) sets a lower limit, for
/// which what surrounds the fields does not count.
const MAX_HEAD_BUFFER: usize = 40 * 1024;
/// The same over HTTP/2, where 32 bytes are added for each field (RFC 9113 section 10.5.1).
const MAX_HEADER_LIST: u32 = 64 * 1024;

/// Serves what `make` makes for each connection until `shutdown`, and then waits for requests under way, 30 seconds at
/// most. No more connections than `max_connections` are open at a time, WebSockets among them; others wait. With `tls` all
/// connections have to begin with it.
pub async fn serve<S, B>(
    listener: TcpListener,
    tls: Option<Tls>,
    make: impl Fn(SocketAddr) -> S,
    websockets_over_http2: bool,
    max_connections: usize,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let server = builder(websockets_over_http2);
    let connections = TaskTracker::new();
    let mut port = Port::new(listener, max_connections);
    while let Some((stream, client)) = shutdown.run_until_cancelled(port.next()).await {
        let begun = begin(tls.as_ref(), stream, &shutdown);
        let (server, service, shutdown) = (server.clone(), make(client), shutdown.clone());
        connections.spawn(async move {
            match begun.await {
                Ok(stream) => attend(server, stream, service, shutdown).await,
                Err(error) => tracing::debug!(%error, "a TLS handshake has failed"),
            }
        });
    }
    drop(port);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!("requests were still under way at the end");
    }
}

/// Shakes hands, where there is TLS.
fn begin(
    tls: Option<&Tls>,
    stream: WriteLimit<TcpStream>,
    shutdown: &CancellationToken,
) -> impl Future<Output = io::Result<Stream>> + Send + use<> {
    match tls {
        Some(tls) => Either::Left(tls.accept(stream, shutdown.clone())),
        None => Either::Right(ready(Ok(Stream::plain(stream)))),
    }
}

/// Serves one connection.
async fn attend<I, S, B>(server: Builder, stream: I, service: S, shutdown: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let heard = Heard::default();
    let service = Hears::new(service, heard.clone());
    let mut connection = pin!(server.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let silence = tokio::select! {
        ended = &mut connection => return over(ended),
        silence = shutdown.run_until_cancelled(heard.silence()) => silence,
    };
    if silence == Some(Silence::Unread) {
        return tracing::debug!("a client does not read its answers");
    }
    if silence.is_none() {
        tokio::select! {
            ended = &mut connection => return over(ended),
            () = heard.first_request() => {}
        }
    }
    // What is under way goes on, and nothing new begins.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = &mut connection => over(ended),
        () = heard.rest() => tracing::debug!("a client does not let its connection end"),
    }
}

fn over(ended: Result<(), BoxError>) {
    if let Err(error) = ended {
        tracing::debug!(?error, "a connection has failed");
    }
}

/// Serves an axum router on the admin port, and tells it who its clients are.
pub async fn serve_router(
    listener: TcpListener,
    tls: Option<Tls>,
    router: axum::Router,
    shutdown: CancellationToken,
) {
    let make =
        |client: SocketAddr| TowerToHyperService::new(Extension(ConnectInfo(client)).layer(router.clone()));
    serve(listener, tls, make, false, open_files::max_admin_connections(), shutdown).await;
}

/// A client's connection: what is written is sent at once, and has to be read.
pub fn of_client(stream: TcpStream) -> WriteLimit<TcpStream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays slow");
    }
    WriteLimit::new(stream, UNREAD_TIMEOUT)
}

type Builder = auto::Builder<Streams>;

fn builder(websockets_over_http2: bool) -> Builder {
    let mut server = auto::Builder::new(Streams);
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BUFFER);
    let mut http2 = server.http2();
    // A client that is gone, or says nothing and does not answer, is found out.
    http2
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    if websockets_over_http2 {
        http2.enable_connect_protocol();
    }
    server
}
