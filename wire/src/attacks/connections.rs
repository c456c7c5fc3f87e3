//! Ten thousand connections.

use std::sync::Arc;
use std::time::Duration;

use crate::http2::{PREFACE, settings};

use super::crowd::Crowd;
use super::{Attack, Family, Stage};

/// How many there are, if as many files may be open.
const MANY: usize = 10_000;
/// What this process and the gateway need besides.
const RESERVED: usize = 1_000;

pub(super) fn attacks() -> Vec<Attack> {
    let http2 = || [PREFACE.to_vec(), settings(&[])].concat();
    vec![
        many("idle connections", 1, |_| Vec::new()),
        many("idle connections, half a head sent", 1, |_| b"GET /v1/case HTTP/1.1\r\nHost: gw.exam".to_vec()),
        // The gateway and the upstream, which is in this process, may need a file more for each.
        many("idle connections, one request answered", 2, |stage| {
            let token = &stage.subject.tokens.long;
            format!("GET /v1/case HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {token}\r\n\r\n")
                .into_bytes()
        }),
        many("idle connections, HTTP/2", 1, move |_| http2()),
        many("half a preface", 1, |_| PREFACE[..10].to_vec()),
    ]
}

/// As many as there can be, if each takes this process so many files.
fn many(name: &str, files: usize, first: impl Fn(Stage<'_>) -> Vec<u8> + Send + Sync + 'static) -> Attack {
    let first = Arc::new(first);
    // 32 KiB each.
    Attack::new(name, Family::Slow, move |stage| {
        let first = first.clone();
        Box::pin(async move {
            let taken = RESERVED + stage.subject.upstream.record.open();
            let possible = usize::try_from(stage.open_files).unwrap_or(usize::MAX).saturating_sub(taken);
            let crowd = Crowd {
                connections: MANY.min(possible / files),
                first: first(stage),
                drip: None,
                hold: Duration::from_secs(1),
                reads: true,
            };
            crowd.run(stage).await
        })
    })
    .bound(320)
}
