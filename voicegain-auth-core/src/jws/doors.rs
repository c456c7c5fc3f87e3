//! What fuzzing asks of the readers of tokens. Built with `--cfg fuzzing` alone.

use std::cell::Cell;
use std::time::Duration;

use super::{Beginning, MalformedToken, Parts, UnverifiedToken, decode_part, decode_signature};
use super::{check_header, read, read_whole, split, with_scratch};
use crate::claims::{Claims, NumericDate};
use crate::ids::WebConfigId;
use crate::json::with_names;
use crate::mac::MacKey;
use crate::secret::Secret;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named like the claims")]
pub struct Said {
    pub audience: Option<Vec<String>>,
    pub id: WebConfigId,
    pub api_path: Option<String>,
    pub expires_at: Option<Duration>,
    pub not_before: Option<Duration>,
}

impl Said {
    pub(crate) fn of(claims: &Claims<'_>) -> Self {
        let audience = claims.audience();
        Self {
            audience: (!audience.is_absent()).then(|| audience.iter().map(str::to_owned).collect()),
            id: claims.subject().id(),
            api_path: claims.subject().api_path().map(|path| path.as_str().to_owned()),
            expires_at: claims.expires_at().map(NumericDate::since_epoch),
            not_before: claims.not_before().map(NumericDate::since_epoch),
        }
    }
}

/// What a token says and whether its signature holds; `None` if it is malformed.
pub type Reading = Option<(Said, bool)>;

/// One token read in every way there is: as a request's is, in full, and in full by the strict reader of JSON alone.
pub fn readings(token: &[u8], secret: &Secret) -> [Reading; 3] {
    let key = MacKey::new(secret);
    let tell = |token: UnverifiedToken<'_>| {
        let said = Said::of(&token.claims);
        (said, token.verify(Some(&key)).is_some())
    };
    [read(token, tell).ok(), read_whole(token, tell).ok(), read_strictly(token, tell).ok()]
}

/// Whether this thread remembers how the token begins.
pub(crate) fn is_remembered(token: &[u8]) -> bool {
    read(token, |token| matches!(token.beginning, Beginning::Known(..))).unwrap_or(false)
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
