//! What an attacker sends over HTTP/1.1, byte for byte, and every answer to it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How long answers may take that must come.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long an answer is waited for that need not come.
const QUIET: Duration = Duration::from_millis(250);
/// How long a further one is waited for.
const AFTERWARDS: Duration = Duration::from_millis(30);
/// How long the other side may take to close once the attacker's has been closed: until then something may arrive late.
const CLOSING: Duration = Duration::from_secs(3);
/// Between two pieces.
const PAUSE: Duration = Duration::from_millis(20);

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; after a 101, whatever came.
    pub body: Vec<u8>,
}

/// What came back on a connection.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// The final answers.
    pub answers: Vec<Answer>,
    /// Statuses of interim answers.
    pub interim: Vec<u16>,
    /// Whether the other side closed first.
    pub closed: bool,
    /// What came that is no answer.
    pub rubbish: Option<String>,
}

impl Talk {
    /// For people: `200 401, closed`.
    pub fn describe(&self) -> String {
        let statuses: Vec<String> = self.interim.iter().map(u16::to_string).collect();
        let answers = self.answers.iter().map(|answer| answer.status.to_string());
        let mut text = statuses.into_iter().chain(answers).collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            text.push_str("no answer");
        }
        if self.closed {
            text.push_str(", closed");
        }
        text
    }
}

/// Sends the pieces with pauses between them and reads what comes back. `sure` answers must come and are waited for.
pub async fn talk(addr: SocketAddr, pieces: &[Vec<u8>], sure: usize) -> Talk {
    let mut stream = match TcpStream::connect(addr).await {
        Ok(stream) => stream,
        Err(error) => return Talk { rubbish: Some(format!("no connection: {error}")), ..Talk::default() },
    };
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::new();
    let mut closed = false;
    let asks_head = pieces.first().is_some_and(|piece| piece.starts_with(b"HEAD "));
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            closed |= read(&mut stream, &mut bytes, asks_head, Instant::now() + PAUSE, |_| false).await;
        }
        if !send(&mut stream, piece, &mut bytes).await {
            closed = true;
            break;
        }
    }
    let sent = Instant::now();
    if !closed && sure > 0 {
        closed = read(&mut stream, &mut bytes, asks_head, sent + PATIENCE, |talk| talk.answers.len() >= sure)
            .await;
    } else if !closed {
        closed =
            read(&mut stream, &mut bytes, asks_head, sent + QUIET, |talk| !talk.answers.is_empty()).await;
    }
    if !closed {
        closed = read(&mut stream, &mut bytes, asks_head, Instant::now() + AFTERWARDS, |_| false).await;
    }
    if !closed {
        let _ = stream.shutdown().await;
        read(&mut stream, &mut bytes, asks_head, Instant::now() + CLOSING, |_| false).await;
    }
    let mut talk = answers(&bytes, asks_head);
    talk.closed = closed;
    talk
}

/// Sends all of it, and reads meanwhile: an answer may come first, and whoever does not read may not be read.
async fn send(stream: &mut TcpStream, piece: &[u8], bytes: &mut Vec<u8>) -> bool {
    let (mut from, mut to) = stream.split();
    let sending = async { to.write_all(piece).await.is_ok() };
    let reading = async {
        while matches!(from.read_buf(bytes).await, Ok(1..)) {}
        false
    };
    let limit = Instant::now() + PATIENCE;
    let sent = async {
        tokio::select! { biased; sent = sending => sent, ended = reading => ended }
    };
    timeout_at(limit, sent).await.unwrap_or(false)
}

/// Reads until then, or until it is enough. Says whether the other side has closed.
async fn read(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
    asks_head: bool,
    until: Instant,
    enough: impl Fn(&Talk) -> bool,
) -> bool {
    loop {
        if enough(&answers(bytes, asks_head)) {
            return false;
        }
        match timeout_at(until, stream.read_buf(bytes)).await {
            Ok(Ok(1..)) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// All whole answers. The first may be one to HEAD, which has no body whatever its fields say.
fn answers(bytes: &[u8], asks_head: bool) -> Talk {
    let mut talk = Talk::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(end) = position(rest, b"\r\n\r\n") else {
            if !b"HTTP/1.1 ".starts_with(&rest[..rest.len().min(9)]) && !rest.starts_with(b"HTTP/1.") {
                talk.rubbish = Some(rest[..rest.len().min(100)].escape_ascii().to_string());
            }
            return talk;
        };
        let head = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
        let body = &rest[end + 4..];
        let status =
            head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5)).and_then(|it| it.parse().ok());
        let Some(status) = status else {
            talk.rubbish = Some(head);
            return talk;
        };
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (body, after): (Vec<u8>, &[u8]) = if status == 101 {
            (body.to_vec(), &[])
        } else if status < 200 {
            talk.interim.push(status);
            rest = body;
            continue;
        } else if matches!(status, 204 | 304) || (asks_head && talk.answers.is_empty()) {
            (Vec::new(), body)
        } else if field("transfer-encoding:") == Some("chunked") {
            let Some((whole, length)) = dechunk(body) else { return talk };
            (whole, &body[length..])
        } else if let Some(length) = field("content-length:").and_then(|length| length.parse().ok()) {
            let Some((whole, after)) = body.split_at_checked(length) else { return talk };
            (whole.to_vec(), after)
        } else {
            (body.to_vec(), &[])
        };
        talk.answers.push(Answer { status, body });
        rest = after;
    }
    talk
}

fn dechunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = position(&bytes[at..], b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).ok()?, 16).ok()?;
        at += line + 2;
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size + 2;
        if size == 0 {
            return (bytes.len() >= at).then_some((body, at));
        }
    }
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_answers_are_told_apart() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 400 B\r\n\
                      Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 401 U\r\nContent-Length: 9\r\n\r\nx";
        let talk = answers(bytes, false);
        assert_eq!(talk.interim, [100]);
        let seen: Vec<(u16, &[u8])> = talk.answers.iter().map(|it| (it.status, &*it.body)).collect();
        assert_eq!(seen, [(200, &b"hi"[..]), (400, &b"a"[..])]);
        assert!(answers(b"SSH-2.0", false).rubbish.is_some());
        assert_eq!(answers(b"HTTP/1.1 101 S\r\n\r\nabc", false).answers[0].body, b"abc");
        let to_head = answers(
            b"HTTP/1.1 200 O\r\nContent-Length: 9\r\n\r\nHTTP/1.1 401 U\r\nContent-Length: 0\r\n\r\n",
            true,
        );
        assert_eq!(to_head.answers.iter().map(|it| it.status).collect::<Vec<_>>(), [200, 401]);
        assert!(answers(b"HTTP/1.1 200 O\r\nContent-Length: 1\r\n\r\nx", true).rubbish.is_some());
    }
}
