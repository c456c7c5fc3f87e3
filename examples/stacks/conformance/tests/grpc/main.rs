//! tonic's server with the layers of its example: from a gRPC client's point of view, and from a browser's.

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod outage;
mod page;
mod revoked;

use std::net::SocketAddr;

use common::{World, world};
use conformance::stack::Variant;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;
use tonic::Request;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic_app::talk_client::TalkClient;
use tonic_app::talk_server::TalkServer;
use tonic_app::{Talk, Text, server};
use tower::util::MapRequestLayer;

struct Running {
    world: World,
    addr: SocketAddr,
    /// Something for every request that is let in.
    let_in: UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start() -> Running {
    serve(world(Variant::Default).await)
}

fn serve(world: World) -> Running {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let (sender, let_in) = mpsc::unbounded_channel();
    let tell = MapRequestLayer::new(move |request: http::Request<Body>| {
        let _ = sender.send(());
        request
    });
    let router = server(world.verifier.clone()).layer(tell).add_service(TalkServer::new(Talk));
    let task = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    Running { world, addr, let_in, task }
}

async fn client(addr: SocketAddr) -> TalkClient<Channel> {
    let channel = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
    TalkClient::new(channel)
}

fn with<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

fn text(text: &str) -> Text {
    text.to_owned().into()
}

fn texts() -> tokio_stream::Iter<std::vec::IntoIter<Text>> {
    tokio_stream::iter(vec![text("a"), text("b")])
}
