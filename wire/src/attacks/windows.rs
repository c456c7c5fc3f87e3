//! HTTP/2 answers that nobody takes, and heads that nobody ends.

use std::time::Duration;

use crate::http2::{END_HEADERS, END_STREAM, PREFACE, block, frame, kind, pair, settings};

use super::crowd::{Answer, Crowd};
use super::floods::STREAMS_AT_ONCE;
use super::requests::{fields, frames};
use super::{Attack, Family, NOT_SPOKEN, Outcome, Stage};

/// How many connections there are.
const CONNECTIONS: usize = 8;
/// How many streams each has: hyper allows 200 at once.
const STREAMS: u32 = 100;
/// How long they are held.
const HOLD: Duration = Duration::from_secs(1);
/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const WINDOW: u16 = 4;

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        held("window of nothing, many streams", None, None, |stage| {
            requests(stage, "/v1/large", &[(WINDOW, 0)], STREAMS)
        }),
        held("window of one byte", None, None, |stage| requests(stage, "/v1/large", &[(WINDOW, 1)], STREAMS)),
        held("window that grows by one byte", Some(grow), None, |stage| {
            requests(stage, "/v1/large", &[(WINDOW, 1)], STREAMS)
        }),
        held("window as large as can be, nothing read", None, None, |stage| {
            requests(stage, "/v1/large", &[(WINDOW, i32::MAX as u32)], STREAMS)
        }),
        held("many streams that are not answered", None, Some(STREAMS as usize), |stage| {
            requests(stage, "/v1/hold", &[], STREAMS)
        }),
        held("8,000 streams that are not answered", None, Some(STREAMS_AT_ONCE), |stage| {
            requests(stage, "/v1/hold", &[], 1_000)
        }),
        held("heads of 12 MiB without an end", None, None, |_| large_head()),
        held("requests of many fields", None, None, |_| many_fields()),
    ]
}

/// `under_way` requests of each connection come to the upstream, where nothing else is to become of it.
fn held(
    name: &str,
    drip: Option<fn() -> Vec<u8>>,
    under_way: Option<usize>,
    first: fn(Stage<'_>) -> Vec<u8>,
) -> Attack {
    Attack::new(format!("h2 {name}"), Family::Denial, move |stage| {
        let crowd = Crowd {
            connections: CONNECTIONS,
            first: first(stage),
            drip: drip.map(|drip| (drip(), Duration::from_millis(10))),
            hold: HOLD,
            reads: false,
            answer: Answer::NeedNot("nothing is read"),
            stays: false,
        };
        Box::pin(async move {
            let not_applicable = (!stage.http2).then_some(NOT_SPOKEN);
            let mut outcome = Outcome { not_applicable, ..crowd.run(stage).await };
            if let Some(each) = under_way.filter(|_| stage.http2) {
                outcome.findings.extend(not_as_many(stage, CONNECTIONS * each));
            }
            outcome
        })
    })
    // A piece of an answer for each of 800 streams, of 64 KiB at most, and what the exchange itself takes.
    .bound(128)
}

/// As many requests must have been under way at once, and no more.
fn not_as_many(stage: Stage<'_>, expected: usize) -> Option<String> {
    let (before, _) = stage.before;
    let most = stage.subject.upstream.record.most_under_way().saturating_sub(before);
    (most != expected).then(|| format!("{most} requests were under way at once, not {expected}"))
}

/// A request on each of so many streams.
fn requests(stage: Stage<'_>, path: &str, own: &[(u16, u32)], streams: u32) -> Vec<u8> {
    let block = fields(Some(&stage.subject.tokens.long), "GET", path);
    let mut bytes = [PREFACE.to_vec(), settings(own)].concat();
    for stream in (1..2 * streams).step_by(2) {
        bytes.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block));
    }
    bytes
}

fn grow() -> Vec<u8> {
    (1..2 * STREAMS)
        .step_by(2)
        .flat_map(|stream| frame(kind::WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]))
        .collect()
}

fn large_head() -> Vec<u8> {
    let first = [pair(":method", "GET"), pair(":scheme", "http"), pair(":path", "/v1/case")];
    let mut bytes =
        [PREFACE.to_vec(), settings(&[]), frame(kind::HEADERS, END_STREAM, 1, &block(&first))].concat();
    let piece: Vec<u8> = (0..3).flat_map(|_| block(&[pair("x", &"y".repeat(5_300))])).collect();
    for _ in 0..(12 << 20) / piece.len() {
        bytes.extend(frame(kind::CONTINUATION, 0, 1, &piece));
    }
    bytes
}

/// More than a map of headers can hold, each of them small.
fn many_fields() -> Vec<u8> {
    let extra: Vec<_> = (0..40_000).map(|number| pair(&format!("x{number:x}"), "")).collect();
    let all = [fields(None, "GET", "/v1/case"), block(&extra)].concat();
    let mut bytes = [PREFACE.to_vec(), settings(&[])].concat();
    for stream in (1..20).step_by(2) {
        bytes.extend(frames(stream, &all));
    }
    bytes
}
