//! What is too large, and how each gateway says so.

use super::case::{Case, Expect, Passed, get};
use super::{Attack, Family};

/// Up to here both gateways promise to pass a head on: their limit is 32 KiB, and a token takes a part of it.
const SURE: usize = 30 * 1024;
/// From here neither may.
const TOO_MUCH: usize = 33 * 1024;

pub(super) fn attacks() -> Vec<Attack> {
    let mut cases = Vec::new();
    for size in [8 << 10, 16 << 10, 30 << 10, 32 << 10, 34 << 10, 60 << 10, 70 << 10, 200 << 10, 2 << 20] {
        let line = format!("X: {}\r\n", "x".repeat(size));
        cases.push(Case::get(&format!("a header of {}", shown(size)), line, expected(size)));
        let lines: String =
            (0..size / 512).map(|number| format!("X-{number:05}: {}\r\n", "x".repeat(501))).collect();
        // 4 fields a KiB: those of the larger ones are too many as well.
        let expect = if size / 512 > 90 { either_or_refused(size) } else { expected(size) };
        cases.push(Case::get(&format!("headers of {} together", shown(size)), lines, expect));
        let target = format!("/v1/{}", "p".repeat(size - 4));
        let request = format!("GET {target} HTTP/1.1\r\nHost: gw.example\r\n{{auth}}\r\n");
        let passed = vec![Passed::new("GET", &target, "")];
        let expect = match size {
            ..=SURE => Expect::Passed(passed),
            TOO_MUCH.. => Expect::Refused,
            _ => Expect::Either(passed),
        };
        cases.push(Case::new(format!("a target of {}", shown(size)), request, expect));
    }
    for count in [50, 90, 100, 200, 1_000, 10_000, 100_000] {
        let lines: String = (0..count).map(|number| format!("X{number}: y\r\n")).collect();
        let expect = match count {
            ..=90 => Expect::Passed(get()),
            1_000.. => Expect::Refused,
            _ => Expect::Either(get()),
        };
        cases.push(Case::get(&format!("{count} headers"), lines, expect));
    }
    for count in [50, 10_000] {
        let expect = if count > 1_000 { Expect::Refused } else { Expect::Passed(get()) };
        cases.push(Case::get(&format!("one header {count} times"), "X: y\r\n".repeat(count), expect));
    }
    let endless = format!("GET /v1/case HTTP/1.1\r\nHost: gw.example\r\nX: {}", "x".repeat(8 << 20));
    cases.push(Case::new("a head of 8 MiB without an end", endless, Expect::Refused));
    cases.push(Case::new("a line of 8 MiB", "G".repeat(8 << 20), Expect::Refused));
    let body = "x".repeat(1 << 20);
    let lines = format!("Content-Length: {}\r\n", body.len());
    cases.push(Case::post("a body of 1 MiB", &lines, &body, Expect::Passed(super::case::post(&body))));
    let promised = format!("Content-Length: {}\r\n", 2_u64 << 30);
    cases.push(Case::post("a body of 2 GiB is promised", &promised, "", Expect::Refused));
    cases.into_iter().map(|case| case.into_attack_of(Family::Limits)).collect()
}

fn expected(size: usize) -> Expect {
    match size {
        ..=SURE => Expect::Passed(get()),
        TOO_MUCH.. => Expect::Refused,
        _ => Expect::Either(get()),
    }
}

fn either_or_refused(size: usize) -> Expect {
    if size >= TOO_MUCH { Expect::Refused } else { Expect::Either(get()) }
}

fn shown(size: usize) -> String {
    if size < 1 << 20 { format!("{} KiB", size >> 10) } else { format!("{} MiB", size >> 20) }
}
