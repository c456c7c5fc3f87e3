//! A gateway over real sockets, and both of its neighbours played by hand.
#![allow(dead_code)]

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use voicegain_gateway_core::forward::{BoxError, Ending, ForwardConfig, ForwardContext, Forwarder};

pub type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// Keeps a broken test from hanging.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("the test hangs")
}

pub async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub fn config(upstream: SocketAddr) -> ForwardConfig {
    ForwardConfig::new(format!("http://{upstream}").parse::<Uri>().unwrap())
}

pub struct Gateway {
    pub address: SocketAddr,
    /// Ends every exchange.
    pub ended: CancellationToken,
}

/// Serves HTTP/1.1 and HTTP/2 and forwards everything, with an identity.
pub async fn gateway(config: ForwardConfig) -> Gateway {
    let forwarder = Forwarder::new(config).unwrap();
    let ended = CancellationToken::new();
    let token = ended.clone();
    let address = serve(move |request| {
        let forwarder = forwarder.clone();
        let mut context = ForwardContext::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Scheme::HTTPS);
        context.headers = identity();
        context.ending = Some(Ending::when(token.clone().cancelled_owned()));
        async move {
            match forwarder.forward(request, context).await {
                Ok(response) => response.map(BodyExt::boxed_unsync),
                Err(error) => answer(error.status().as_u16(), error.reason()),
            }
        }
    })
    .await;
    Gateway { address, ended }
}

pub fn identity() -> Vec<(HeaderName, HeaderValue)> {
    vec![(HeaderName::from_static("x-voicegain-account-id"), HeaderValue::from_static("the-real-one"))]
}

pub fn answer(status: u16, text: &'static str) -> Response<AnyBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

/// A hyper server, which makes a good upstream too.
pub async fn serve<F, Fut>(handler: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = handler(request);
                    async move { Ok::<_, Infallible>(response.await) }
                });
                let mut server = auto::Builder::new(TokioExecutor::new());
                server.http2().enable_connect_protocol();
                let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// One end of a connection on which bytes are written and read as they are.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub async fn accept(listener: &TcpListener) -> Self {
        Self(within(listener.accept()).await.unwrap().0)
    }

    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until the text has come, and gives everything read.
    pub async fn read_to(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        within(async {
            while !read.ends_with(end.as_bytes()) {
                match self.0.read_u8().await {
                    Ok(byte) => read.push(byte),
                    Err(error) => {
                        panic!("{error} before {end:?}, after {:?}", String::from_utf8_lossy(&read))
                    }
                }
            }
        })
        .await;
        String::from_utf8(read).unwrap()
    }

    pub async fn read_head(&mut self) -> String {
        self.read_to("\r\n\r\n").await
    }

    /// Reads until the other side closes, by whatever means.
    pub async fn read_all(&mut self) -> String {
        let mut read = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        within(async {
            while let Ok(count @ 1..) = self.0.read(&mut buffer).await {
                read.extend_from_slice(&buffer[..count]);
            }
        })
        .await;
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Asserts that nothing has arrived.
    pub fn assert_silent(&self) {
        let mut byte = [0];
        let read = self.0.try_read(&mut byte);
        assert!(
            read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            "something has arrived"
        );
    }
}

/// Long enough for anything wrongly sent to arrive.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

pub fn has_line(head: &str, line: &str) -> bool {
    head.lines().any(|each| each.eq_ignore_ascii_case(line))
}

pub fn count_field(head: &str, name: &str) -> usize {
    let prefix = format!("{name}:");
    head.to_ascii_lowercase().lines().filter(|line| line.starts_with(&prefix)).count()
}
