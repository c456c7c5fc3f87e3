//! The layer on tonic's server, by a real call.

#![allow(clippy::unwrap_used, reason = "clippy takes only what is marked as a test for one")]

mod common;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use common::World;
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tower::Service;
use voicegain_auth_core::Caller;
use voicegain_auth_tower::Grpc;

/// Messages are bytes, as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}

/// Answers the account that calls, and whether there was a token to be seen.
#[derive(Clone)]
struct WhoAmI;

impl NamedService for WhoAmI {
    const NAME: &'static str = "test.WhoAmI";
}

impl UnaryService<Bytes> for WhoAmI {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let account = match request.extensions().get::<Caller>() {
            Some(Caller::Identified(identity)) => identity.account_id().to_string(),
            other => format!("{other:?}"),
        };
        let token = if request.metadata().contains_key("authorization") { "token" } else { "no token" };
        ready(Ok(Response::new(format!("{account}, {token}").into())))
    }
}

impl Service<http::Request<Body>> for WhoAmI {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(tonic::server::Grpc::new(Raw).unary(service, request).await) })
    }
}

async fn call(channel: &Channel, path: &'static str, token: Option<&str>) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let mut request = Request::new(Bytes::new());
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let answer = client.unary(request, PathAndQuery::from_static(path), Raw).await?;
    Ok(String::from_utf8(answer.into_inner().to_vec()).unwrap())
}

#[tokio::test]
async fn e_tonic_clients_are_let_in_or_refused_in_their_own_way() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let limited = world.data_prep().await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let layer = world.layer().rejection_body(Grpc).outermost();
    let server = Server::builder().layer(layer).add_service(WhoAmI).serve_with_incoming(incoming);
    let server = tokio::spawn(server);
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();

    let method = "/test.WhoAmI/Ask";
    assert_eq!(call(&channel, method, Some(&token)).await.unwrap(), "acc-1, no token");
    for (token, code, reason) in [
        (None, Code::Unauthenticated, "missing_token"),
        (Some("bad"), Code::Unauthenticated, "invalid_token"),
        (Some(limited.as_str()), Code::PermissionDenied, "insufficient_scope"),
    ] {
        let status = call(&channel, method, token).await.unwrap_err();
        assert_eq!(status.code(), code, "{reason}");
        assert_eq!(status.metadata().get("voicegain-reason").unwrap(), reason);
        assert!(status.message().contains("token"), "{status}");
    }
    server.abort();
}
