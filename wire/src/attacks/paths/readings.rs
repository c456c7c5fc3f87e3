//! How servers have been seen to read a path.

use crate::judge::decoded;

/// Everything that one path may mean to someone.
pub(super) fn of(target: &str) -> Vec<Vec<u8>> {
    let path = target.split('?').next().unwrap_or_default().as_bytes();
    let mut readings = Vec::new();
    // Each bit is something a server does, or does not do.
    for habits in 0..1_u32 << 7 {
        let does = |bit: u32| habits & (1 << bit) != 0;
        let mut path = path.to_vec();
        if does(0) {
            // Before anything is decoded, as servlets do.
            path = without_parameters(&path);
        }
        path = decoded(&path);
        if does(1) {
            path = decoded(&path);
        }
        if does(2) {
            path = overlong(&path);
        }
        if does(3) {
            path.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        if does(4) {
            path.truncate(path.iter().position(|byte| matches!(byte, 0 | b'?' | b'#')).unwrap_or(path.len()));
        }
        if does(5) {
            path = without_parameters(&path);
        }
        readings.push(resolved(&path, does(6)));
    }
    readings.sort();
    readings.dedup();
    readings
}

/// Whether it is the path, or below it.
pub(super) fn is_within(reading: &[u8], path: &str) -> bool {
    reading.strip_prefix(path.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// UTF-8 of more bytes than it takes.
fn overlong(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (0xc0 | 0xc1, [second @ 0x80..=0xbf, tail @ ..]) => {
                out.push((first & 1) << 6 | (second & 0x3f));
                rest = tail;
            }
            (0xe0, [second @ 0x80..=0x81, third @ 0x80..=0xbf, tail @ ..]) => {
                out.push((second & 1) << 6 | (third & 0x3f));
                rest = tail;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    let plain: Vec<&[u8]> =
        segments.map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default()).collect();
    plain.join(&b'/')
}

/// Without dots; without empty segments if `collapse`.
fn resolved(path: &[u8], collapse: bool) -> Vec<u8> {
    let mut out: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        match segment {
            b"." => {}
            b".." => drop(out.pop()),
            b"" if collapse => {}
            _ => out.push(segment),
        }
    }
    let mut joined = vec![b'/'];
    joined.extend(out.join(&b'/'));
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_is_seen() {
        for path in [
            "/v1/data-prep/../other",
            "/v1/data-prep/%2e%2e/other",
            "/v1/data-prep/%252e%252e/other",
            "/v1/data-prep/..%2fother",
            "/v1/data-prep/..\\other",
            "/v1/data-prep/..;/other",
            "/v1/data-prep/%c0%ae%c0%ae/other",
            "/v1/data-prep/%e0%80%ae./other",
            "/v1/data-prepared",
            "/v1/other",
        ] {
            assert!(of(path).iter().any(|reading| !is_within(reading, "/v1/data-prep")), "{path}");
        }
        for path in ["/v1/data-prep", "/v1/data-prep/", "/v1/data-prep/x;y?../..", "/v1/data-prep/%64"] {
            assert!(of(path).iter().all(|reading| is_within(reading, "/v1/data-prep")), "{path}");
        }
    }
}
