//! HTTP/1.1 requests by the strictest reading of RFC 9112: what two readers could read differently is a problem.

mod body;
mod head;
#[cfg(test)]
mod tests;

pub use head::{Field, Framing, Head};

/// One request, as it stood on the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// How its body was framed.
    pub framing: Framing,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// What stood behind the last chunk.
    pub trailers: Vec<Field>,
    /// The head to the byte.
    pub raw_head: Vec<u8>,
}

/// The first request in `bytes` and how many bytes it has, or nothing if it is not all there.
///
/// # Errors
/// What is wrong with it, or could be read in another way.
pub fn request(bytes: &[u8]) -> Result<Option<(Request, usize)>, String> {
    Ok(begun(bytes)?.and_then(|(request, length)| Some((request, length?))))
}

/// The first request in `bytes` once its head is there, with what there is of its body, and how many bytes it has if that
/// is all of it: who is sent a head may act on it, whether or not the rest ever comes.
///
/// # Errors
/// What is wrong with it, or could be read in another way.
pub fn begun(bytes: &[u8]) -> Result<Option<(Request, Option<usize>)>, String> {
    let Some((head, head_length)) = head::read(bytes)? else { return Ok(None) };
    let framing = head.framing()?;
    let raw_head = bytes[..head_length].to_vec();
    let body::Body { bytes: body, trailers, length } = body::read(&bytes[head_length..], framing)?;
    let length = length.map(|length| head_length + length);
    Ok(Some((Request { head, framing, body, trailers, raw_head }, length)))
}

/// One line up to its CRLF, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, String> {
    let rest = &bytes[at..];
    let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0)) else { return Ok(None) };
    match (rest[end], rest.get(end + 1)) {
        (b'\r', Some(b'\n')) => Ok(Some((&rest[..end], at + end + 2))),
        (b'\r', None) => Ok(None),
        (b'\r', Some(_)) => Err("a bare CR".to_owned()),
        (b'\n', _) => Err("a bare LF".to_owned()),
        _ => Err("a NUL".to_owned()),
    }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}
