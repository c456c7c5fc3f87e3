//! A hyper server for HTTP/1.1 and HTTP/2 with prior knowledge.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::silence::{Heard, Hears, Silence};
use self::unread::UNREAD_TIMEOUT;
pub use self::unread::WriteLimit;

use crate::forward::BoxError;
use crate::signals::GRACE;

mod silence;
mod unread;

/// How long a request's head may take to arrive, and how long a connection waits for the next one: over HTTP/2 twice as
/// long at most.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
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
    let connections = TaskTracker::new();
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
        let heard = Heard::default();
        let service = Hears::new(make(client), heard.clone());
        let (server, shutdown) = (server.clone(), shutdown.clone());
        connections.spawn(async move {
            let io = TokioIo::new(of_client(stream));
            let mut connection = pin!(server.serve_connection_with_upgrades(io, service));
            let ended = tokio::select! {
                ended = &mut connection => ended,
                silence = shutdown.run_until_cancelled(heard.silence()) => {
                    if silence == Some(Silence::Unread) {
                        return tracing::debug!("a client does not read its answers");
                    }
                    // What is under way goes on, and nothing new begins.
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(?error, "a connection has failed");
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!("requests were still under way at the end");
    }
}

/// Serves an axum router.
pub async fn serve_router(listener: TcpListener, router: axum::Router, shutdown: CancellationToken) {
    serve(listener, |_| TowerToHyperService::new(router.clone()), false, shutdown).await;
}

/// A client's connection: what is written is sent at once, and has to be read.
pub fn of_client(stream: TcpStream) -> WriteLimit<TcpStream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays slow");
    }
    WriteLimit::new(stream, UNREAD_TIMEOUT)
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;
    use std::sync::Arc;

    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::service::service_fn;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_connection_ends_with_its_client_whatever_it_has_said() {
        const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let held = Arc::new(());
        let part = held.clone();
        let make = move |_| {
            let part = part.clone();
            service_fn(move |_: Request<Incoming>| {
                let _part = &part;
                ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
            })
        };
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, make, false, shutdown.clone()));
        let becomes = async |count: usize, said: &[u8]| {
            let change = async {
                while Arc::strong_count(&held) != count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let outcome = tokio::time::timeout(Duration::from_secs(5), change).await;
            assert!(outcome.is_ok(), "{} hold it: {}", Arc::strong_count(&held), said.escape_ascii());
        };
        for said in [b"", &PREFACE[..1], &PREFACE[..10], PREFACE, b"GET / HT"] {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(said).await.unwrap();
            becomes(3, said).await;
            drop(client);
            becomes(2, said).await;
        }
        // Nor does one that has not said which protocol it speaks keep the server from its end.
        let mut clients = Vec::new();
        for said in [b"", &PREFACE[..10]] {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(said).await.unwrap();
            clients.push(client);
        }
        becomes(4, b"").await;
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), server).await.expect("the server ends").unwrap();
    }
}
