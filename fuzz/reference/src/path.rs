//! API paths (rules P1, P2, P4).

/// Whether a raw path has one of the forms that are refused rather than guessed at.
pub fn is_refused(path: &str, empty_segments_allowed: bool) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return true };
    let segments: Vec<&str> = rest.split('/').collect();
    segments.iter().enumerate().any(|(at, segment)| {
        let is_last = at + 1 == segments.len();
        (segment.is_empty() && !is_last && !empty_segments_allowed) || is_refused_segment(segment)
    })
}

fn is_refused_segment(segment: &str) -> bool {
    // A path ends before these.
    if segment.contains(['?', '#']) {
        return true;
    }
    let Some(text) = decode(segment).and_then(|bytes| String::from_utf8(bytes).ok()) else { return true };
    text.contains(['/', '\\', '%'])
        || text.chars().any(char::is_control)
        || text == "."
        || text == ".."
        || text.starts_with(".;")
        || text.starts_with("..;")
}

/// Percent-decodes once; `None` for a broken escape.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            if !pair.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

/// The decoded segments of a path that is not refused, without the empty one behind a trailing slash.
fn segments(path: &str) -> Vec<Vec<u8>> {
    let path = path.strip_prefix('/').expect("it begins with one");
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        Vec::new()
    } else {
        path.split('/').map(|it| decode(it).expect("checked")).collect()
    }
}

/// Whether a token limited to `api` is good for a request with this raw path.
pub fn covers(base: &str, api: &str, path: &str) -> bool {
    let limit = [segments(base), segments(api)].concat();
    !is_refused(path, false) && segments(path).starts_with(&limit)
}

/// Whether a raw path is that of a route below the base path.
pub fn is_route(base: &str, route: &str, path: &str) -> bool {
    !is_refused(path, false) && segments(path) == [segments(base), segments(route)].concat()
}

/// What is left of a raw path behind the base path, empty segments kept.
pub fn relative<'p>(base: &str, path: &'p str) -> Option<&'p str> {
    if is_refused(path, true) {
        return None;
    }
    let mut rest = path;
    for wanted in segments(base) {
        let below = rest.strip_prefix('/')?;
        let end = below.find('/').unwrap_or(below.len());
        if decode(&below[..end])? != wanted {
            return None;
        }
        rest = &below[end..];
    }
    Some(rest)
}
