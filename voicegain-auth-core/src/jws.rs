//! The wire format: a compact JWS with HS256, and nothing else (rules W1, W6).
//!
//! Reading a token, to accept or to refuse it, allocates nothing: its parts are decoded into a buffer on the
//! stack, which is why [`read`] takes a closure.

use std::cell::Cell;
use std::fmt;
use std::sync::LazyLock;

use crate::base64url;
use crate::claims::{Claims, JsonError, MalformedClaims};
use crate::ids::WebConfigId;
use crate::json::{Kind, Object, Span, with_names};
use crate::mac::{Begun, MAC_BYTES, MacKey, Whose};

#[cfg(fuzzing)]
pub(crate) mod doors;
mod known;
#[cfg(test)]
pub(crate) mod tests;

/// The longest token that is looked at, in bytes (rule W6).
pub(crate) const MAX_TOKEN_BYTES: usize = 8192;

/// Tokens up to this length, which is nearly all of them, are read in a small buffer: clearing the large one
/// would take as long as reading them.
const SMALL_TOKEN_BYTES: usize = 1024;

/// The length of a signature as it is written.
pub(crate) const SIGNATURE_CHARS: usize = 43;

/// The header of every token we make, `{"alg":"HS256","typ":"JWT"}`, encoded (rule W2).
pub(crate) const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Why a token is no token. For the operator's log; it says nothing of what the token holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedToken {
    /// It has more than 8,192 bytes (rule W6).
    #[error("longer than 8192 bytes")]
    TooLong,
    /// It is not three parts, none of them empty, with a dot between them.
    #[error("not three parts separated by dots")]
    Parts,
    /// A part is not base64url, or not the one way to write its bytes.
    #[error("a part is not canonical base64url without padding")]
    Base64,
    /// The signature is not 32 bytes long.
    #[error("the signature is not 32 bytes long")]
    SignatureLength,
    /// The header is not one JSON object as rule W5 wants it.
    #[error("the header: {0}")]
    Header(JsonError),
    /// The header's `alg` is not `HS256`.
    #[error("`alg` is not HS256")]
    Algorithm,
    /// The header has a `crit`; no extension is supported.
    #[error("the header has a `crit`")]
    Critical,
    /// The payload holds no claims we can use.
    #[error(transparent)]
    Claims(#[from] MalformedClaims),
}

/// A well-formed token whose signature nobody has looked at. All it tells is whose secret to ask (rule V3).
pub(crate) struct UnverifiedToken<'a> {
    signing_input: &'a [u8],
    signature: [u8; MAC_BYTES],
    claims: Claims<'a>,
    beginning: Beginning<'a>,
}

