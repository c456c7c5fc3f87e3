//! The same over HTTP/1.1 and HTTP/2, which hyper speaks, so that the fault is all its own.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use voicegain_auth_wire::strict;
use voicegain_auth_wire::subject::{self, Subject, Tokens};
use voicegain_auth_wire::upstream::Upstream;

use super::{Fault, decided, is_whole};

/// How many streams a connection may have, and how many where that is the fault.
const STREAMS: [u32; 2] = [200, 400];

pub async fn start(fault: Fault) -> Subject {
    let upstream = Upstream::start(subject::judge).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let to = upstream.addr;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request| async move {
                let answer = answer(request, to, fault);
                let answer = if fault == Fault::GoesOn {
                    // Nobody stops a task whose handle is dropped.
                    tokio::spawn(answer).await.unwrap_or_else(|_| refused(500))
                } else {
                    answer.await
                };
                Ok::<_, Infallible>(answer)
            });
            tokio::spawn(async move {
                let mut server = auto::Builder::new(TokioExecutor::new());
                let streams = STREAMS[usize::from(fault == Fault::ManyStreams)];
                server.http2().max_concurrent_streams(streams);
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Subject { name: "proxy".to_owned(), addr, tokens: Tokens::new(), upstream, process: None }
}

async fn answer(request: Request<Incoming>, to: SocketAddr, fault: Fault) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return refused(400) };
    let trailers = body.trailers().cloned().unwrap_or_default();
    let body = body.to_bytes();
    let mut head = format!("{} {} HTTP/1.1\r\nhost: gw.example\r\n", parts.method, parts.uri.path());
    for (name, value) in parts.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "host" | "te")) {
        head += &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    if !body.is_empty() && !parts.headers.contains_key("content-length") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    let bytes = [head.as_bytes(), b"\r\n", &body].concat();
    let Ok(Some((mut request, _))) = strict::request(&bytes) else { return refused(400) };
    if fault == Fault::TrailersAsFields {
        for (name, value) in &trailers {
            let line =
                format!("GET / HTTP/1.1\r\n{name}: {}\r\n\r\n", String::from_utf8_lossy(value.as_bytes()));
            let Ok(Some((trailer, _))) =
                strict::request(line.replacen("\r\n", "\r\nhost: a\r\n", 1).as_bytes())
            else {
                return refused(400);
            };
            request.head.fields.extend(trailer.head.fields.into_iter().filter(|field| field.name != "host"));
        }
    }
    let Some(head) = decided(&request, to, fault) else { return refused(401) };
    let exchange = async {
        let mut upstream = TcpStream::connect(to).await?;
        upstream.write_all(&[&head, &*request.body].concat()).await?;
        let mut answer = Vec::new();
        while !answer.windows(4).any(|window| window == b"\r\n\r\n") || !is_whole(&answer) {
            if upstream.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        std::io::Result::Ok(answer)
    };
    let Ok(answer) = exchange.await else { return refused(502) };
    let text = String::from_utf8_lossy(&answer);
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.map_or_else(|| refused(502), |body| Response::new(Full::from(body)))
}

fn refused(status: u16) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status.try_into().unwrap();
    answer
}
