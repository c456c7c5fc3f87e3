//! Whom a token speaks for, and how far it reaches: `sub`, API paths and the comparison of paths (rules W4,
//! P1, P2).

use std::fmt;
use std::str::FromStr;

use crate::ids::WebConfigId;

#[cfg(test)]
mod tests;

/// A form of path that two programs may read differently, so that it is refused rather than guessed at (rules
/// P2, P4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathForm {
    /// It does not begin with `/`; empty, `*` and the absolute form are such paths.
    #[error("a path must begin with '/'")]
    NotAbsolute,
    /// It contains `//`.
    #[error("a path must have no empty segment, write one '/' instead of '//'")]
    EmptySegment,
    /// A segment is `.` or `..`, or begins with `.;` or `..;`, perhaps written with escapes.
    #[error("a path must have no segment '.' or '..', write the path it stands for")]
    DotSegment,
    /// A segment contains `/`, `\` or `%` when decoded, or an escape that is none.
    #[error("a path must not contain '\\', an escaped '/', '\\' or '%', or a '%' that begins no escape")]
    Separator,
    /// A segment contains a control character when decoded.
    #[error("a path must not contain control characters")]
    Control,
    /// A segment is not valid UTF-8 when decoded.
    #[error("the escapes in a path must make valid UTF-8")]
    NotUtf8,
    /// It contains a `?` or `#` that is not escaped, so it is more than a path.
    #[error("a path must contain no '?' and no '#', leave out query and fragment")]
    QueryOrFragment,
    /// It is a base path other than `/` and ends with `/`.
    #[error("a base path must not end with '/', leave it out")]
    TrailingSlash,
}

/// Whether `//` inside a path is one of the refused forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmptySegments {
    /// It is, where a path is compared with the one a token is limited to (rule P2).
    Refused,
    /// It is not, on a gateway's way to its upstream (rule P4).
    Allowed,
}

/// Checks a path, as it was sent and without its query, for the forms that are refused rather than guessed
/// at.
///
/// # Errors
/// The first such form there is.
pub fn check_path(raw_path: &str, empty_segments: EmptySegments) -> Result<(), PathForm> {
    let rest = raw_path.strip_prefix('/').ok_or(PathForm::NotAbsolute)?;
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        // An empty last segment is a trailing slash.
        if segment.is_empty() && segments.peek().is_some() && empty_segments == EmptySegments::Refused {
            return Err(PathForm::EmptySegment);
        }
        check_segment(segment)?;
    }
    Ok(())
}

fn check_segment(segment: &str) -> Result<(), PathForm> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b':' | b'@');
    if segment.bytes().all(plain) {
        return Ok(());
    }
    if segment.contains(['?', '#']) {
        return Err(PathForm::QueryOrFragment);
    }
    let mut bytes = decoded(segment);
    let mut beginning = [None; 3];
    let mut seen = 0;
    while let Some(character) = next_char(&mut bytes)? {
        match character {
            '/' | '\\' | '%' => return Err(PathForm::Separator),
            _ if character.is_control() => return Err(PathForm::Control),
            _ => {}
        }
        if let Some(place) = beginning.get_mut(seen) {
            *place = Some(character);
            seen += 1;
        }
    }
    match beginning {
        [Some('.'), None | Some(';'), _] | [Some('.'), Some('.'), None | Some(';')] => {
            Err(PathForm::DotSegment)
        }
        _ => Ok(()),
    }
}

/// The bytes of a segment, percent-decoded once. A `%` that begins no escape stays one, and is refused as
/// such.
pub(crate) fn decoded(segment: &str) -> impl Iterator<Item = u8> {
    let mut rest = segment.as_bytes();
    std::iter::from_fn(move || {
        let (&first, behind) = rest.split_first()?;
        if first == b'%'
            && let [high, low, behind @ ..] = behind
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            rest = behind;
            return Some(high << 4 | low);
        }
        rest = behind;
        Some(first)
    })
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The next character of a UTF-8 text of which there is only an iterator.
fn next_char(bytes: &mut impl Iterator<Item = u8>) -> Result<Option<char>, PathForm> {
    let Some(first) = bytes.next() else { return Ok(None) };
    let length = match first {
        0x00..=0x7f => return Ok(Some(char::from(first))),
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
        0x80..=0xbf => return Err(PathForm::NotUtf8),
    };
    let mut utf8 = [first, 0, 0, 0];
    let character = utf8.get_mut(..length).ok_or(PathForm::NotUtf8)?;
    for place in character.iter_mut().skip(1) {
        *place = bytes.next().ok_or(PathForm::NotUtf8)?;
    }
    // Overlong forms, surrogates and whatever else is no UTF-8 is left to the standard library.
    str::from_utf8(character).map(|text| text.chars().next()).map_err(|_| PathForm::NotUtf8)
}

/// The segments of a path, without the empty one behind a trailing slash.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').take(if path.is_empty() { 0 } else { usize::MAX })
}

fn same_segment(a: &str, b: &str) -> bool {
    decoded(a).eq(decoded(b))
}

/// Takes the segments of `prefix` off the front of `path`, if it has them.
fn strip_segments<'p>(
    mut path: impl Iterator<Item = &'p str>,
    prefix: &str,
) -> Option<impl Iterator<Item = &'p str>> {
    for segment in segments(prefix) {
        path.next().filter(|candidate| same_segment(candidate, segment))?;
    }
    Some(path)
}

/// Where a deployment's API begins: `/v1` in the cloud, `/ascalon-web-api` on an Edge (rule P1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BasePath(Box<str>);

