//! Doors for the project's own fuzzing, which asks what no user may. Built with `--cfg fuzzing` alone, and no part of the
//! public interface. What a right answer is stands in the workspace `fuzz`.

use std::borrow::Cow;

use crate::credentials::{self, Found, Strip, TokenSource};
use crate::head::RequestHead;
use crate::ids::WebConfigId;
use crate::jws;
pub use crate::jws::doors::{Reading, Said, readings};
use crate::long_lived::LongLivedForm;
use crate::mac::MacKey;
use crate::policy::{Policy, TokenSources};

/// A prepared key of any length.
#[derive(Debug)]
pub struct Key(MacKey);

impl Key {
    pub fn new(bytes: &[u8]) -> Self {
        Self(MacKey::from_bytes(bytes))
    }
}

/// Reads a token: whose it says it is, and what it says if its signature holds under this key. `None` if it is malformed.
pub fn read(token: &[u8], key: &Key) -> Option<(WebConfigId, Option<Said>)> {
    jws::read(token, |token| (token.id(), token.verify(Some(&key.0)).as_ref().map(Said::of))).ok()
}

/// How a deployment writes its long-lived tokens.
#[derive(Debug)]
pub struct LongLived(LongLivedForm);

impl LongLived {
    pub fn new(api_url: &str) -> Self {
        Self(LongLivedForm::new(api_url))
    }

    /// What a token says if it is in that form, and what its signature must be.
    pub fn recognise(&self, token: &[u8], key: &Key) -> Option<(Said, [u8; 43])> {
        let id = self.0.recognise(token)?.id;
        Some((Said::of(&self.0.claims(id)), self.0.signature(&key.0, id)))
    }
}

/// Where a token is, if anywhere; an error if the request does not say clearly which one counts.
pub fn find<'a, H: RequestHead>(
    head: &'a H,
    sources: &TokenSources,
) -> Result<Option<(Cow<'a, [u8]>, TokenSource)>, &'static str> {
    match credentials::find(head, sources) {
        Found::Nothing => Ok(None),
        Found::Token(token, source) => Ok(Some((token, source))),
        Found::Ambiguous(why) => Err(why),
    }
}

/// What is taken out of a request whose token was found in this source.
pub fn strip_after<H: RequestHead>(policy: &Policy, head: &H, found: Option<TokenSource>) -> Strip {
    Strip::plan_after(policy, head, found)
}

/// Whether the value of an `Origin` header is an origin that as a pattern stands for itself.
pub fn stands_for_itself(value: &[u8]) -> bool {
    crate::origin::stands_for_itself(value)
}
