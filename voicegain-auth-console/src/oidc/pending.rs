//! Sign-ins that have been begun here and that the provider has not answered yet.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use openidconnect::{Nonce, PkceCodeVerifier};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How many there may be; the oldest makes room.
const FLOWS: usize = 1_000;

type Key = [u8; 32];

/// All of them, by their `state`, of which only a digest is kept.
#[derive(Default)]
pub(crate) struct Pending(Mutex<HashMap<Key, Kept>>);

struct Kept {
    /// Of the cookie of the browser that has begun it.
    browser: Key,
    begun: Instant,
    flow: Flow,
}

/// What has to fit when the provider answers, and where to go on to.
pub(crate) struct Flow {
    pub(crate) nonce: Nonce,
    pub(crate) verifier: PkceCodeVerifier,
    pub(crate) next: String,
}

impl Pending {
    /// How long one may take.
    pub(crate) const LIFE: Duration = Duration::from_secs(10 * 60);

    /// Begins one in the browser with this cookie.
    pub(crate) fn begin(&self, state: &str, browser: &str, flow: Flow, now: Instant) {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flows.retain(|_, kept| kept.lives(now));
        if flows.len() >= FLOWS {
            let oldest = flows.iter().min_by_key(|(_, kept)| kept.begun).map(|(key, _)| *key);
            oldest.and_then(|key| flows.remove(&key));
        }
        flows.insert(key(state), Kept { browser: key(browser), begun: now, flow });
    }

    /// The one with this `state`, if it was begun in the browser with this cookie. Whatever comes of it, there is none any
    /// more.
    pub(crate) fn take(&self, state: &str, browser: &str, now: Instant) -> Option<Flow> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(state))?;
        let is_same = bool::from(kept.browser.ct_eq(&key(browser)));
        (is_same && kept.lives(now)).then_some(kept.flow)
    }
}

impl Kept {
    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) < Pending::LIFE
    }
}

fn key(text: &str) -> Key {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(next: &str) -> Flow {
        let (_, verifier) = openidconnect::PkceCodeChallenge::new_random_sha256();
        Flow { nonce: Nonce::new_random(), verifier, next: next.to_owned() }
    }

    #[test]
    fn one_is_taken_once_in_its_own_browser_and_in_time() {
        let (pending, now) = (Pending::default(), Instant::now());
        pending.begin("state", "browser", flow("/a"), now);
        assert!(pending.take("another", "browser", now).is_none());
        assert_eq!(pending.take("state", "browser", now).unwrap().next, "/a");
        assert!(pending.take("state", "browser", now).is_none(), "it was taken");

        pending.begin("state", "browser", flow("/a"), now);
        assert!(pending.take("state", "another", now).is_none());
        assert!(pending.take("state", "browser", now).is_none(), "it is spoiled");

        pending.begin("state", "browser", flow("/a"), now);
        assert!(pending.take("state", "browser", now + Pending::LIFE).is_none());
        pending.begin("state", "browser", flow("/a"), now);
        let last = now + Pending::LIFE - Duration::from_nanos(1);
        assert!(pending.take("state", "browser", last).is_some());
    }

    #[test]
    fn there_is_room_for_so_many() {
        let (pending, now) = (Pending::default(), Instant::now());
        pending.begin("first", "browser", flow(""), now);
        for number in 0..FLOWS {
            pending.begin(&number.to_string(), "browser", flow(""), now + Duration::from_secs(1));
        }
        assert!(pending.take("first", "browser", now).is_none());
        assert!(pending.take("0", "browser", now).is_some());
        pending.begin("late", "browser", flow(""), now + 2 * Pending::LIFE);
        assert_eq!(pending.0.lock().unwrap().len(), 1, "what is over is not kept");
    }
}
