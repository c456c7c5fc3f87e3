use std::net::SocketAddr;

use conformance::http1::{Answer, Response, exchange};

/// The page that calls.
const PAGE: &str = "https://page.example.com";

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// Further header lines.
    pub lines: &'static [&'static str],
    /// The body.
    pub body: &'static [u8],
    /// What is in the body of the answer to whoever may.
    pub answer: &'static str,
}

/// The call that most examples answer.
pub const HELLO: Call = Call {
    method: "GET",
    path: "/v1/hello",
    lines: &[],
    body: b"",
    answer: "Hello, context my-context of account my-account!\n",
};

impl Call {
    async fn send(&self, addr: SocketAddr, method: &str, lines: &[&str], body: &[u8]) -> Response {
        let path = self.path;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
        for line in lines {
            request += &format!("{line}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut request = (request + "\r\n").into_bytes();
        request.extend(body);
        match exchange(addr, &request, method, b"").await.expect("an answer") {
            Answer::Response(response) => response,
            Answer::Closed(why) => panic!("{method} {path}: {why}"),
        }
    }

    /// The call with these lines besides its own.
    async fn ask(&self, addr: SocketAddr, lines: &[&str]) -> Response {
        let lines: Vec<_> = self.lines.iter().chain(lines).copied().collect();
        self.send(addr, self.method, &lines, self.body).await
    }

    /// The preflight that a browser sends before it.
    async fn preflight(&self, addr: SocketAddr) -> Response {
        let (origin, method) =
            (format!("Origin: {PAGE}"), format!("Access-Control-Request-Method: {}", self.method));
        let lines = [origin.as_str(), method.as_str(), "Access-Control-Request-Headers: authorization"];
        self.send(addr, "OPTIONS", &lines, b"").await
    }
}

/// Calls the program with its token, with another and without, and asks whether a page may: what came, as the README has it.
///
/// # Panics
/// If the token is refused, or the other one is not.
pub async fn row(stack: &str, addr: SocketAddr, call: &Call, token: &str) -> String {
    let accepted = call.ask(addr, &[&format!("Authorization: Bearer {token}")]).await;
    let body = String::from_utf8_lossy(&accepted.body);
    assert!(accepted.status == 200 && body.contains(call.answer), "{}", accepted.describe());
    let origin = format!("Origin: {PAGE}");
    let wrong = call.ask(addr, &[&origin, &format!("Authorization: Bearer {token}x")]).await;
    assert_eq!(refusal(&wrong), refusal_of("invalid_token", &wrong), "{}", wrong.describe());

    let (preflight, refused) = (call.preflight(addr).await, call.ask(addr, &[&origin]).await);
    let (goes_on, readable) = (yes(allows(&preflight)), yes(is_readable(&refused)));
    let (status, refusal) = (preflight.status, refusal(&refused));
    format!("| {stack} | {status} | {goes_on} | {refusal} | {readable} |")
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// Whether the page may read this answer.
fn is_readable(answer: &Response) -> bool {
    answer.one("access-control-allow-origin").is_some_and(|origin| origin == "*" || origin == PAGE)
}

/// Whether the page may send its token after this answer to its preflight.
fn allows(answer: &Response) -> bool {
    let header = answer.list("access-control-allow-headers").iter().any(|name| name == "authorization");
    (200..300).contains(&answer.status) && is_readable(answer) && header
}

/// How a refusal looks.
fn refusal(answer: &Response) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let reason = body.split_once(r#"{"error":{"reason":""#).and_then(|(_, rest)| rest.split('"').next());
    match (reason, answer.one("grpc-status"), answer.one("voicegain-reason")) {
        (Some(reason), None, None) => format!("{}, `{reason}` in JSON", answer.status),
        (None, Some(grpc), Some(reason)) => {
            format!("{}, `grpc-status: {grpc}`, `{reason}` in a header", answer.status)
        }
        _ => answer.status.to_string(),
    }
}

/// How one for this reason has to look, in the form of this answer. Both reasons have the status 401, and 16 in gRPC.
fn refusal_of(reason: &str, answer: &Response) -> String {
    if answer.one("grpc-status").is_some() {
        format!("200, `grpc-status: 16`, `{reason}` in a header")
    } else {
        format!("401, `{reason}` in JSON")
    }
}
