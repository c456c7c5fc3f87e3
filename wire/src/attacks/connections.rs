//! Ten thousand connections.

use std::sync::Arc;
use std::time::Duration;

use crate::http2::{PREFACE, settings};

use super::crowd::{Answer, Crowd};
use super::{Attack, Family, Stage};

/// How many there are, if as many files may be open.
const MANY: usize = 10_000;
/// What this process and the gateway need besides.
const RESERVED: usize = 1_000;

/// The gateways take as many connections as half of the files that they may open are enough for. So many of these are left for
/// the good client, and for what the gateways keep for themselves.
const LEFT: usize = 256;

/// Whether a connection is held, and how it is answered, by a gateway that speaks HTTP/2 or does not.
type Expected = fn(bool) -> (Answer, bool);

pub(super) fn attacks() -> Vec<Attack> {
    let http2 = || [PREFACE.to_vec(), settings(&[])].concat();
    vec![
        many("idle connections", |_| (Answer::NeedNot("nothing is asked"), true), |_| Vec::new()),
        many(
            "idle connections, half a head sent",
            |_| (Answer::NeedNot("the head has no end"), true),
            |_| b"GET /v1/case HTTP/1.1\r\nHost: gw.exam".to_vec(),
        ),
        many(
            "idle connections, one request answered",
            |_| (Answer::Must("200"), true),
            |stage| {
                let token = &stage.subject.tokens.long;
                format!("GET /v1/case HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {token}\r\n\r\n")
                    .into_bytes()
            },
        ),
        many(
            "idle connections, HTTP/2",
            |http2| (Answer::Must(if http2 { "SETTINGS" } else { "400" }), http2),
            move |_| http2(),
        ),
        many(
            "half a preface",
            |_| (Answer::NeedNot("the preface has no end"), true),
            |_| PREFACE[..10].to_vec(),
        ),
    ]
}

/// As many as there can be. One more file each would do for the gateway's other side, but that is shared: few wait for
/// their answer at once.
fn many(
    name: &str,
    expected: Expected,
    first: impl Fn(Stage<'_>) -> Vec<u8> + Send + Sync + 'static,
) -> Attack {
    let first = Arc::new(first);
    // 32 KiB each.
    Attack::new(name, Family::Slow, move |stage| {
        let first = first.clone();
        Box::pin(async move {
            let files = usize::try_from(stage.open_files).unwrap_or(usize::MAX);
            let own = files.saturating_sub(RESERVED + stage.subject.upstream.record.open());
            let possible = own.min(files / 2 - (files / 2).min(LEFT));
            let (answer, stays) = expected(stage.http2);
            let crowd = Crowd {
                connections: MANY.min(possible),
                first: first(stage),
                drip: None,
                hold: Duration::from_secs(1),
                reads: true,
                answer,
                stays,
            };
            let mut outcome = crowd.run(stage).await;
            if possible < MANY {
                let files = stage.open_files;
                outcome.sent += &format!(" (not {MANY}: a process may open {files} files here)");
            }
            outcome
        })
    })
    .bound(320)
}
