//! What fuzzing asks of the readers of tokens. Built with `--cfg fuzzing` alone.

use super::{Beginning, MalformedToken, Parts, UnverifiedToken, decode_part, decode_signature, known};
use super::{check_header, read, read_whole, split, with_scratch};
use crate::claims::Claims;
use crate::json::with_names;
use crate::mac::MacKey;
use crate::secret::Secret;
use std::cell::Cell;

/// Everything that a token says, as text, and whether its signature holds.
pub type Reading = Option<(String, bool)>;

/// One token read in every way there is: as a request's is, in full, and in full by the strict reader of JSON alone.
pub fn readings(token: &[u8], secret: &Secret) -> [Reading; 3] {
    let key = MacKey::new(secret);
    let tell = |token: UnverifiedToken<'_>| {
        let said = said(&token.claims);
        (said, token.verify(&key).is_some())
    };
    [read(token, tell).ok(), read_whole(token, tell).ok(), read_strictly(token, tell).ok()]
}

/// Whether this token's beginning is known to this thread.
pub fn is_known(token: &[u8]) -> bool {
    known::read(token, |_| ()).is_ok()
}

fn said(claims: &Claims<'_>) -> String {
    let strings: Vec<&str> = claims.audience().iter().collect();
    let subject = claims.subject();
    let path = subject.api_path().map(|path| path.as_str().to_owned());
    let (id, absent) = (subject.id(), claims.audience().is_absent());
    format!("{id} {path:?} {strings:?} {absent} {:?} {:?}", claims.expires_at(), claims.not_before())
}

fn read_strictly<R>(token: &[u8], act: impl FnOnce(UnverifiedToken<'_>) -> R) -> Result<R, MalformedToken> {
    let nobody_asks = Cell::new(false);
    with_scratch(token, |text| {
        let Parts { header, payload, signature } = split(token)?;
        with_names(decode_part(header, text)?, check_header)?;
        let signing_input = token.get(..header.len() + 1 + payload.len()).ok_or(MalformedToken::Parts)?;
        let signature = decode_signature(signature)?;
        let claims = with_names(decode_part(payload, text)?, Claims::read_strictly)?;
        Ok(act(UnverifiedToken { signing_input, signature, claims, beginning: Beginning::New(&nobody_asks) }))
    })
}
