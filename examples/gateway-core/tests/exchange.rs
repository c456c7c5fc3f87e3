//! Requests and responses through the forwarder, over real sockets.

mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt;
use voicegain_gateway_core::forward::{
    BoxError, Ending, ForwardConfig, ForwardConfigError, ForwardContext, Forwarder,
};

const MIB: usize = 1024 * 1024;

/// So many bytes in pieces of 16 KiB; counts what has been taken.
struct Pieces {
    left: usize,
    taken: Arc<AtomicUsize>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let size = self.left.min(16 * 1024);
        if size == 0 {
            return Poll::Ready(None);
        }
        self.left -= size;
        self.taken.fetch_add(size, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![7; size])))))
    }
}

/// Waits until a counter has stopped moving.
async fn stalled(counter: &AtomicUsize) -> usize {
    loop {
        let before = counter.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        if before > 0 && counter.load(Ordering::SeqCst) == before {
            return before;
        }
    }
}

fn client<B>() -> Client<hyper_util::client::legacy::connect::HttpConnector, B>
where
    B: Body + Send,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

fn h2_client<B>() -> Client<hyper_util::client::legacy::connect::HttpConnector, B>
where
    B: Body + Send,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

#[tokio::test]
async fn configuration_is_checked() {
    let check = |uri: &str| Forwarder::new(ForwardConfig::new(uri.parse().unwrap())).map(|_| ());
    assert_eq!(check("http://a.example"), Ok(()));
    assert_eq!(check("http://a.example:81/"), Ok(()));
    assert_eq!(check("/path"), Err(ForwardConfigError::NotHttp));
    assert_eq!(check("ftp://a.example"), Err(ForwardConfigError::NotHttp));
    assert_eq!(check("http://u:p@a.example"), Err(ForwardConfigError::UserInformation));
    assert_eq!(check("http://a.example/base"), Err(ForwardConfigError::Path));
    assert_eq!(check("http://a.example?x"), Err(ForwardConfigError::Path));
}

#[tokio::test]
async fn v8_headers_are_cleaned_and_set() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client
        .send(
            "GET /a%20b/%c3%a9?q=1 HTTP/1.1\r\nHost: api.example\r\n\
             Connection: x-voicegain-account-id, X-Hop, x-forwarded-for, authorization, keep-alive\r\n\
             X-Voicegain-Account-Id: forged\r\nX_Voicegain_Web_Config_Id: forged\r\nx.voicegain.x: forged\r\n\
             X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil.test\r\nX_Forwarded_Proto: gopher\r\n\
             Forwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Original-URL: /admin\r\n\
             X-Hop: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authorization: x\r\nProxy-Connection: x\r\n\
             TE: trailers, deflate\r\nAuthorization: kept\r\nCookie: a=b\r\nX-Kept: 1\r\n\r\n",
        )
        .await;
    let mut upstream_side = Raw::accept(&listener).await;
    let head = upstream_side.read_head().await;
    assert!(head.starts_with("GET /a%20b/%c3%a9?q=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        "x-voicegain-account-id: the-real-one".to_owned(),
        "x-forwarded-for: 127.0.0.1".to_owned(),
        "x-forwarded-host: api.example".to_owned(),
        "x-forwarded-proto: https".to_owned(),
        format!("host: {upstream}"),
        "te: trailers".to_owned(),
        "connection: TE".to_owned(),
        "authorization: kept".to_owned(),
        "cookie: a=b".to_owned(),
        "x-kept: 1".to_owned(),
    ] {
        assert!(has_line(&head, &line), "{line} is missing:\n{head}");
    }
    assert_eq!(head.lines().count(), 12, "nothing else:\n{head}");

    upstream_side
        .send(
            "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\
             Upgrade: h2c\r\nX-Kept: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi",
        )
        .await;
    let head = client.read_head().await;
    for line in ["x-kept: 1", "set-cookie: a=1", "set-cookie: b=2", "content-length: 2"] {
        assert!(has_line(&head, line), "{line} is missing:\n{head}");
    }
    for name in ["x-hop", "keep-alive", "upgrade", "connection"] {
        assert_eq!(count_field(&head, name), 0, "{name}:\n{head}");
    }
    assert_eq!(client.read_to("hi").await, "hi");
}

