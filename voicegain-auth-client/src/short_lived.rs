//! A short-lived token, and how long it is good for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::Moment;

/// A short-lived token as it was minted. Cloning is cheap. It is wiped from memory with its last clone, and `Debug` does
/// not show it.
#[derive(Clone)]
pub struct ShortLivedToken {
    text: Arc<Zeroizing<String>>,
    /// From before it was asked for, so that it lives at least so long from here.
    asked: Moment,
    lifetime: Duration,
}

impl ShortLivedToken {
    pub(crate) fn new(text: Zeroizing<String>, asked: Moment, lifetime: Duration) -> Self {
        Self { text: Arc::new(text), asked, lifetime }
    }

    /// The token itself, for a page, or for `Authorization: Bearer`. Keep it out of logs and URLs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// How long it is still good for, at least: the time that was asked for, counted from before it was asked for, by
    /// this machine's clocks alone. So it does not matter whether they agree with the API's.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.remaining_at(Moment::now())
    }

    pub(crate) fn remaining_at(&self, now: Moment) -> Duration {
        self.lifetime.saturating_sub(self.asked.age(now))
    }

    /// Whether a fifth of its life or less is left, which is when the next one is got.
    pub(crate) fn is_nearly_over(&self, now: Moment) -> bool {
        self.remaining_at(now) <= self.lifetime / 5
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }
}

impl fmt::Debug for ShortLivedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShortLivedToken").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}
