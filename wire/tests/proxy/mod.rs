//! A proxy of one request for each connection, with a fault of choice.

pub mod http2;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conformance::fixture::FIXTURES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use voicegain_auth_wire::strict::{self, Head, Request};
use voicegain_auth_wire::subject::{self, Subject, Tokens};
use voicegain_auth_wire::upstream::Upstream;

/// How long good requests take besides, where they are slowed.
pub const SLOW: Duration = Duration::from_millis(500);

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// What stands behind the request goes on to the upstream as it is.
    Splices,
    /// The body is framed in both ways, as it came.
    BothFramings,
    /// Only hyphens are looked at in names.
    OneSpelling,
    /// What a client says of other hops is passed on.
    BelievesForwarding,
    /// Dots are resolved in the path that is passed on.
    TidiesPaths,
    /// Once an attack has come, good requests are not answered.
    DropsGood,
    /// Once an attack has come, good requests take a while.
    SlowsGood,
    /// What was begun is passed on when its client has gone, without a decision.
    PassesBeginnings,
    /// The same, decided about, but its path is another.
    PassesOtherBeginnings,
    /// Every tenth connection is not answered.
    LeavesOut,
    /// Over HTTP/2, what is under way goes on when its stream has been reset.
    GoesOn,
    /// Over HTTP/2, a connection may have twice as many streams.
    ManyStreams,
    /// Over HTTP/2, what stands behind the body comes to stand among the fields of the head.
    TrailersAsFields,
}

pub async fn start(fault: Fault) -> Subject {
    let upstream = Upstream::start(subject::judge).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let to = upstream.addr;
    let attacked = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        let mut count = 0;
        while let Ok((stream, _)) = listener.accept().await {
            let attacked = attacked.clone();
            count += 1;
            if fault == Fault::LeavesOut && attacked.load(Ordering::Relaxed) && count % 10 == 0 {
                continue;
            }
            tokio::spawn(async move {
                let _ = serve(stream, to, fault, &attacked).await;
            });
        }
    });
    Subject { name: "proxy".to_owned(), addr, tokens: Tokens::new(), upstream, process: None }
}

async fn serve(mut client: TcpStream, to: SocketAddr, fault: Fault, attacked: &AtomicBool) -> io::Result<()> {
    let mut bytes = Vec::new();
    let (request, length) = loop {
        match read(&bytes, fault) {
            Ok(Some(found)) => break found,
            Ok(None) => {
                if client.read_buf(&mut bytes).await? == 0 {
                    return pass_beginning(&bytes, to, fault).await;
                }
            }
            Err(_) => return refuse(&mut client, 400).await,
        }
    };
    if !request.head.target.contains("/good/") {
        attacked.store(true, Ordering::Relaxed);
    } else if fault == Fault::DropsGood && attacked.load(Ordering::Relaxed) {
        return Ok(());
    } else if fault == Fault::SlowsGood && attacked.load(Ordering::Relaxed) {
        sleep(SLOW).await;
    }
    let Some(head) = decided(&request, to, fault) else { return refuse(&mut client, 401).await };
    let mut upstream = TcpStream::connect(to).await?;
    let mut sent = head;
    sent.extend_from_slice(&request.body);
    if fault == Fault::Splices {
        sent.extend_from_slice(&bytes[length..]);
    }
    if request.head.all("x-both").next().is_some() {
        sent.extend_from_slice(b"\r\n0\r\n\r\n");
    }
    upstream.write_all(&sent).await?;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") || !is_whole(&answer) {
        if upstream.read_buf(&mut answer).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&answer).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    client.write_all(text.as_bytes()).await
}

