//! Little, for long.

use std::time::Duration;

use crate::http2::{END_STREAM, PREFACE, block, frame, kind, pair, settings};

use super::crowd::{Answer, Crowd};
use super::{Attack, Family, Stage, UPSTREAM_STUCK};

/// How many slow clients there are.
const SLOW: usize = 500;
/// How long they are watched.
const HOLD: Duration = Duration::from_secs(1);

fn head(stage: Stage<'_>, method: &str, path: &str, with_token: bool, lines: &str) -> Vec<u8> {
    let token = &stage.subject.tokens.long;
    let token = if with_token { format!("Authorization: Bearer {token}\r\n") } else { String::new() };
    format!("{method} {path} HTTP/1.1\r\nHost: gw.example\r\n{token}{lines}").into_bytes()
}

pub(super) fn attacks() -> Vec<Attack> {
    const LENGTH: &str = "Content-Length: 1000000\r\n\r\n";
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
    const NO_END: Answer = Answer::NeedNot("the request has no end");
    const REFUSED: Answer = Answer::Must("401");
    vec![
        slow("slow head", b"X", NO_END, |stage| head(stage, "GET", "/v1/case", true, "X: ")),
        slow("slow head, a line at a time", b"X: y\r\n", NO_END, |stage| {
            head(stage, "GET", "/v1/case", true, "")
        }),
        slow("slow body, accepted", b"x", NO_END, |stage| head(stage, "POST", "/v1/case", true, LENGTH)),
        slow("slow body, refused", b"x", REFUSED, |stage| head(stage, "POST", "/v1/case", false, LENGTH)),
        slow("slow chunks, accepted", b"1\r\nx\r\n", NO_END, |stage| {
            head(stage, "POST", "/v1/case", true, CHUNKED)
        }),
        slow("slow chunks, refused", b"1\r\nx\r\n", REFUSED, |stage| {
            head(stage, "POST", "/v1/case", false, CHUNKED)
        }),
        flowing("bodies that the upstream does not read", |stage| {
            head(stage, "POST", "/v1/unread", true, "Content-Length: 1000000000\r\n\r\n")
        }),
        slow("slow head over HTTP/2", &frame(kind::CONTINUATION, 0, 1, b"y"), NO_END, |_| slow_head()),
        reading("answers that are not read", 200, |stage| head(stage, "GET", "/v1/large", true, "\r\n")),
        reading("pipelined requests whose answers are not read", 50, |stage| {
            head(stage, "GET", "/v1/case", true, "\r\n").repeat(2_000)
        }),
        reading("pipelined refusals that are not read", 50, |stage| {
            head(stage, "GET", "/v1/case", false, "\r\n").repeat(20_000)
        }),
    ]
}

/// The start of a request whose last field has 10,000 letters, of which none has come.
pub(super) fn slow_head() -> Vec<u8> {
    let fields = [pair(":method", "GET"), pair(":scheme", "http"), pair(":path", "/v1/case")];
    let mut head = block(&fields);
    let whole = block(&[pair("x", &"y".repeat(10_000))]);
    head.extend_from_slice(&whole[..whole.len() - 10_000]);
    [PREFACE.to_vec(), settings(&[]), frame(kind::HEADERS, END_STREAM, 1, &head)].concat()
}

fn slow(name: &str, drip: &[u8], answer: Answer, first: fn(Stage<'_>) -> Vec<u8>) -> Attack {
    let drip = Some((drip.to_vec(), Duration::from_millis(100)));
    Attack::new(name, Family::Slow, move |stage| {
        let drip = drip.clone();
        let first = first(stage);
        let crowd = Crowd { connections: SLOW, first, drip, hold: HOLD, reads: true, answer, stays: false };
        Box::pin(crowd.run(stage))
    })
}

/// As much as is taken of a body.
fn flowing(name: &str, first: fn(Stage<'_>) -> Vec<u8>) -> Attack {
    const CONNECTIONS: usize = 200;
    Attack::new(name, Family::Slow, move |stage| {
        let drip = Some((vec![b'x'; 64 * 1024], Duration::from_millis(10)));
        let answer = Answer::NeedNot("the upstream reads nothing");
        let (first, reads) = (first(stage), true);
        let crowd = Crowd { connections: CONNECTIONS, first, drip, hold: HOLD, reads, answer, stays: false };
        Box::pin(async move {
            let outcome = crowd.run(stage).await;
            stage.subject.upstream.record.end_unread();
            outcome
        })
    })
    .lets_go_within(UPSTREAM_STUCK)
}

fn reading(name: &str, connections: usize, first: fn(Stage<'_>) -> Vec<u8>) -> Attack {
    Attack::new(name, Family::Slow, move |stage| {
        let first = first(stage);
        let answer = Answer::NeedNot("nothing is read");
        let crowd = Crowd { connections, first, drip: None, hold: HOLD, reads: false, answer, stays: false };
        Box::pin(crowd.run(stage))
    })
}
