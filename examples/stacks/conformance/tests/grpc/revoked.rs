//! What becomes of a call whose token is revoked while it lasts (rule C8).

use std::net::SocketAddr;
use std::time::Duration;

use conformance::http1::find;
use conformance::stack::Variant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status, Streaming};
use tonic_app::talk_client::TalkClient;
use tonic_app::talk_server::TalkServer;
use tonic_app::{Talk, Text};
use voicegain_auth_tower::{AuthLayer, Grpc};

use crate::common::{request, world};
use crate::page::{FORMS, body, head};
use crate::{client, start, text, with};

/// How long an end may take. It comes at once; a loaded machine may take its time.
const SOON: Duration = Duration::from_secs(5);

/// The end of a call.
pub fn assert_ended(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.metadata().get("voicegain-reason").unwrap(), "temporarily_unavailable");
}

/// A chat in which something was said and answered, and nothing more is.
pub async fn chat(addr: SocketAddr, token: &str) -> (UnboundedSender<Text>, Streaming<Text>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send(text("a")).unwrap();
    let messages = with(UnboundedReceiverStream::new(receiver), Some(token));
    let mut answers = client(addr).await.chat(messages).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().text, "acc-1 says a");
    (sender, answers)
}

/// The next thing in it.
pub async fn next(answers: &mut Streaming<Text>) -> Result<Option<Text>, Status> {
    timeout(SOON, answers.message()).await.expect("something comes, or it ends")
}

#[tokio::test]
async fn a_chat_ends_though_nothing_is_said_in_it_and_the_new_token_opens_another() {
    let running = start().await;
    let (sender, mut answers) = chat(running.addr, &running.world.token).await;
    let new = running.world.regenerate().await;
    assert_ended(&next(&mut answers).await.unwrap_err());
    assert_eq!(next(&mut answers).await.unwrap(), None);
    drop(sender);

    let refused =
        client(running.addr).await.chat(with(tokio_stream::empty(), Some(&running.world.token))).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let (sender, mut answers) = chat(running.addr, &new).await;
    sender.send(text("b")).unwrap();
    assert_eq!(next(&mut answers).await.unwrap().unwrap().text, "acc-1 says b");
}

#[tokio::test]
async fn a_stream_ends_in_the_middle_of_its_messages() {
    let running = start().await;
    let token = running.world.token.as_str();
    let call = with(text(&u64::MAX.to_string()), Some(token));
    let mut answers = client(running.addr).await.count(call).await.unwrap().into_inner();
    assert_eq!(next(&mut answers).await.unwrap().unwrap().text, "acc-1 1");
    running.world.regenerate().await;
    let rest = async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it has ended as if it were complete"),
                Err(status) => return status,
            }
        }
    };
    assert_ended(&timeout(SOON, rest).await.expect("it ends"));
}

#[tokio::test]
async fn a_stream_of_a_client_ends_before_it_is_answered() {
    let mut running = start().await;
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send(text("a")).unwrap();
    let messages = with(UnboundedReceiverStream::new(receiver), Some(&running.world.token));
    let mut client = client(running.addr).await;
    let call = tokio::spawn(async move { client.collect(messages).await });
    running.let_in.recv().await.unwrap();
    running.world.regenerate().await;
    assert_ended(&timeout(SOON, call).await.expect("it ends").unwrap().unwrap_err());
}

/// Reads until this has come.
async fn read_to(stream: &mut TcpStream, needle: &[u8]) {
    let mut bytes = Vec::new();
    let read = async {
        while find(&bytes, needle).is_none() {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{}", String::from_utf8_lossy(&bytes));
        }
    };
    timeout(SOON, read).await.expect("it comes");
}

#[tokio::test]
async fn a_page_is_told_in_the_trailers_of_its_stream() {
    let running = start().await;
    let authorization = format!("Authorization: Bearer {}", running.world.token);
    let head = head(FORMS[0], "Count", &authorization);
    let lines: Vec<_> = head.iter().map(String::as_str).collect();
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let endless = b"\0\0\0\0\x0d\x0a\x0b99999999999";
    stream.write_all(&request(running.addr, &lines, &body(FORMS[0], endless))).await.unwrap();
    read_to(&mut stream, b"acc-1 1").await;
    running.world.regenerate().await;
    read_to(&mut stream, b"grpc-status:14\r\n").await;
}

/// A call with one message is under way as long as its client does not send that.
#[tokio::test]
async fn a_message_that_comes_late_is_not_waited_for() {
    let mut running = start().await;
    let authorization = format!("Authorization: Bearer {}", running.world.token);
    let head = head(FORMS[0], "Hello", &authorization);
    let lines: Vec<_> = head.iter().map(String::as_str).collect();
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let request = request(running.addr, &lines, b"\0\0\0\0\x04\x0a\x02hi");
    stream.write_all(&request[..request.len() - 1]).await.unwrap();
    running.let_in.recv().await.unwrap();
    running.world.regenerate().await;
    read_to(&mut stream, b"grpc-status: 14\r\n").await;
}

/// Why the example has a layer for it: the library's promises the decision, and leaves what comes after to the application.
#[tokio::test]
async fn without_the_layer_a_call_goes_on() {
    let world = world(Variant::Default).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = incoming.local_addr().unwrap();
    let auth = AuthLayer::new(world.verifier.clone()).rejection_body(Grpc).outermost();
    let router = Server::builder().layer(auth).add_service(TalkServer::new(Talk));
    let task = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    let (sender, mut answers) = chat(addr, &world.token).await;
    world.regenerate().await;
    sender.send(text("b")).unwrap();
    assert_eq!(next(&mut answers).await.unwrap().unwrap().text, "acc-1 says b");
    let mut client = TalkClient::connect(format!("http://{addr}")).await.unwrap();
    let refused = client.hello(with(text("hi"), Some(&world.token))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    task.abort();
}
