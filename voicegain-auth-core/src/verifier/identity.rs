use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::cache::{Held, Stamp};
use crate::claims::{Claims, NumericDate};
use crate::clock::Reading;
use crate::ids::{AccountId, ContextId, WebConfigId};
use crate::record::Record;
use crate::subject::ApiPath;
use crate::web_config::Generation;

/// Whether a token is a server's or a page's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKind {
    /// Without `exp`: a constant of its secret, good until that is replaced.
    LongLived,
    /// With `exp`.
    ShortLived,
}

impl TokenKind {
    /// `long-lived` or `short-lived` (rule V8).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LongLived => "long-lived",
            Self::ShortLived => "short-lived",
        }
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who a request comes from, verified (rule V8). Only a [`Verifier`](crate::Verifier) makes one, so having one is proof
/// that a token was checked. Cloning is cheap.
#[derive(Clone)]
pub struct Identity {
    record: Held,
    /// When it was verified, as the cache counts.
    stamp: Stamp,
    /// The same by the wall clock, in seconds since the Unix epoch.
    verified_at: u64,
    expires_at: Option<u64>,
    api_path: Option<Arc<ApiPath>>,
}

impl Identity {
    /// For claims that were verified with this record, seen at this moment, and hold for this request.
    #[inline]
    pub(super) fn new(record: Held, stamp: Stamp, now: Reading, claims: &Claims<'_>) -> Self {
        let expires_at = claims.expires_at().map(NumericDate::whole_seconds);
        let api_path = claims.subject().api_path().map(|path| Arc::new(ApiPath::from(path)));
        Self { record, stamp, verified_at: now.wall.as_secs(), expires_at, api_path }
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// When it was verified, in seconds since the Unix epoch.
    pub(super) fn verified_at(&self) -> u64 {
        self.verified_at
    }

    /// The record the token was verified with: what is signed for this caller is signed with its secret (rule W3).
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Who pays.
    #[must_use]
    pub fn account_id(&self) -> &AccountId {
        &self.record.account_id
    }

    /// The workspace.
    #[must_use]
    pub fn context_id(&self) -> &ContextId {
        &self.record.context_id
    }

    /// The web config the token belongs to.
    #[must_use]
    pub fn web_config_id(&self) -> WebConfigId {
        self.record.id
    }

    /// The generation of the secret that signed it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.record.generation
    }

    /// Long-lived or short-lived.
    #[must_use]
    pub fn token_kind(&self) -> TokenKind {
        if self.expires_at.is_some() { TokenKind::ShortLived } else { TokenKind::LongLived }
    }

    /// When the token expires, in whole seconds since the Unix epoch; `None` for a long-lived one.
    #[must_use]
    pub fn token_expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// The API path the token is limited to, if it is (rule P1).
    #[must_use]
    pub fn api_path(&self) -> Option<&ApiPath> {
        self.api_path.as_deref()
    }

    /// The headers that tell an upstream who it is (rule V8), names in lower case, values valid as field values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let always = [
            ("x-voicegain-account-id", Cow::Borrowed(self.account_id().as_str())),
            ("x-voicegain-context-id", Cow::Borrowed(self.context_id().as_str())),
            ("x-voicegain-web-config-id", Cow::Owned(self.web_config_id().to_string())),
            ("x-voicegain-token-kind", Cow::Borrowed(self.token_kind().as_str())),
        ];
        let expires = self.expires_at.map(|at| ("x-voicegain-token-expires", Cow::Owned(at.to_string())));
        let api_path = self
            .api_path()
            .map(|path| ("x-voicegain-api-path", Cow::Owned(path.borrowed().percent_encoded().to_string())));
        always.into_iter().chain(expires).chain(api_path)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("account_id", self.account_id())
            .field("context_id", self.context_id())
            .field("web_config_id", &self.web_config_id())
            .field("token_kind", &self.token_kind())
            .field("token_expires_at", &self.expires_at)
            .field("api_path", &self.api_path)
            .finish_non_exhaustive()
    }
}

/// What every header that a gateway sets for its upstream begins with (rule V8).
pub const RESERVED_PREFIX: &str = "x-voicegain-";

/// Whether a header name belongs to a gateway alone, and must be removed when a client sends it (rule V8). Folds letter
/// case, `_`, `.` and `-`, since what is behind a gateway may do so too.
#[must_use]
pub fn is_reserved_header(name: &[u8]) -> bool {
    let folded = |byte: &u8| match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    };
    name.len() >= RESERVED_PREFIX.len()
        && name.iter().map(folded).zip(RESERVED_PREFIX.bytes()).all(|(a, b)| a == b)
}

/// Who calls, as a handler sees it: a type that has to be faced.
#[derive(Debug, Clone)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a handler that matches on it should be told when a case is added"
)]
pub enum Caller {
    /// A verified caller.
    Identified(Identity),
    /// Nobody in particular: there was no token, and the policy does not ask for one.
    Anonymous,
    /// A browser that asks whether it may ask. It carries no credentials (rule O9).
    Preflight,
}

impl Caller {
    /// The identity, if there is one.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Identified(identity) => Some(identity),
            Self::Anonymous | Self::Preflight => None,
        }
    }
}
