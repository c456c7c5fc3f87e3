//! Which web configs were used on which day, and the task that writes it to the store.
//!
//! A request pays for it once a day and web config: it enters the id here, and the record remembers until when that will do.
//! All others read that one number. What is entered is written in batches, some time later, and nothing waits for it: no
//! decision, no proof of freshness, and the end of a process only if it says so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{SecretCache, Shared};
use crate::day::Day;
use crate::ids::WebConfigId;
use crate::record::Record;
use crate::store::StoreError;

/// How many are written at once, and how long the store is left alone before the next.
const AT_ONCE: usize = 500;
const PAUSE: Duration = Duration::from_millis(100);
/// How long the store may take for so many.
const LIMIT: Duration = Duration::from_secs(10);
/// How many may wait to be written. Others are entered once there is room again, if they are used then.
const MOST: usize = 100_000;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pending: Mutex<BTreeMap<WebConfigId, Day>>,
    /// There is no room, which nobody need take the lock to learn.
    full: AtomicBool,
}

impl Uses {
    fn pending(&self) -> MutexGuard<'_, BTreeMap<WebConfigId, Day>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn enter(&self, record: &Record, day: Day) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        {
            let mut pending = self.pending();
            if pending.len() >= MOST {
                self.full.store(true, Ordering::Relaxed);
                return;
            }
            enter(&mut pending, record.id, day);
        }
        record.noted(day);
    }

    fn take(&self) -> Batch<'_> {
        let mut pending = self.pending();
        let taken = std::iter::from_fn(|| pending.pop_first()).take(AT_ONCE).collect();
        self.full.store(false, Ordering::Relaxed);
        Batch { uses: self, taken }
    }
}

/// What is being written. Unless that is done it waits as before, also if the store panics or whoever wanted it has gone.
struct Batch<'a> {
    uses: &'a Uses,
    taken: BTreeMap<WebConfigId, Day>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut pending = self.uses.pending();
        while let Some((id, day)) = self.taken.pop_first() {
            enter(&mut pending, id, day);
        }
    }
}

fn enter(pending: &mut BTreeMap<WebConfigId, Day>, id: WebConfigId, day: Day) {
    let known = pending.entry(id).or_insert(day);
    *known = day.max(*known);
}

impl SecretCache {
    /// Takes down that a token of this web config was accepted, at this time in seconds since the Unix epoch.
    #[inline]
    pub(crate) fn note_use(&self, record: &Record, at: u64) {
        if !record.is_noted(at) {
            self.inner.shared.uses.enter(record, Day::of(at));
        }
    }

    /// Writes to the store which web configs have been used since that was last written: for the end of a process, which
    /// otherwise forgets it. Whoever calls it decides how long to wait.
    ///
    /// # Errors
    /// As for every change of the store. What was not written is tried again, as long as this cache is there.
    pub async fn write_uses(&self) -> Result<(), StoreError> {
        self.inner.shared.write_uses().await
    }
}

impl Shared {
    /// Writes what is pending now. What comes meanwhile may be left to the next time.
    async fn write_uses(&self) -> Result<(), StoreError> {
        let pending = self.uses.pending().len();
        for round in 0..pending.div_ceil(AT_ONCE) {
            if round > 0 {
                sleep(PAUSE).await;
            }
            let mut batch = self.uses.take();
            let written = timeout(LIMIT, self.store.note_uses(batch.taken.clone())).await;
            written.unwrap_or_else(|_| Err(StoreError::unavailable("the store did not answer in time")))?;
            batch.taken.clear();
        }
        Ok(())
    }
}

/// Writes what is pending, now and then, for as long as it is polled. A store that fails or panics does not end it.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut fails = false;
    loop {
        sleep(shared.last_use_interval).await;
        // Dropped with this future, and the task in it then ends too.
        let mut tasks = JoinSet::new();
        let writer = Arc::clone(&shared);
        tasks.spawn(async move { writer.write_uses().await });
        let problem = match tasks.join_next().await {
            Some(Ok(Err(error))) => Some(error.chain()),
            Some(Err(error)) => Some(error.to_string()),
            _ => None,
        };
        match &problem {
            Some(error) if fails => {
                tracing::debug!(error, "last uses of web configs still cannot be written")
            }
            Some(error) => {
                tracing::warn!(error, "last uses of web configs could not be written; tried again later");
            }
            None if fails => tracing::info!("last uses of web configs are written again"),
            None => {}
        }
        fails = problem.is_some();
    }
}

#[cfg(test)]
mod tests;