#[tokio::test]
async fn v10_other_upgrades_are_removed() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    for upgrade in ["h2c", "foo", "websocket, h2c", "websocket"] {
        let mut client = Raw::connect(gateway.address).await;
        client
            .send(&format!(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
                 HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
            ))
            .await;
        let mut upstream_side = Raw::accept(&listener).await;
        let head = upstream_side.read_head().await;
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(count_field(&head, name), 0, "rule V10, {upgrade}:\n{head}");
        }
        // An upstream that upgrades all the same is not followed.
        upstream_side
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
            .await;
        let head = client.read_head().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert_eq!(upstream_side.read_all().await, "", "the connection is closed");
    }
}

#[tokio::test]
async fn v10_trace_and_connect_are_405() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    for request in
        ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n"]
    {
        let mut client = Raw::connect(gateway.address).await;
        client.send(request).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 405 "), "{request}");
        assert_eq!(client.read_to("method_not_allowed").await, "method_not_allowed");
    }
    drop(listener);
}

#[tokio::test]
async fn asterisk_form_is_400() {
    let (_listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn absolute_form_becomes_a_path() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET http://u@api.example:81/x?y HTTP/1.1\r\nHost: other.example\r\n\r\n").await;
    let head = Raw::accept(&listener).await.read_head().await;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert!(has_line(&head, "x-forwarded-host: api.example:81"), "{head}");
}

#[tokio::test]
async fn a_body_streams_both_ways_at_once() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    let head = upstream_side.read_head().await;
    assert_eq!(count_field(&head, "transfer-encoding"), 1, "{head}");
    assert_eq!(count_field(&head, "content-length"), 0, "{head}");
    assert_eq!(upstream_side.read_to("one\r\n").await, "3\r\none\r\n");

    upstream_side.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nuno\r\n").await;
    client.read_head().await;
    assert_eq!(client.read_to("uno\r\n").await, "3\r\nuno\r\n");
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(upstream_side.read_to("0\r\n\r\n").await, "3\r\ntwo\r\n0\r\n\r\n");
    upstream_side.send("3\r\ndos\r\n0\r\n\r\n").await;
    assert_eq!(client.read_to("0\r\n\r\n").await, "3\r\ndos\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_get_keeps_its_body() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    assert!(has_line(&upstream_side.read_head().await, "transfer-encoding: chunked"));
    assert_eq!(upstream_side.read_to("0\r\n\r\n").await, "3\r\none\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_length_beside_an_encoding_does_not_travel() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        .await;
    let mut upstream_side = Raw::accept(&listener).await;
    assert_eq!(count_field(&upstream_side.read_head().await, "content-length"), 0);
    upstream_side.read_to("0\r\n\r\n").await;
    upstream_side
        .send(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nuno\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(count_field(&client.read_head().await, "content-length"), 0);
    assert_eq!(client.read_to("0\r\n\r\n").await, "3\r\nuno\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_announced_body_that_is_not_there_is_400() {
    let (_listener, upstream) = listen().await;
    let forwarder = Forwarder::new(config(upstream)).unwrap();
    let request = Request::post("/").header("content-length", "5").body(Empty::<Bytes>::new()).unwrap();
    let context = ForwardContext::new([127, 0, 0, 1].into(), Scheme::HTTP);
    assert_eq!(forwarder.forward(request, context).await.unwrap_err().reason(), "invalid_request");
}

#[tokio::test]
async fn expect_is_answered_here_and_only_for_a_wanted_body() {
    let (listener, upstream) = listen().await;
    let mut limited = config(upstream);
    limited.max_body_bytes = Some(10);
    let gateway = gateway(limited).await;

    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    assert_eq!(count_field(&upstream_side.read_head().await, "expect"), 0);
    assert_eq!(client.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    assert_eq!(upstream_side.read_to("hello").await, "hello");

    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 413 "), "refused without asking for the body");
}

#[tokio::test]
async fn trailers_travel_both_ways_and_are_cleaned() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
             Trailer: x-sum, x-voicegain-account-id, x_voicegain_web_config_id, authorization\r\n\r\n\
             2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Voicegain-Account-Id: forged\r\n\
             X_Voicegain_Web_Config_Id: forged\r\nAuthorization: forged\r\n\r\n",
        )
        .await;
    let mut upstream_side = Raw::accept(&listener).await;
    let head = upstream_side.read_head().await;
    assert_eq!(count_field(&head, "trailer"), 1, "{head}");
    assert_eq!(upstream_side.read_to("\r\n\r\n").await, "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n", "rule V8");

    upstream_side
        .send(
            "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nho\r\n0\r\nX-Sum: 2\r\n\r\n",
        )
        .await;
    let head = client.read_head().await;
    assert!(has_line(&head, "trailer: X-Sum"), "{head}");
    assert_eq!(client.read_to("\r\n\r\n").await, "2\r\nho\r\n0\r\nx-sum: 2\r\n\r\n");
}

#[tokio::test]
async fn trailers_travel_over_http2() {
    let upstream = serve(|request| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        let received = request.into_body().collect().await.unwrap();
        let trailers = received.trailers().cloned().unwrap();
        assert_eq!(trailers.len(), 1, "rule V8: {trailers:?}");
        Response::new(
            FramesBody(vec![Frame::data(received.to_bytes()), Frame::trailers(trailers)]).boxed_unsync(),
        )
    })
    .await;
    let mut h2 = config(upstream);
    h2.http2 = true;
    let gateway = gateway(h2).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    trailers.insert("x-voicegain-account-id", HeaderValue::from_static("forged"));
    let body = FramesBody(vec![Frame::data(Bytes::from_static(b"hi")), Frame::trailers(trailers)]);
    let request =
        Request::post(format!("http://{}/", gateway.address)).header("te", "trailers").body(body).unwrap();
    let response = within(h2_client().request(request)).await.unwrap();
    let received = response.into_body().collect().await.unwrap();
    assert_eq!(received.trailers().unwrap()["x-sum"], "1");
    assert_eq!(received.to_bytes(), "hi");
}

#[tokio::test]
async fn twenty_mebibytes_both_ways() {
    let upstream = serve(|request| async move {
        Response::new(request.into_body().map_err(BoxError::from).boxed_unsync())
    })
    .await;
    let gateway = gateway(config(upstream)).await;
    for (client, name) in [(client(), "HTTP/1.1"), (h2_client(), "HTTP/2")] {
        let body = Pieces { left: 20 * MIB, taken: Arc::default() };
        let request = Request::post(format!("http://{}/", gateway.address)).body(body).unwrap();
        let mut body = within(client.request(request)).await.unwrap().into_body();
        let mut length = 0;
        while let Some(frame) = within(body.frame()).await {
            length += frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!(length, 20 * MIB, "{name}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stops_the_upload() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let body = Pieces { left: 256 * MIB, taken: taken.clone() };
    let request = Request::post(format!("http://{}/", gateway.address)).body(body).unwrap();
    let sending = tokio::spawn(client().request(request));
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    // What remains are the buffers of two connections in the kernel.
    assert!(within(stalled(&taken)).await < 64 * MIB);

    // C8: what is stalled ends too.
    gateway.ended.cancel();
    assert!(within(sending).await.unwrap().is_ok_and(|response| response.status() == 503));
    let _ = upstream_side.read_all().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_download() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    upstream_side.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 256 * MIB)).await;
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let writing = tokio::spawn(async move {
        let piece = vec![7; 16 * 1024];
        while upstream_side.0.write_all(&piece).await.is_ok() {
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    assert!(within(stalled(&written)).await < 64 * MIB);

    // C8: the upstream is let go although the client is stalled and nobody polls the body.
    gateway.ended.cancel();
    within(writing).await.unwrap();
    let received = client.read_all().await;
    assert!(received.len() < 64 * MIB, "the client is cut off before the end");
}

#[tokio::test]
async fn events_arrive_as_they_are_sent() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    upstream_side
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.read_head().await;
    for _ in 0..3 {
        upstream_side.send("9\r\ndata: x\n\n\r\n").await;
        assert_eq!(client.read_to("\n\n\r\n").await, "9\r\ndata: x\n\n\r\n");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    for path in ["/1", "/2"] {
        if path == "/2" {
            client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        }
        assert!(upstream_side.read_head().await.starts_with(&format!("GET {path} ")));
        upstream_side.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        client.read_to("\r\n\r\nhi").await;
        settle().await;
    }
}

#[tokio::test]
async fn no_more_exchanges_than_may_be_are_under_way() {
    let (listener, upstream) = listen().await;
    let mut one = config(upstream);
    one.max_exchanges = Some(1);
    let gateway = gateway(one).await;
    let ask = async |path: &str| {
        let mut client = Raw::connect(gateway.address).await;
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        client
    };
    let mut first = ask("/first").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    upstream_side.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi").await;
    first.read_to("hi").await;
    let refused = ask("/second").await.read_to("temporarily_unavailable").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    upstream_side.send("hi").await;
    first.read_to("hi").await;
    settle().await;
    let _third = ask("/third").await;
    assert!(upstream_side.read_head().await.starts_with("GET /third "));
}

#[tokio::test]
async fn cookies_split_by_http2_are_joined() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let request = Request::get(format!("http://{}/", gateway.address))
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let sending = tokio::spawn(h2_client().request(request));
    let mut upstream_side = Raw::accept(&listener).await;
    let head = upstream_side.read_head().await;
    assert!(has_line(&head, "cookie: a=1; b=2"), "{head}");
    assert!(has_line(&head, &format!("x-forwarded-host: {}", gateway.address)), "{head}");
    upstream_side.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(within(sending).await.unwrap().unwrap().status(), 204);
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502() {
    let (listener, upstream) = listen().await;
    drop(listener);
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.read_to("upstream_unavailable").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn an_upstream_that_talks_nonsense_is_502_and_nothing_is_repeated() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    for answer in
        ["nonsense\r\n\r\n", "", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"]
    {
        let mut client = Raw::connect(gateway.address).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut upstream_side = Raw::accept(&listener).await;
        upstream_side.read_head().await;
        upstream_side.send(answer).await;
        drop(upstream_side);
        assert!(client.read_to("upstream_unavailable").await.starts_with("HTTP/1.1 502 "), "{answer}");
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_header_that_is_too_large_is_502() {
    let (listener, upstream) = listen().await;
    let mut limited = config(upstream);
    limited.max_header_bytes = 8192;
    let gateway = gateway(limited).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    let head = format!("HTTP/1.1 200 OK\r\nX-Large: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(20_000));
    upstream_side.send(&head).await;
    assert!(client.read_to("upstream_unavailable").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn a_silent_upstream_is_504_and_let_go() {
    let (listener, upstream) = listen().await;
    let mut short = config(upstream);
    short.response_timeout = Duration::from_millis(200);
    let gateway = gateway(short).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    // A slow client does not count against the upstream.
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.assert_silent();
    client.send("hi").await;
    assert!(client.read_to("upstream_timeout").await.starts_with("HTTP/1.1 504 "));
    assert_eq!(upstream_side.read_all().await, "hi", "the connection is closed");
}

#[tokio::test]
async fn a_silent_client_is_400() {
    let (listener, upstream) = listen().await;
    let mut short = config(upstream);
    short.idle_timeout = Some(Duration::from_millis(200));
    let gateway = gateway(short).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    assert!(client.read_to("invalid_request").await.starts_with("HTTP/1.1 400 "));
    assert_eq!(upstream_side.read_all().await, "h");
}

#[tokio::test]
async fn a_response_that_falls_silent_or_breaks_off_never_ends_cleanly() {
    let (listener, upstream) = listen().await;
    let mut short = config(upstream);
    short.idle_timeout = Some(Duration::from_millis(200));
    let gateway = gateway(short).await;
    for drops in [false, true] {
        let mut client = Raw::connect(gateway.address).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut upstream_side = Raw::accept(&listener).await;
        upstream_side.read_head().await;
        upstream_side.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
        client.read_head().await;
        let kept = (!drops).then_some(upstream_side);
        assert_eq!(client.read_all().await, "2\r\nhi\r\n", "no last chunk");
        drop(kept);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_never_ends_its_upload_cleanly() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    upstream_side.read_to("hi\r\n").await;
    drop(client);
    assert_eq!(upstream_side.read_all().await, "", "no last chunk");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let (listener, upstream) = listen().await;
    let mut limited = config(upstream);
    limited.max_body_bytes = Some(4);
    let gateway = gateway(limited).await;

    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(client.read_to("request_too_large").await.starts_with("HTTP/1.1 413 "), "announced");

    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    assert_eq!(upstream_side.read_to("four\r\n").await, "4\r\nfour\r\n", "exactly the limit");
    client.send("1\r\n5\r\n").await;
    assert!(client.read_to("request_too_large").await.starts_with("HTTP/1.1 413 "), "found out");
    assert_eq!(upstream_side.read_all().await, "", "no last chunk");
}

#[tokio::test]
async fn c8_ending_reaches_a_response_that_is_waited_for() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    gateway.ended.cancel();
    assert!(client.read_to("temporarily_unavailable").await.starts_with("HTTP/1.1 503 "));
    assert_eq!(upstream_side.read_all().await, "", "the connection is closed");
}

#[tokio::test]
async fn c8_ending_reaches_a_download() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    upstream_side.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
    client.read_to("hi\r\n").await;
    gateway.ended.cancel();
    assert_eq!(client.read_all().await, "", "rule C8: no last chunk");
    assert_eq!(upstream_side.read_all().await, "", "the connection is closed");
}

#[tokio::test]
async fn c8_ending_reaches_an_upload() {
    let (listener, upstream) = listen().await;
    let gateway = gateway(config(upstream)).await;
    let mut client = Raw::connect(gateway.address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    // The response is complete, the upload goes on.
    upstream_side.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho").await;
    client.read_to("ho").await;
    upstream_side.read_to("hi\r\n").await;
    client.send("2\r\nhi\r\n").await;
    upstream_side.read_to("hi\r\n").await;
    gateway.ended.cancel();
    assert_eq!(upstream_side.read_all().await, "", "rule C8: no last chunk");
}

#[tokio::test]
async fn what_ends_an_exchange_is_held_as_long_as_it_lasts() {
    let (listener, upstream) = listen().await;
    let forwarder = Forwarder::new(config(upstream)).unwrap();
    let hold = Arc::new(());
    let mut context = ForwardContext::new([127, 0, 0, 1].into(), Scheme::HTTP);
    let held = Arc::clone(&hold);
    context.ending = Some(Ending::when(async move {
        let _held = held;
        std::future::pending().await
    }));
    let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    let sending = tokio::spawn(async move { forwarder.forward(request, context).await });
    let mut upstream_side = Raw::accept(&listener).await;
    upstream_side.read_head().await;
    upstream_side.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh").await;
    let mut body = within(sending).await.unwrap().unwrap().into_body();
    within(body.frame()).await.unwrap().unwrap();
    assert_eq!(Arc::strong_count(&hold), 2, "one byte is still to come");
    drop(body);
    within(async {
        while Arc::strong_count(&hold) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Frames that are there already.
struct FramesBody(Vec<Frame<Bytes>>);

impl Body for FramesBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready((!self.0.is_empty()).then(|| Ok(self.0.remove(0))))
    }
}
