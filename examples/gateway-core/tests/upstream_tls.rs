//! An upstream behind TLS: who it has to be, and what goes over it.

mod common;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use voicegain_gateway_core::forward::{ForwardConfig, ForwardConfigError, Forwarder};

/// Somebody whose word counts for who has its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// A server that can show a certificate for these names, and speaks these protocols.
    fn server(&self, params: CertificateParams, alpn: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn config(&self, host: &str, port: u16) -> ForwardConfig {
        let mut config = ForwardConfig::new(format!("https://{host}:{port}").parse().unwrap());
        config.ca_file = Some(self.file.path().to_owned());
        config
    }
}

fn names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor) -> std::io::Result<TlsStream<TcpStream>> {
    let (stream, _) = within(listener.accept()).await.unwrap();
    within(acceptor.accept(stream)).await
}

const REQUEST: &str = "GET /v1/x HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer the-token\r\n\r\n";

async fn read_head(stream: &mut TlsStream<TcpStream>) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(within(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_name_and_an_address_are_verified_and_http_1_is_agreed_on() {
    let authority = Authority::new();
    for (host, sni) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let acceptor = authority.server(names(&[host]), &["h2", "http/1.1"]);
        let (listener, upstream) = listen().await;
        let gateway = gateway(authority.config(host, upstream.port())).await;
        let mut client = Raw::connect(gateway.address).await;
        client.send(REQUEST).await;
        let mut stream = accept(&listener, &acceptor).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(stream.get_ref().1.server_name(), sni);
        let head = read_head(&mut stream).await;
        assert!(has_line(&head, "authorization: Bearer the-token"), "{head}");
        assert!(has_line(&head, &format!("host: {host}:{}", upstream.port())), "{head}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        assert!(client.read_to("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
        // The connection is kept.
        client.send(REQUEST).await;
        read_head(&mut stream).await;
    }
}

#[tokio::test]
async fn nothing_is_sent_to_who_cannot_be_verified() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let mut expired = names(&["127.0.0.1"]);
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    for (fault, acceptor) in [
        ("unknown authority", unknown.server(names(&["127.0.0.1"]), &["http/1.1"])),
        ("another name", known.server(names(&["other.example"]), &["http/1.1"])),
        ("another address", known.server(names(&["127.0.0.2", "localhost"]), &["http/1.1"])),
        ("expired", known.server(expired, &["http/1.1"])),
        ("another protocol", known.server(names(&["127.0.0.1"]), &["h2"])),
    ] {
        for request in [REQUEST.to_owned(), websocket()] {
            let (listener, upstream) = listen().await;
            let gateway = gateway(known.config("127.0.0.1", upstream.port())).await;
            let mut client = Raw::connect(gateway.address).await;
            client.send(&request).await;
            let refused = accept(&listener, &acceptor).await;
            assert!(refused.is_err(), "{fault}: the handshake is given up before anything follows it");
            assert!(client.read_head().await.starts_with("HTTP/1.1 502 "), "{fault}");
            assert_eq!(client.read_to("upstream_unavailable").await, "upstream_unavailable");
        }
    }
}

#[tokio::test]
async fn the_time_limit_covers_the_handshake_and_nothing_is_sent_before_it() {
    let (listener, upstream) = listen().await;
    let authority = Authority::new();
    let mut config = authority.config("127.0.0.1", upstream.port());
    config.connect_timeout = Duration::from_millis(300);
    let gateway = gateway(config).await;
    for request in [REQUEST.to_owned(), websocket()] {
        let mut client = Raw::connect(gateway.address).await;
        client.send(&request).await;
        let mut silent = Raw::accept(&listener).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 504 "));
        assert_eq!(client.read_to("upstream_timeout").await, "upstream_timeout");
        let sent = silent.read_all().await;
        assert!(!sent.is_empty() && !sent.contains("the-token") && !sent.contains("/v1/x"), "{sent}");
    }
}

fn websocket() -> String {
    "GET /v1/x HTTP/1.1\r\nHost: api.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer the-token\r\n\r\n"
        .to_owned()
}

#[tokio::test]
async fn v10_a_websocket_goes_over_tls() {
    let authority = Authority::new();
    let acceptor = authority.server(names(&["127.0.0.1"]), &["h2", "http/1.1"]);
    let (listener, upstream) = listen().await;
    let mut config = authority.config("127.0.0.1", upstream.port());
    // WebSockets use HTTP/1.1 in either case.
    config.http2 = true;
    let gateway = gateway(config).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send(&websocket()).await;
    let mut stream = accept(&listener, &acceptor).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(read_head(&mut stream).await.starts_with("GET /v1/x HTTP/1.1\r\n"));
    let agreement = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst";
    stream.write_all(agreement.as_bytes()).await.unwrap();
    assert!(client.read_head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.read_to("first").await, "first");
    client.send("ping").await;
    let mut ping = [0; 4];
    within(stream.read_exact(&mut ping)).await.unwrap();
    assert_eq!(&ping, b"ping");
    stream.shutdown().await.unwrap();
    assert_eq!(client.read_all().await, "");
}

/// Answers over whichever protocol is agreed on, and ends with a trailer, as gRPC does.
async fn serve_tls(acceptor: TlsAcceptor) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = service_fn(|request: Request<Incoming>| async move {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                let said = format!("{:?} {}", request.version(), request.uri().scheme_str().unwrap_or("-"));
                let frames =
                    [Frame::data(Bytes::from(said)), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
                Ok::<_, Infallible>(Response::new(StreamBody::new(futures_util::stream::iter(frames))))
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// What is answered over HTTP/2 to the gateway.
async fn get(gateway: &Gateway) -> (u16, String, Option<HeaderMap>) {
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    let client = client.clone().http2_only(true).build_http::<Empty<Bytes>>();
    let request = Request::get(format!("http://{}/v1/x", gateway.address)).version(Version::HTTP_2);
    let request = request.header("te", "trailers").body(Empty::new()).unwrap();
    let response = within(client.request(request)).await.unwrap();
    let status = response.status().as_u16();
    let body = within(response.into_body().collect()).await.unwrap();
    let trailers = body.trailers().cloned();
    (status, String::from_utf8(body.to_bytes().to_vec()).unwrap(), trailers)
}

#[tokio::test]
async fn http_2_has_to_be_agreed_on() {
    let authority = Authority::new();
    for (alpn, answer) in [
        (&["h2"][..], (200, "HTTP/2.0 https")),
        (&["http/1.1", "h2"], (200, "HTTP/2.0 https")),
        (&["http/1.1"], (502, "upstream_unavailable")),
        // hyper's server would find out by the first bytes, but who knows of another one.
        (&[], (502, "upstream_unavailable")),
    ] {
        let upstream = serve_tls(authority.server(names(&["127.0.0.1"]), alpn)).await;
        let mut config = authority.config("127.0.0.1", upstream.port());
        config.http2 = true;
        let (status, body, trailers) = get(&gateway(config).await).await;
        assert_eq!((status, body.as_str()), answer, "{alpn:?}");
        let grpc_status = trailers.and_then(|trailers| trailers.get("grpc-status").cloned());
        assert_eq!(grpc_status.is_some(), status == 200, "{alpn:?}");
    }
}

#[tokio::test]
async fn the_upstreams_authority_is_checked_at_the_start() {
    let file = |text: &str| {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    };
    let check = |upstream: &str, ca: Option<&Path>| {
        let mut config = ForwardConfig::new(upstream.parse().unwrap());
        config.ca_file = ca.map(Path::to_owned);
        Forwarder::new(config).map(drop)
    };
    let problem = |ca: &Path| match check("https://a.example", Some(ca)) {
        Err(ForwardConfigError::CaFile(file, problem)) if file == ca => problem,
        other => panic!("{other:?}"),
    };
    let good = Authority::new();
    let pem = std::fs::read_to_string(good.file.path()).unwrap();
    assert_eq!(check("https://a.example", Some(good.file.path())), Ok(()));
    assert_eq!(check("https://[::1]:8443", Some(file(&format!("{pem}{pem}")).path())), Ok(()));
    assert_eq!(check("http://a.example", Some(good.file.path())), Err(ForwardConfigError::CaWithoutTls));
    assert!(problem(file("").path()).contains("no certificate"));
    assert!(
        problem(file("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").path())
            .contains("no certificate")
    );
    assert!(problem(file(&pem.replace("END", "ENT")).path()).contains("no PEM"));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(problem(file(&format!("{pem}{broken}")).path()).contains("certificate 2 cannot be used"));
    assert!(problem(Path::new("/nowhere/ca.pem")).contains("No such file"));
}
