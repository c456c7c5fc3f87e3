//! Requests over HTTP/2 as attacks begin with them.

use crate::http2::{END_HEADERS, END_STREAM, block, frame, kind, pair};

/// How much of a header block one frame takes.
const PIECE: usize = 16_000;

/// A request's fields, with a token or without.
pub(super) fn fields(token: Option<&str>, method: &str, path: &str) -> Vec<u8> {
    let mut fields = vec![
        pair(":method", method),
        pair(":scheme", "http"),
        pair(":authority", "gw.example"),
        pair(":path", path),
    ];
    fields.extend(token.map(|token| pair("authorization", &format!("Bearer {token}"))));
    block(&fields)
}

/// A request without a body, in as many frames as its fields need.
pub(super) fn frames(stream: u32, fields: &[u8]) -> Vec<u8> {
    head(stream, END_STREAM, fields)
}

/// A head in as many frames as its fields need; its flag says whether a body follows.
pub(super) fn head(stream: u32, flag: u8, fields: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pieces = fields.chunks(PIECE).peekable();
    let (mut next, mut ends) = (kind::HEADERS, flag);
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        bytes.extend(frame(next, flags | ends, stream, piece));
        (next, ends) = (kind::CONTINUATION, 0);
    }
    bytes
}