/// What is known of how a token begins.
enum Beginning<'a> {
    /// Nothing; but this wants to know whether the signature holds.
    New(&'a Cell<bool>),
    /// So many bytes are the same as the last time.
    Known(usize, &'a mut Begun),
}

impl<'a> UnverifiedToken<'a> {
    /// The web config that the token says it is of.
    pub(crate) fn id(&self) -> WebConfigId {
        self.claims.subject().id()
    }

    /// The one `aud` of a token without `exp`: what made it says that this is its API's URL (rule W2). For people alone, and as
    /// something nobody vouches for.
    pub(crate) fn api_url(&self) -> Option<&'a str> {
        let mut audience = self.claims.audience().iter();
        let one = audience.next().filter(|one| !one.is_empty() && audience.next().is_none())?;
        self.claims.expires_at().is_none().then_some(one)
    }

    /// The claims, if the signature is the signing input's MAC by this key. Without one, for a web config that is not known, there are
    /// none, and that takes the same work by the same code: a client cannot tell the two apart by the time they take (rule V5).
    #[inline]
    pub(crate) fn verify(self, key: Option<&MacKey>) -> Option<Claims<'a>> {
        static NOBODY: LazyLock<MacKey> = LazyLock::new(|| MacKey::from_bytes(&[]));
        // Asked for in any case: whether it is there is looked at each time.
        let nobody = &*NOBODY;
        let whose = if key.is_some() { Whose::Known } else { Whose::Nobody };
        let key = key.unwrap_or(nobody);
        let (text, mac) = (self.signing_input, &self.signature);
        let holds = match self.beginning {
            Beginning::Known(same, begun) => key.verify_begun(whose, text, mac, same, begun),
            Beginning::New(told) => {
                let holds = key.verify(whose, text, mac);
                told.set(holds);
                holds
            }
        };
        holds.then_some(self.claims)
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Reads a token and hands it to `act`, whose answer comes back.
///
/// # Errors
/// If it is not a compact JWS with HS256 and claims we can use (rules W1 to W6).
pub(crate) fn read<R>(token: &[u8], act: impl FnOnce(UnverifiedToken<'_>) -> R) -> Result<R, MalformedToken> {
    match known::read(token, act) {
        Ok(done) => Ok(done),
        Err(act) => read_whole(token, act),
    }
}

fn read_whole<R>(token: &[u8], act: impl FnOnce(UnverifiedToken<'_>) -> R) -> Result<R, MalformedToken> {
    let is_right = Cell::new(false);
    let done = with_scratch(token, |text| {
        let Jws { signing_input, signature, payload } = decode(token, text)?;
        let claims = Claims::read(payload)?;
        Ok(act(UnverifiedToken { signing_input, signature, claims, beginning: Beginning::New(&is_right) }))
    });
    if is_right.get() {
        known::keep(token);
    }
    done
}

/// The compact JWS of a payload: header `{"alg":"HS256","typ":"JWT"}`, signed with the key (rule W2).
pub(crate) fn sign(key: &MacKey, payload_json: &str) -> String {
    let mut token = signing_input(payload_json);
    let signature = signature(key, &token);
    token.push('.');
    token.extend(signature.map(char::from));
    token
}

/// What is signed of the token of a payload.
pub(crate) fn signing_input(payload_json: &str) -> String {
    let mut input = String::from(HEADER);
    input.push('.');
    base64url::encode_into(payload_json.as_bytes(), &mut input);
    input
}

/// The last part of a token.
pub(crate) fn signature(key: &MacKey, signing_input: &str) -> [u8; SIGNATURE_CHARS] {
    let mut text = String::new();
    base64url::encode_into(&key.mac(signing_input.as_bytes()), &mut text);
    let mut signature = [0; SIGNATURE_CHARS];
    signature.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    signature
}

/// A token's parts, and no more looked into than the header.
struct Jws<'t, 's> {
    signing_input: &'t [u8],
    signature: [u8; MAC_BYTES],
    payload: &'s mut [u8],
}

/// Runs `act` with room on the stack for one decoded part of a token of this length.
fn with_scratch<R>(
    token: &[u8],
    act: impl FnOnce(&mut [u8]) -> Result<R, MalformedToken>,
) -> Result<R, MalformedToken> {
    const SMALL: usize = decoded_bytes(SMALL_TOKEN_BYTES);
    const LARGE: usize = decoded_bytes(MAX_TOKEN_BYTES);

    if token.len() > MAX_TOKEN_BYTES {
        Err(MalformedToken::TooLong)
    } else if token.len() > SMALL_TOKEN_BYTES {
        act(&mut [0; LARGE])
    } else {
        act(&mut [0; SMALL])
    }
}

const fn decoded_bytes(encoded: usize) -> usize {
    encoded / 4 * 3
}

/// Takes a token apart and checks its header. The payload is left in `text`.
fn decode<'t, 's>(token: &'t [u8], text: &'s mut [u8]) -> Result<Jws<'t, 's>, MalformedToken> {
    let Parts { header, payload, signature } = match split_ours(token) {
        Some(parts) => parts,
        None => split(token)?,
    };
    // Ours needs no reading.
    if header != HEADER.as_bytes() {
        with_names(decode_part(header, text)?, check_header)?;
    }
    // With a dot in one of them, what is wrong is the number of parts.
    let explain = |problem| split(token).err().unwrap_or(problem);
    Ok(Jws {
        signing_input: token.get(..header.len() + 1 + payload.len()).ok_or(MalformedToken::Parts)?,
        signature: decode_signature(signature).map_err(explain)?,
        payload: decode_part(payload, text).map_err(explain)?,
    })
}

struct Parts<'t> {
    header: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
}

/// Takes a token apart at its dots.
fn split(token: &[u8]) -> Result<Parts<'_>, MalformedToken> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(MalformedToken::Parts);
    };
    if header.is_empty() || payload.is_empty() || signature.is_empty() {
        return Err(MalformedToken::Parts);
    }
    Ok(Parts { header, payload, signature })
}

/// The same for a token with our header: both its dots are where they must be. Looking for them would take as long as a
/// block of the MAC. `None`: it is to be taken apart at its dots.
fn split_ours(token: &[u8]) -> Option<Parts<'_>> {
    let (header, rest) = token.split_at_checked(HEADER.len())?;
    let (payload, signature) = rest.strip_prefix(b".")?.split_last_chunk::<SIGNATURE_CHARS>()?;
    let payload = payload.strip_suffix(b".")?;
    // A dot in what is left is no base64, and so is refused with the payload.
    (header == HEADER.as_bytes() && !payload.is_empty()).then_some(Parts { header, payload, signature })
}

fn decode_part<'s>(part: &[u8], text: &'s mut [u8]) -> Result<&'s mut [u8], MalformedToken> {
    base64url::decode(part, text).ok_or(MalformedToken::Base64)
}

fn decode_signature(part: &[u8]) -> Result<[u8; MAC_BYTES], MalformedToken> {
    if part.len() != SIGNATURE_CHARS {
        return Err(MalformedToken::SignatureLength);
    }
    let mut bytes = [0; MAC_BYTES];
    decode_part(part, &mut bytes)?;
    Ok(bytes)
}

/// Checks a header, which is overwritten. What names a key in it is ignored like any other member (rule W1).
fn check_header(header: &mut [u8], names: &mut [Span]) -> Result<(), MalformedToken> {
    let mut object = Object::open(header, names).map_err(MalformedToken::Header)?;
    let mut hs256 = false;
    while let Some(name) = object.next_member().map_err(MalformedToken::Header)? {
        match object.slice(name) {
            b"crit" => return Err(MalformedToken::Critical),
            b"alg" if object.kind() == Ok(Kind::String) => {
                let alg = object.string().map_err(MalformedToken::Header)?;
                hs256 = object.slice(alg) == b"HS256";
            }
            _ => object.skip().map_err(MalformedToken::Header)?,
        }
    }
    object.finish().map_err(MalformedToken::Header)?;
    if hs256 { Ok(()) } else { Err(MalformedToken::Algorithm) }
}
