//! gRPC, which is HTTP/2 from the client to the upstream, with the outcome in the trailers.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::shared::Gateway;

/// A message of gRPC: not compressed, two bytes long.
const MESSAGE: &[u8] = b"\0\0\0\0\x02hi";

/// Answers a message with itself, and with trailers.
async fn echo(
    request: Request<Incoming>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(request.headers()["x-voicegain-account-id"], "acc");
    let message = request.into_body().collect().await?.to_bytes();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let frames = [Frame::data(message), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
    let body = StreamBody::new(stream::iter(frames));
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_its_outcome_pass_to_an_upstream_that_speaks_http2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(echo)));
        }
    });
    let (gateway, token) = tokio::task::spawn_blocking(move || {
        let gateway = Gateway::start(&["--upstream", &upstream, "--upstream-http2"]);
        let (_, token) = gateway.create();
        (gateway, token)
    })
    .await
    .unwrap();

    let stream = TcpStream::connect(gateway.api).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (token, status, message) in [(token.as_str(), "0", MESSAGE), ("wrong", "16", b"")] {
        let request = Request::post(format!("http://{}/v1/pkg.Echo/Say", gateway.api))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from_static(MESSAGE)))
            .unwrap();
        let (head, body) = client.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        // A call that is refused has no trailers but its head.
        let outcome = body.trailers().unwrap_or(&head.headers);
        assert_eq!((outcome["grpc-status"].to_str().unwrap(), head.status.as_u16()), (status, 200));
        assert_eq!(body.to_bytes(), message);
    }
}
