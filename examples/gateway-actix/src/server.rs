//! actix's own server, put together here because `HttpServer` lets nobody in between the socket and HTTP.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::{HttpServiceBuilder, Protocol, Request, Response};
use actix_service::{Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Extensions, Server};
use actix_web::{App, middleware, web};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use voicegain_auth_actix::Auth;
use voicegain_gateway_core::server::{HEAD_TIMEOUT, UNREAD_TIMEOUT, of_client};
use voicegain_gateway_core::tls::{Stream, Tls};
use voicegain_gateway_core::{Gateway, open_files, signals};

use crate::connection::Connection;
use crate::{gate, serve};

/// How long a client may take to close what the gateway has closed, once it has been sent everything.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// actix's own limit of silence counts while an answer waits to be read. It is to come after all of [`Connection`]'s.
const KEEP_ALIVE: Duration = UNREAD_TIMEOUT.saturating_mul(2);

/// A server for HTTP/1.1, and for HTTP/2 with prior knowledge if it is asked for, whose exchanges are on `runtime`.
pub fn new(
    listener: TcpListener,
    tls: Option<Tls>,
    gateway: Gateway,
    runtime: Handle,
    http2: bool,
    shutdown: CancellationToken,
) -> io::Result<Server> {
    let workers = available_parallelism().map_or(1, NonZero::get);
    let server = Server::build()
        .disable_signals()
        .shutdown_timeout(signals::GRACE.as_secs())
        .workers(workers)
        // actix counts them for each worker.
        .max_concurrent_connections((open_files::max_connections() / workers).max(1));
    let ending = server.graceful_shutdown_signal();
    let server = server.listen("api", listener, move || {
        let app = App::new()
            .app_data(web::Data::new(gateway.clone()))
            .app_data(web::Data::new(runtime.clone()))
            .app_data(web::Data::new(shutdown.clone()))
            .wrap(Auth::new(gateway.verifier().clone()))
            .wrap(middleware::from_fn(gate::gate))
            .default_service(web::route().to(serve::serve));
        let (ending, counts, tls) =
            (ending.clone(), gateway.clone(), tls.clone().zip(Some(shutdown.clone())));
        let http = http()
            .graceful_shutdown_signal(move || {
                let ending = ending.clone();
                async move { ending.notified().await }
            })
            .finish(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream| {
            let (connected, tls) = (counts.connected(), tls.clone());
            async move {
                let (connection, protocol, client) = arrive(stream, tls, http2).await?;
                Ok::<_, DispatchError>((connection.counted(connected), protocol, client))
            }
        })
        .and_then(http)
    })?;
    Ok(server.run())
}

/// HTTP on a [`Connection`], whatever the requests are answered with.
fn http<S>() -> HttpServiceBuilder<Connection, S>
where
    S: ServiceFactory<Request, Config = (), InitError: fmt::Debug, Error: Into<Response<BoxBody>> + 'static>,
    <S::Service as Service<Request>>::Future: 'static,
{
    HttpServiceBuilder::default()
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        // A client that has gone away is not told from one that has only ended its side.
        .h1_allow_half_closed(false)
        .on_connect_ext(|connection: &Connection, data: &mut Extensions| {
            data.insert(connection.requests());
        })
}

/// A connection, the protocol it speaks, and whose it is. A handshake also ends with the gateway.
async fn arrive(
    stream: TcpStream,
    tls: Option<(Tls, CancellationToken)>,
    http2: bool,
) -> Result<(Connection, Protocol, Option<SocketAddr>), DispatchError> {
    let client = stream.peer_addr().ok();
    let (stream, speaks_http2) = match tls {
        Some((tls, shutdown)) => {
            let stream = tls.accept(of_client(stream), shutdown).await.inspect_err(|error| {
                tracing::debug!(%error, "a TLS handshake has failed");
            })?;
            let http2 = stream.has_agreed_on_http2();
            (stream, http2)
        }
        None => {
            let http2 =
                http2 && timeout(HEAD_TIMEOUT, speaks_http2(&stream)).await.map_err(io::Error::from)??;
            (Stream::plain(of_client(stream)), http2)
        }
    };
    let protocol = if speaks_http2 { Protocol::Http2 } else { Protocol::Http1 };
    Ok((Connection::new(stream, protocol, HEAD_TIMEOUT), protocol, client))
}

/// By the first bytes, as actix does it; what comes in pieces is taken for HTTP/1.1.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2";
    let mut first = [0; PREFACE.len()];
    stream.peek(&mut first).await?;
    Ok(first == PREFACE)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::rc::Rc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::task::{JoinHandle, LocalSet, spawn_local};
    use tokio::time::{Instant, pause, resume, sleep};

    use super::*;
    use crate::connection::{LastPart, Requests};

    /// All of it is in actix's buffer at once, and it is more than two sockets hold whose buffers are as small as they can be.
    const ANSWER: usize = 30_000;
    const STEP: Duration = Duration::from_millis(500);

    /// A client, and its connection until its end. A request is answered with [`ANSWER`] bytes in one piece.
    async fn serve() -> (TcpStream, JoinHandle<Result<(), DispatchError>>) {
        let [server, client] = [(); 2].map(|()| TcpSocket::new_v4().unwrap());
        server.set_send_buffer_size(1).unwrap();
        client.set_recv_buffer_size(1).unwrap();
        server.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = server.listen(1).unwrap();
        let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let http = http().finish(fn_service(async |request: Request| {
            let under_way = request.conn_data::<Rc<Requests>>().map(|requests| requests.begin(false));
            let body = LastPart::new(vec![b'x'; ANSWER], under_way);
            Ok::<_, Infallible>(Response::ok().set_body(body))
        }));
        let http = http.new_service(()).await.unwrap();
        let connection = Connection::new(Stream::plain(of_client(stream)), Protocol::Http1, HEAD_TIMEOUT);
        (client, spawn_local(async move { http.call((connection, Protocol::Http1, None)).await }))
    }

    /// Asks, and waits for the answer's first byte, from which on only time passes.
    async fn ask(client: &mut TcpStream) {
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        client.read_u8().await.unwrap();
        pause();
    }

    #[tokio::test]
    async fn an_answer_may_be_read_late() {
        let test = async {
            let (mut client, connection) = serve().await;
            ask(&mut client).await;
            sleep(HEAD_TIMEOUT * 2).await;
            resume();
            let (mut answer, mut part) = (0, [0; 1_000]);
            while answer < ANSWER {
                let read = client.read(&mut part).await.unwrap();
                assert!(read > 0, "only {answer} bytes");
                answer += read;
            }
            let begun = Instant::now();
            pause();
            let _ = connection.await.unwrap();
            let silence = begun.elapsed();
            assert!(silence < HEAD_TIMEOUT + STEP, "{silence:?}");
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn an_answer_that_is_never_read_ends_its_connection() {
        let test = async {
            let (mut client, connection) = serve().await;
            let begun = Instant::now();
            ask(&mut client).await;
            assert!(connection.await.unwrap().is_err());
            let unread = begun.elapsed();
            assert!(unread >= UNREAD_TIMEOUT && unread < UNREAD_TIMEOUT * 3 / 2, "{unread:?}");
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_is_given_up_on() {
        let test = async {
            let (_client, connection) = serve().await;
            let begun = Instant::now();
            pause();
            let _ = connection.await.unwrap();
            let silence = begun.elapsed();
            // actix's clock goes in steps of half a second.
            assert!(silence > HEAD_TIMEOUT - STEP && silence < HEAD_TIMEOUT * 3 / 2, "{silence:?}");
        };
        LocalSet::new().run_until(test).await;
    }
}
