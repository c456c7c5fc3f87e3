//! actix's own server, put together here because `HttpServer` lets nobody in between the socket and HTTP.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Extensions, Server};
use actix_web::{App, middleware, web};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use voicegain_auth_actix::Auth;
use voicegain_gateway_core::server::HEAD_TIMEOUT;
use voicegain_gateway_core::{Gateway, signals};

use crate::connection::Connection;
use crate::{gate, serve};

/// How long a client may take to close what the gateway has closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A server for HTTP/1.1, and for HTTP/2 with prior knowledge if it is asked for, whose exchanges are on `runtime`.
pub fn new(listener: TcpListener, gateway: Gateway, runtime: Handle, http2: bool) -> io::Result<Server> {
    let server = Server::build().disable_signals().shutdown_timeout(signals::GRACE.as_secs());
    let ending = server.graceful_shutdown_signal();
    let server = server.listen("api", listener, move || {
        let app = App::new()
            .app_data(web::Data::new(gateway.clone()))
            .app_data(web::Data::new(runtime.clone()))
            .wrap(Auth::new(gateway.verifier().clone()))
            .wrap(middleware::from_fn(gate::gate))
            .default_service(web::route().to(serve::serve));
        let ending = ending.clone();
        let http = HttpService::build()
            .client_request_timeout(HEAD_TIMEOUT)
            .keep_alive(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            // A client that has gone away is not told from one that has only ended its side.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || {
                let ending = ending.clone();
                async move { ending.notified().await }
            })
            .on_connect_ext(|connection: &Connection, data: &mut Extensions| {
                data.insert(connection.requests());
            })
            .finish(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream| arrive(stream, http2)).and_then(http)
    })?;
    Ok(server.run())
}

/// A connection, the protocol it speaks, and whose it is.
async fn arrive(
    stream: TcpStream,
    http2: bool,
) -> Result<(Connection, Protocol, Option<SocketAddr>), DispatchError> {
    let speaks_http2 =
        http2 && timeout(HEAD_TIMEOUT, speaks_http2(&stream)).await.map_err(io::Error::from)??;
    let protocol = if speaks_http2 { Protocol::Http2 } else { Protocol::Http1 };
    let client = stream.peer_addr().ok();
    Ok((Connection::new(stream, protocol, HEAD_TIMEOUT), protocol, client))
}

/// By the first bytes, as actix does it; what comes in pieces is taken for HTTP/1.1.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2";
    let mut first = [0; PREFACE.len()];
    stream.peek(&mut first).await?;
    Ok(first == PREFACE)
}