impl BasePath {
    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of a request's raw path behind this base path: empty, or it begins with `/`. `None` if the
    /// request is outside, or its path has one of the forms that are refused rather than guessed at; empty
    /// segments are none of them here.
    #[must_use]
    pub fn relative<'p>(&self, raw_path: &'p str) -> Option<&'p str> {
        check_path(raw_path, EmptySegments::Allowed).ok()?;
        let mut rest = raw_path;
        for segment in segments(&self.0) {
            let below = rest.strip_prefix('/')?;
            let (candidate, _) = below.split_once('/').unwrap_or((below, ""));
            rest = below.strip_prefix(candidate).filter(|_| same_segment(candidate, segment))?;
        }
        Some(rest)
    }

    /// Whether a request's raw path is that of `route`, such as `/security/jwt`, below this base path. A
    /// trailing slash does not matter, case does, and a path that would have to be guessed at is no route.
    #[must_use]
    pub fn is_route(&self, raw_path: &str, route: &str) -> bool {
        check_path(raw_path, EmptySegments::Refused).is_ok()
            && strip_segments(segments(raw_path), &self.0)
                .and_then(|rest| strip_segments(rest, route))
                .is_some_and(|mut rest| rest.next().is_none())
    }
}

impl Default for BasePath {
    /// The cloud's, `/v1`.
    fn default() -> Self {
        Self("/v1".into())
    }
}

impl FromStr for BasePath {
    type Err = PathForm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_path(text, EmptySegments::Refused)?;
        if text.len() > 1 && text.ends_with('/') {
            Err(PathForm::TrailingSlash)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An API path that a token is limited to, relative to the deployment's [`BasePath`], such as `/data-prep`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiPath(Box<str>);

impl ApiPath {
    /// The most characters an API path may have when a token is minted for it (rule M2). Reading a token sets
    /// no limit but the token's own.
    pub const MAX_CHARS: usize = 128;

    /// The same path, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> ApiPathRef<'_> {
        ApiPathRef(&self.0)
    }
}

impl FromStr for ApiPath {
    type Err = PathForm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ApiPathRef::parse(text).map(Self::from)
    }
}

impl From<ApiPathRef<'_>> for ApiPath {
    fn from(path: ApiPathRef<'_>) -> Self {
        Self(path.0.into())
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An [`ApiPath`] that borrows its text, as it stands in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiPathRef<'a>(&'a str);

impl<'a> ApiPathRef<'a> {
    /// Reads an API path.
    ///
    /// # Errors
    /// If it does not begin with `/` or has one of the forms that are refused rather than guessed at.
    pub fn parse(text: &'a str) -> Result<Self, PathForm> {
        check_path(text, EmptySegments::Refused).map(|()| Self(text))
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether a token limited to this path may be used for a request with this raw path, the one the client
    /// sent, without its query (rules P1, P2).
    #[must_use]
    pub fn covers(self, base: &BasePath, raw_path: &str) -> bool {
        check_path(raw_path, EmptySegments::Refused).is_ok()
            && strip_segments(segments(raw_path), &base.0)
                .and_then(|rest| strip_segments(rest, self.0))
                .is_some()
    }

    /// The path for a header: decoded, then everything percent-encoded but `/` and RFC 3986's unreserved
    /// characters, so that two spellings of a path give one value (rule V8).
    #[must_use]
    pub fn percent_encoded(self) -> impl fmt::Display {
        PercentEncoded(self.0)
    }
}

impl fmt::Display for ApiPathRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

struct PercentEncoded<'a>(&'a str);

impl fmt::Display for PercentEncoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No escape of an API path stands for a `/`, so it may be decoded as a whole.
        for byte in decoded(self.0) {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
                fmt::Write::write_char(f, char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// What a token's `sub` says: a web config, and perhaps the one API path the token is limited to (rule W4).
///
/// Displays as `sub` is written, the id in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Subject<'a> {
    id: WebConfigId,
    api_path: Option<ApiPathRef<'a>>,
}

/// The text is neither a web config's id nor `api:<path>:<id>` (rule W4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a web config's id, nor api:<path>:<id>")]
pub(crate) struct InvalidSubject;

impl<'a> Subject<'a> {
    /// The subject of a token that speaks for this web config, limited to an API path or not.
    pub(crate) fn new(id: WebConfigId, api_path: Option<ApiPathRef<'a>>) -> Self {
        Self { id, api_path }
    }

    /// Reads a `sub`.
    ///
    /// # Errors
    /// If it is neither an id nor `api:<path>:<id>` with a path that leaves nothing to guess.
    pub(crate) fn parse(sub: &'a str) -> Result<Self, InvalidSubject> {
        let (id, api_path) = match sub.strip_prefix("api:") {
            None => (sub, None),
            Some(rest) => {
                let (path, id) = rest.rsplit_once(':').ok_or(InvalidSubject)?;
                (id, Some(ApiPathRef::parse(path).map_err(|_| InvalidSubject)?))
            }
        };
        let id = WebConfigId::parse(id.as_bytes()).map_err(|_| InvalidSubject)?;
        Ok(Self { id, api_path })
    }

    /// The web config.
    pub(crate) fn id(&self) -> WebConfigId {
        self.id
    }

    /// The API path the token is limited to, if it is.
    pub(crate) fn api_path(&self) -> Option<ApiPathRef<'a>> {
        self.api_path
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.api_path {
            None => fmt::Display::fmt(&self.id, f),
            Some(path) => write!(f, "api:{path}:{}", self.id),
        }
    }
}
