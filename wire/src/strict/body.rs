use super::head::{self, Field, Framing, shown};
use super::line;

/// A body, without its framing.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) trailers: Vec<Field>,
    /// With its framing.
    pub(super) length: usize,
}

/// Fields that frame, route or identify, which have no place behind a body.
const NEVER_IN_TRAILERS: [&str; 7] =
    ["authorization", "connection", "content-length", "cookie", "host", "trailer", "transfer-encoding"];

pub(super) fn read(bytes: &[u8], framing: Framing) -> Result<Option<Body>, String> {
    match framing {
        Framing::None => Ok(Some(Body { bytes: Vec::new(), trailers: Vec::new(), length: 0 })),
        Framing::Length(length) => {
            Ok(bytes.get(..length).map(|body| Body { bytes: body.to_vec(), trailers: Vec::new(), length }))
        }
        Framing::Chunked => chunked(bytes),
    }
}

fn chunked(bytes: &[u8]) -> Result<Option<Body>, String> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some((size, start)) = line(bytes, at)? else { return Ok(None) };
        let size = chunk_size(size)?;
        if size == 0 {
            at = start;
            break;
        }
        let end = start + size;
        let Some(chunk) = bytes.get(start..end) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => at = end + 2,
            Some(other) => return Err(format!("no line end behind a chunk: {}", shown(other))),
            None => return Ok(None),
        }
    }
    let mut trailers = Vec::new();
    loop {
        let Some((line, next)) = line(bytes, at)? else { return Ok(None) };
        at = next;
        if line.is_empty() {
            return Ok(Some(Body { bytes: body, trailers, length: at }));
        }
        let field = head::field(line)?;
        if NEVER_IN_TRAILERS.contains(&&*field.name) {
            return Err(format!("{} in the trailers", field.name));
        }
        trailers.push(field);
    }
}

/// Hexadecimal digits alone: extensions are what proxies differ in most.
fn chunk_size(line: &[u8]) -> Result<usize, String> {
    let plain = (1..=8).contains(&line.len()) && line.iter().all(u8::is_ascii_hexdigit);
    let number = std::str::from_utf8(line).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
    number.filter(|_| plain).ok_or_else(|| format!("the size of a chunk is no plain number: {}", shown(line)))
}
