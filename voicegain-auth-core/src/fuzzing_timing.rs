//! Doors for the project's own timing test: a token and a record in hand, and nothing around them. Built with `--cfg fuzzing`
//! alone, and no part of the public interface.

use crate::constant_time::is_same;
use crate::jws;
use crate::long_lived::{self, LongLivedForm};
use crate::record::Record;
use crate::web_config::StoredWebConfig;

/// What a token is checked against once a proof is in hand (rule V5).
///
/// Whether the web config is known is said with each call, so that all else is in the same place either way: where two
/// objects lie makes a difference too, and says nothing of the code.
#[derive(Debug)]
pub struct InHand {
    form: LongLivedForm,
    record: Record,
}

impl InHand {
    /// In a deployment with this API URL.
    pub fn new(api_url: &str, stored: StoredWebConfig) -> Self {
        let form = LongLivedForm::new(api_url);
        Self { record: Record::prepare(stored, &form), form }
    }

    fn record(&self, is_known: bool) -> Option<&Record> {
        is_known.then_some(&self.record)
    }

    /// Whether this is the long-lived token as it was issued: what the verifier tries first.
    #[inline(never)]
    pub fn is_as_issued(&self, is_known: bool, token: &[u8]) -> bool {
        let Some(token) = self.form.recognise(token) else { return false };
        let expected = self.record(is_known).map_or(&long_lived::NOBODY, Record::long_lived);
        std::hint::black_box(is_same(expected, token.signature))
    }

    /// Whether the token is read and its signature holds: what the verifier does otherwise.
    #[inline(never)]
    pub fn is_signed(&self, is_known: bool, token: &[u8]) -> bool {
        let key = self.record(is_known).map(|record| &record.key);
        let verified = jws::read(token, |token| token.verify(key).is_some());
        verified.unwrap_or(false)
    }

    /// Whether this thread remembers how the token begins.
    pub fn is_remembered(token: &[u8]) -> bool {
        jws::doors::is_remembered(token)
    }

    /// Both, in the verifier's order.
    #[inline(never)]
    pub fn check(&self, is_known: bool, token: &[u8]) -> bool {
        self.is_as_issued(is_known, token) || self.is_signed(is_known, token)
    }
}
