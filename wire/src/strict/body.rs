use super::head::{self, Field, Framing, shown};
use super::line;

/// A body, or what has come of it, without its framing.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) trailers: Vec<Field>,
    /// With its framing, if all of it has come.
    pub(super) length: Option<usize>,
}

/// Fields that frame, route or identify, which have no place behind a body.
const NEVER_IN_TRAILERS: [&str; 7] =
    ["authorization", "connection", "content-length", "cookie", "host", "trailer", "transfer-encoding"];

pub(super) fn read(bytes: &[u8], framing: Framing) -> Result<Body, String> {
    match framing {
        Framing::None => Ok(Body { bytes: Vec::new(), trailers: Vec::new(), length: Some(0) }),
        Framing::Length(length) => Ok(Body {
            bytes: bytes[..length.min(bytes.len())].to_vec(),
            trailers: Vec::new(),
            length: (bytes.len() >= length).then_some(length),
        }),
        Framing::Chunked => {
            let mut body = Body { bytes: Vec::new(), trailers: Vec::new(), length: None };
            body.length = chunked(bytes, &mut body.bytes, &mut body.trailers)?;
            Ok(body)
        }
    }
}

/// Says how long it is with its framing, if all of it has come.
fn chunked(bytes: &[u8], body: &mut Vec<u8>, trailers: &mut Vec<Field>) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some((size, start)) = line(bytes, at)? else { return Ok(None) };
        let size = chunk_size(size)?;
        if size == 0 {
            at = start;
            break;
        }
        let end = start + size;
        body.extend_from_slice(&bytes[start..end.min(bytes.len())]);
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => at = end + 2,
            Some(other) => return Err(format!("no line end behind a chunk: {}", shown(other))),
            None => return Ok(None),
        }
    }
    loop {
        let Some((line, next)) = line(bytes, at)? else { return Ok(None) };
        at = next;
        if line.is_empty() {
            return Ok(Some(at));
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
