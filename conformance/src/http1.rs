//! One exchange over HTTP/1.1, byte for byte.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Statuses of the interim answers before it (100, 103); 101 is no interim answer.
    pub interim: Vec<u16>,
    /// Header names in lower case, and values as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body without its framing, or what came after a 101.
    pub body: Vec<u8>,
    /// Every byte that was received.
    pub raw: Vec<u8>,
}

/// How an exchange ended.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With an answer.
    Response(Response),
    /// Without one: the other side closed the connection, or reset the stream.
    Closed(String),
}

impl Response {
    /// The values of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        self.headers
            .iter()
            .filter(move |(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// The one value of a header, if there is exactly one.
    pub fn one(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// The elements of a header that is a comma-separated list, in lower case.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.all(name)
            .flat_map(|value| {
                value.split(',').map(|item| item.trim().to_ascii_lowercase()).collect::<Vec<_>>()
            })
            .filter(|item| !item.is_empty())
            .collect()
    }

    /// Status, headers and body as text, for people.
    pub fn describe(&self) -> String {
        let mut text = format!("{}", self.status);
        for (name, value) in &self.headers {
            text += &format!("\n{name}: {}", String::from_utf8_lossy(value).escape_debug());
        }
        let body = String::from_utf8_lossy(&self.body);
        let shown: String = body.chars().take(1000).collect();
        text + "\n\n" + &shown
    }
}

/// Sends `request` and reads one answer. After a 101, `after` is sent, and what comes back within the wait is the body.
///
/// # Errors
/// If the stack cannot be reached, answers nothing in time, or answers what is no HTTP.
pub async fn exchange(addr: SocketAddr, request: &[u8], method: &str, after: &[u8]) -> io::Result<Answer> {
    let talk = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (mut read, mut write) = stream.split();
        let mut raw = Vec::new();
        // An answer may come before all has been sent, and the other side may then stop reading.
        let send = async {
            let sent = write.write_all(request).await;
            let _ = sent;
            std::future::pending::<()>().await;
        };
        let head = async {
            loop {
                if let Some(response) = parse(&raw, method, false)? {
                    return Ok::<_, io::Error>(Some(response));
                }
                match fill(&mut read, &mut raw).await {
                    Ok(0) => return parse(&raw, method, true),
                    Ok(_) => {}
                    Err(err) if raw.is_empty() => {
                        return Err(io::Error::new(io::ErrorKind::ConnectionReset, err));
                    }
                    Err(_) => return parse(&raw, method, true),
                }
            }
        };
        let outcome = tokio::select! {
            () = send => None,
            outcome = head => Some(outcome),
        };
        match outcome {
            Some(Ok(Some(response))) if response.status == 101 => {
                write.write_all(after).await?;
                let mut body = response.body.clone();
                while body.len() < after.len() {
                    if fill(&mut read, &mut body).await? == 0 {
                        break;
                    }
                }
                Ok(Answer::Response(Response { body, ..response }))
            }
            Some(Ok(Some(response))) => Ok(Answer::Response(response)),
            Some(Ok(None)) | None => {
                Ok(Answer::Closed("the connection was closed without an answer".to_owned()))
            }
            Some(Err(err)) if err.kind() == io::ErrorKind::ConnectionReset => {
                Ok(Answer::Closed("the connection was reset".to_owned()))
            }
            Some(Err(err)) => Err(err),
        }
    };
    timeout(PATIENCE, talk).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("no whole answer within {PATIENCE:?}"))
    })?
}

async fn fill(read: &mut (impl AsyncReadExt + Unpin), into: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 16 * 1024];
    let count = read.read(&mut chunk).await?;
    into.extend_from_slice(&chunk[..count]);
    Ok(count)
}

/// A whole answer out of `raw`, if it is all there. `ended` says that nothing more will come.
fn parse(raw: &[u8], method: &str, ended: bool) -> io::Result<Option<Response>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {what}"));
    let mut interim = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = find(&raw[at..], b"\r\n\r\n") else {
            return if ended && at < raw.len() { Err(bad("the head is cut off")) } else { Ok(None) };
        };
        let (status, headers) = head(&raw[at..at + end]).ok_or_else(|| bad("the head"))?;
        at += end + 4;
        if (100..200).contains(&status) && status != 101 {
            interim.push(status);
            continue;
        }
        let mut response = Response { status, interim, headers, raw: raw.to_vec(), ..Response::default() };
        let rest = &raw[at..];
        let length = response.one("content-length");
        if status == 101 {
            response.body = rest.to_vec();
        } else if method == "HEAD" || matches!(status, 204 | 304) {
        } else if response.list("transfer-encoding").iter().any(|coding| coding == "chunked") {
            match dechunk(rest) {
                Some(body) => response.body = body,
                None if ended => return Err(bad("the chunked body is cut off")),
                None => return Ok(None),
            }
        } else if let Some(length) = length {
            let length: usize = length.parse().map_err(|_| bad("Content-Length"))?;
            if rest.len() < length {
                return if ended { Err(bad("the body is cut off")) } else { Ok(None) };
            }
            response.body = rest[..length].to_vec();
        } else if ended {
            response.body = rest.to_vec();
        } else {
            return Ok(None);
        }
        return Ok(Some(response));
    }
}

type Headers = Vec<(String, Vec<u8>)>;

/// Splits the head of an answer.
fn head(head: &[u8]) -> Option<(u16, Headers)> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let start = std::str::from_utf8(lines.next()?).ok()?;
    let status = start.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?.to_ascii_lowercase();
            Some((name, line[colon + 1..].trim_ascii().to_vec()))
        })
        .collect::<Option<_>>()?;
    Some((status, headers))
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = find(rest, b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            // Trailers, if any, end with an empty line.
            return (rest.starts_with(b"\r\n") || find(rest, b"\r\n\r\n").is_some()).then_some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

/// Where `needle` begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(raw: &[u8], method: &str) -> Response {
        parse(raw, method, true).unwrap().unwrap()
    }

    #[test]
    fn reads_a_counted_body_and_keeps_duplicates() {
        let raw = b"HTTP/1.1 200 OK\r\nA: 1\r\na:2\r\nContent-Length: 2\r\n\r\nhixx";
        let response = whole(raw, "GET");
        assert_eq!((response.status, response.body.as_slice()), (200, b"hi".as_slice()));
        assert_eq!(response.all("A").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(response.one("a"), None);
    }

    #[test]
    fn reads_chunks_and_trailers() {
        let raw =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\nT: 1\r\n\r\n";
        assert_eq!(whole(raw, "GET").body, b"hi!");
        assert!(parse(&raw[..raw.len() - 2], "GET", false).unwrap().is_none());
    }

    #[test]
    fn reads_to_the_end_only_at_the_end() {
        let raw = b"HTTP/1.1 200 OK\r\n\r\nall";
        assert!(parse(raw, "GET", false).unwrap().is_none());
        assert_eq!(whole(raw, "GET").body, b"all");
    }

    #[test]
    fn steps_over_interim_answers() {
        let response = whole(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "GET");
        assert_eq!((response.status, response.interim), (204, vec![100]));
    }

    #[test]
    fn a_head_answer_has_no_body() {
        assert_eq!(whole(b"HTTP/1.1 401 U\r\nContent-Length: 99\r\n\r\n", "HEAD").status, 401);
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Le", "GET", true).is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "GET", true).is_err());
        assert!(parse(b"SSH-2.0\r\n\r\n", "GET", true).is_err());
    }
}
