//! Wrong sign-ins, counted, so that nobody can try many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many may be wrong within [`WINDOW`].
const WRONG: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// How many addresses are remembered.
const ADDRESSES: usize = 10_000;

/// By address, or all together where the address is not known.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<Option<IpAddr>, (Instant, u32)>>);

impl Attempts {
    /// How long to wait, if too many were wrong.
    pub(super) fn wait(&self, from: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, wrong) = attempts.get(&from)?;
        let left = WINDOW.checked_sub(now.saturating_duration_since(*since))?;
        (*wrong >= WRONG && !left.is_zero()).then_some(left)
    }

    /// One more was wrong.
    pub(super) fn wrong(&self, from: Option<IpAddr>, now: Instant) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= ADDRESSES && !attempts.contains_key(&from) {
            attempts.retain(|_, (since, _)| now.saturating_duration_since(*since) < WINDOW);
            if attempts.len() >= ADDRESSES {
                // Somebody has very many addresses: forgetting them is better than to keep them all.
                attempts.clear();
            }
        }
        let (since, wrong) = attempts.entry(from).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= WINDOW {
            (*since, *wrong) = (now, 0);
        }
        *wrong = wrong.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_so_many_wrong_ones_it_is_time_to_wait() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        for _ in 0..WRONG {
            assert_eq!(attempts.wait(address, now), None);
            attempts.wrong(address, now);
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(attempts.wait(address, later), Some(Duration::from_secs(40)));
        assert_eq!(attempts.wait(None, later), None);
        assert_eq!(attempts.wait(address, now + WINDOW), None);
        attempts.wrong(address, now + WINDOW);
        assert_eq!(attempts.wait(address, now + WINDOW), None);
    }

    #[test]
    fn addresses_are_not_kept_without_end() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..u32::try_from(ADDRESSES).unwrap() + 5 {
            attempts.wrong(Some(IpAddr::from(number.to_be_bytes())), now);
        }
        assert!(attempts.0.lock().unwrap().len() < ADDRESSES);
    }
}
