//! A WebSocket over HTTP/2 (RFC 8441), which is a handshake over HTTP/1.1 for the upstream (rule V10).

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::http2::{self, END_HEADERS, Event, block, frame, kind, pair};

use super::super::case::describe;
use super::cases::with;
use super::{Attack, Family, Outcome, Stage};

/// `SETTINGS_ENABLE_CONNECT_PROTOCOL`.
const CONNECT_PROTOCOL: (u16, u32) = (8, 1);
/// How long the tunnel may take to open and give back what is sent.
const PATIENCE: Duration = Duration::from_secs(8);
const SENT: &[u8] = b"ping";

pub(super) fn attack() -> Attack {
    Attack::new("h2 tunnel", Family::Downgrade, |stage| Box::pin(run(stage)))
}

/// Where the other side says that it can do this, a tunnel must open and carry; elsewhere none may.
async fn run(stage: Stage<'_>) -> Outcome {
    let talk = timeout(PATIENCE, talk(&stage.subject.addr, &stage.subject.tokens.long)).await;
    let talk = talk.unwrap_or_default();
    let seen = stage.seen().await;
    let mut findings = seen.problems.clone();
    let heads: Vec<String> = seen
        .arrived
        .iter()
        .map(|arrived| format!("{} {}", arrived.request.head.method, arrived.request.head.target))
        .collect();
    let expected = if talk.is_offered {
        (Some(200), SENT, SENT, vec!["GET /v1/ws".to_owned()])
    } else {
        (talk.status.filter(|status| *status >= 400), &b""[..], &b""[..], Vec::new())
    };
    if (talk.status, &*talk.back, &*seen.tunnelled, heads) != expected || !seen.begun.is_empty() {
        findings.push(format!(
            "{:?}, back came `{}`, through it `{}`",
            talk.status,
            talk.back.escape_ascii(),
            seen.tunnelled.escape_ascii()
        ));
    }
    let offered = if talk.is_offered { "offered" } else { "not offered" };
    let status = talk.status.map_or("no answer".to_owned(), |status| status.to_string());
    Outcome {
        sent: "extended CONNECT, and through the tunnel `ping`".to_owned(),
        client: format!("{offered}, {status}, `{}`", talk.back.escape_ascii()),
        upstream: describe(&seen),
        findings,
        ..Outcome::default()
    }
}

/// What came back.
#[derive(Debug, Default)]
struct Talk {
    is_offered: bool,
    status: Option<u16>,
    back: Vec<u8>,
}

async fn talk(addr: &std::net::SocketAddr, token: &str) -> Talk {
    let mut talk = Talk::default();
    let Ok((mut receiver, mut write)) = http2::connect(*addr, &[]).await else { return talk };
    let mut fields = with(&[(":method", "CONNECT"), (":path", "/v1/ws"), ("sec-websocket-version", "13")]);
    fields.insert(1, pair(":protocol", "websocket"));
    for (name, value) in &mut fields {
        if name == b"authorization" {
            *value = format!("Bearer {token}").into_bytes();
        }
    }
    let mut send = frame(kind::HEADERS, END_HEADERS, 1, &block(&fields));
    loop {
        if write.write_all(&std::mem::take(&mut send)).await.is_err() {
            return talk;
        }
        match receiver.next(&mut send).await {
            Ok(Some(Event::Settings(theirs))) => talk.is_offered |= theirs.contains(&CONNECT_PROTOCOL),
            Ok(Some(Event::Headers(1, fields, end))) => {
                let status = fields.iter().find(|(name, _)| name == b":status");
                talk.status = status.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
                if end || talk.status != Some(200) {
                    return talk;
                }
                send.extend(frame(kind::DATA, 0, 1, SENT));
            }
            Ok(Some(Event::Data(1, piece, end))) => {
                talk.back.extend(piece);
                if end || talk.back.len() >= SENT.len() {
                    return talk;
                }
            }
            Ok(Some(Event::Reset(1, _) | Event::GoAway(_)) | None) | Err(_) => return talk,
            Ok(Some(_)) => {}
        }
    }
}
