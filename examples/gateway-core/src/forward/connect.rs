//! Connections to the upstream.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::body::BoxError;
use super::config::{ForwardConfig, ForwardConfigError};
use super::tls::{Protocol, Tls};

/// An open connection.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Opens connections over which one protocol is spoken.
#[derive(Clone)]
pub(super) struct Connector {
    road: Road,
    protocol: Protocol,
    /// For all of it: the name's look-up, the connection, and the handshake of TLS.
    limit: Duration,
}

#[derive(Clone)]
enum Road {
    Plain(HttpConnector),
    Tls(HttpsConnector<HttpConnector>),
}

impl Connector {
    pub(super) fn new(
        config: &ForwardConfig,
        tls: Option<&Tls>,
        protocol: Protocol,
    ) -> Result<Self, ForwardConfigError> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(config.connect_timeout));
        http.set_nodelay(true);
        http.enforce_http(tls.is_none());
        let road = match tls {
            None => Road::Plain(http),
            Some(tls) => Road::Tls(tls.connector(http, protocol)?),
        };
        Ok(Self { road, protocol, limit: config.connect_timeout })
    }

    /// Opens one.
    ///
    /// # Errors
    ///
    /// The upstream cannot be reached, is not who it should be, or does not speak the protocol. If it took too long, there is an
    /// [`io::ErrorKind::TimedOut`] among the causes.
    pub(super) async fn open(mut self, upstream: Uri) -> Result<Stream, BoxError> {
        let opening = async {
            Ok(match &mut self.road {
                Road::Plain(http) => Stream::Http(http.call(upstream).await?),
                Road::Tls(https) => https.call(upstream).await?,
            })
        };
        let opened: Result<_, BoxError> =
            tokio::time::timeout(self.limit, opening).await.map_err(|_| late())?;
        let stream = opened?;
        let is_tls = matches!(stream, Stream::Https(_));
        // A server without ALPN could be one without HTTP/2, and take what it is sent for a request of HTTP/1.1.
        if is_tls && self.protocol == Protocol::Http2 && !stream.connected().is_negotiated_h2() {
            return Err("the upstream did not agree to HTTP/2 (ALPN)".into());
        }
        Ok(stream)
    }
}

fn late() -> BoxError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

/// For the pool.
impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // So is what it is made of.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, upstream: Uri) -> Self::Future {
        Box::pin(self.clone().open(upstream))
    }
}