/// Of a request whose client has gone.
async fn pass_beginning(bytes: &[u8], to: SocketAddr, fault: Fault) -> io::Result<()> {
    let Ok(Some((request, _))) = strict::begun(bytes) else { return Ok(()) };
    let head = match fault {
        Fault::PassesBeginnings => request.raw_head.clone(),
        Fault::PassesOtherBeginnings => {
            let Some(head) = decided(&request, to, fault) else { return Ok(()) };
            let head = String::from_utf8_lossy(&head).replace("/v1/case", "/v1/other");
            head.replace("content-length: 5\r\n", "content-length: 500\r\n").into_bytes()
        }
        _ => return Ok(()),
    };
    TcpStream::connect(to).await?.write_all(&[head, request.body].concat()).await
}

/// Two framings are a matter of taste to a proxy with that fault.
fn read(bytes: &[u8], fault: Fault) -> Result<Option<(Request, usize)>, String> {
    let both = "Content-Length: ";
    let text = String::from_utf8_lossy(bytes);
    if fault == Fault::BothFramings && text.contains(both) && text.contains("Transfer-Encoding: chunked") {
        let plain = text.replace("Transfer-Encoding: chunked\r\n", "X-Both: 1\r\n");
        return strict::request(plain.as_bytes());
    }
    strict::request(bytes)
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).and_then(|it| it.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

async fn refuse(client: &mut TcpStream, status: u16) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    client.write_all(answer.as_bytes()).await
}

/// The head for the upstream, if there is a good token.
fn decided(request: &Request, to: SocketAddr, fault: Fault) -> Option<Vec<u8>> {
    let head: &Head = &request.head;
    let tokens = Tokens::new();
    let token =
        std::str::from_utf8(head.all("authorization").next()?).ok()?.strip_prefix("Bearer ")?.to_owned();
    let (fixture, kind) = match token {
        token if token == tokens.good_long => (&FIXTURES[1], "long-lived"),
        token if token == tokens.good_short => (&FIXTURES[1], "short-lived\r\nx-voicegain-token-expires: 1"),
        token if token == tokens.long => (&FIXTURES[0], "long-lived"),
        token if token == tokens.limited => {
            (&FIXTURES[0], "short-lived\r\nx-voicegain-token-expires: 1\r\nx-voicegain-api-path: /data-prep")
        }
        _ => return None,
    };
    let target = if fault == Fault::TidiesPaths {
        head.target.replace("data-prep/../", "")
    } else {
        head.target.clone()
    };
    let mut text = format!("{} {target} HTTP/1.1\r\nhost: {to}\r\n", head.method);
    for (name, ours) in
        [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-host", "gw.example"), ("x-forwarded-proto", "http")]
    {
        let said = head.all(name).next().filter(|_| fault == Fault::BelievesForwarding);
        text += &format!("{name}: {}\r\n", said.map_or(ours.into(), String::from_utf8_lossy));
    }
    text += &format!(
        "x-voicegain-account-id: {}\r\nx-voicegain-context-id: {}\r\n",
        fixture.owner.0, fixture.owner.1
    );
    text += &format!("x-voicegain-web-config-id: {}\r\nx-voicegain-token-kind: {kind}\r\n", fixture.id);
    for field in &head.fields {
        let spelt = if fault == Fault::OneSpelling {
            field.name.clone()
        } else {
            field.name.replace(['_', '.'], "-")
        };
        let ours = (fault != Fault::TrailersAsFields && spelt.starts_with("x-voicegain-"))
            || spelt.starts_with("x-forwarded-")
            || (fault != Fault::BelievesForwarding
                && (spelt.starts_with("x-original-") || spelt.starts_with("x-rewrite-")));
        let hop = ["authorization", "host", "connection", "content-length", "transfer-encoding", "x-both"];
        if !ours && !hop.contains(&&*spelt) {
            text += &format!("{}: {}\r\n", field.name, String::from_utf8_lossy(&field.value));
        }
    }
    if head.all("x-both").next().is_some() {
        text += "transfer-encoding: chunked\r\n";
    }
    if !request.body.is_empty() || head.method == "POST" {
        text += &format!("content-length: {}\r\n", request.body.len());
    }
    Some((text + "\r\n").into_bytes())
}
