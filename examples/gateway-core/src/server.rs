//! A hyper server for HTTP/1.1 and HTTP/2 with prior knowledge.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::forward::BoxError;
use crate::signals::GRACE;

/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// What hyper keeps of a request's head before it answers 431 without a body. [`head`](crate::head) sets a lower limit.
const MAX_HEAD_BUFFER: u32 = 64 * 1024;

/// Serves what `make` makes for each connection until `shutdown`, and then waits for requests under way, 30 seconds at
/// most.
pub async fn serve<S, B>(
    listener: TcpListener,
    make: impl Fn(SocketAddr) -> S,
    websockets_over_http2: bool,
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
    let connections = GracefulShutdown::new();
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, say: some must be given back first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = make(client);
        let (server, watcher, shutdown) = (server.clone(), connections.watcher(), shutdown.clone());
        tokio::spawn(async move {
            // hyper's own time limits begin once it knows which protocol it is.
            match shutdown
                .run_until_cancelled(tokio::time::timeout(HEAD_TIMEOUT, protocol_known(&stream)))
                .await
            {
                Some(Ok(Ok(()))) => {}
                _ => return tracing::debug!("a connection said nothing"),
            }
            let connection = server.serve_connection_with_upgrades(io(stream), service).into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(?error, "a connection has failed");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way at the end");
    }
}

/// Serves an axum router.
pub async fn serve_router(listener: TcpListener, router: axum::Router, shutdown: CancellationToken) {
    serve(listener, |_| TowerToHyperService::new(router.clone()), false, shutdown).await;
}

/// Waits until a connection's first bytes tell HTTP/2's preface from everything else.
async fn protocol_known(stream: &TcpStream) -> std::io::Result<()> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut first = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        let seen = &first[..count];
        if count == 0 || count == PREFACE.len() || !PREFACE.starts_with(seen) {
            return Ok(());
        }
        // What has been peeked at stays readable, so there is nothing to be woken by.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn io(stream: TcpStream) -> TokioIo<TcpStream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays slow");
    }
    TokioIo::new(stream)
}

fn builder(websockets_over_http2: bool) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BUFFER as usize);
    let mut http2 = server.http2();
    // A client that is gone, or says nothing and does not answer, is found out.
    http2
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD_BUFFER)
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    if websockets_over_http2 {
        http2.enable_connect_protocol();
    }
    server
}
