//! A web config, prepared for deciding: what is cached.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use crate::day::Day;
use crate::freshness::{Fingerprint, Loaded};
use crate::ids::{AccountId, ContextId, WebConfigId};
use crate::long_lived::{LongLivedForm, Signature};
use crate::mac::MacKey;
use crate::origin::OriginRules;
use crate::store::LogPosition;
use crate::web_config::{Generation, StoredWebConfig};

/// One record from one read (rule W3): the key, the ids and the allowed origins belong together.
///
/// Of a web config only what a decision needs: there may be very many.
pub(crate) struct Record {
    pub(crate) id: WebConfigId,
    pub(crate) account_id: AccountId,
    pub(crate) context_id: ContextId,
    pub(crate) generation: Generation,
    /// Prepared once, when the record is loaded.
    pub(crate) key: MacKey,
    pub(crate) allowed_origins: OriginRules,
    #[cfg(feature = "second-opinion")]
    pub(crate) second_opinion: crate::second_opinion::SecondOpinion,
    /// The log entry that made it what it is.
    pub(crate) position: LogPosition,
    fingerprint: Fingerprint,
    /// That of the long-lived token of this secret: all of that token that is not known to everybody.
    long_lived: Zeroizing<Signature>,
    /// Until when it is known to be used, in seconds since the Unix epoch: the end of a day, or 0.
    noted_until: AtomicU64,
}

impl Record {
    pub(crate) fn prepare(stored: StoredWebConfig, form: &LongLivedForm) -> Self {
        let key = MacKey::new(&stored.secret);
        let mac = key.mac(b"voicegain-auth: which secret is this?");
        let [a, b, c, d, e, f, g, h, ..] = mac;
        let allowed_origins = OriginRules::from_stored(&stored.config.allowed_origins);
        Self {
            long_lived: Zeroizing::new(form.signature(&key, stored.config.id)),
            position: stored.position(),
            id: stored.config.id,
            account_id: stored.config.account_id,
            context_id: stored.config.context_id,
            generation: stored.config.generation,
            key,
            allowed_origins,
            #[cfg(feature = "second-opinion")]
            second_opinion: crate::second_opinion::SecondOpinion::new(&stored.secret),
            fingerprint: [a, b, c, d, e, f, g, h],
            noted_until: AtomicU64::new(0),
        }
    }

    /// The signature of the long-lived token of this secret.
    pub(crate) fn long_lived(&self) -> &Signature {
        &self.long_lived
    }

    /// Whether a use at this time, in seconds since the Unix epoch, need not be noted.
    #[inline]
    pub(crate) fn is_noted(&self, at: u64) -> bool {
        // Nothing else hangs on it: whoever reads an older value notes the same day once more.
        at < self.noted_until.load(Ordering::Relaxed)
    }

    /// That it was used on this day has been noted.
    pub(crate) fn noted(&self, day: Day) {
        self.noted_until.fetch_max(day.end(), Ordering::Relaxed);
    }

    pub(crate) fn loaded(&self) -> Loaded {
        Loaded { position: self.position, generation: self.generation, fingerprint: self.fingerprint }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
