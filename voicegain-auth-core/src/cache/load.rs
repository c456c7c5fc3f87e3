//! Look-ups: one at a time for each web config, shared by all who wait, finished even if all of them have gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::ops::compute::Op;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Cached, Shared, wait};
use crate::freshness::{LoadTicket, Verdict};
use crate::ids::WebConfigId;
use crate::record::Record;
use crate::store::{Revision, StoreError};
use crate::web_config::StoredWebConfig;

/// How long a web config is left alone after a look-up of it failed (rule C6).
const PAUSE: Duration = Duration::from_secs(1);
/// Only above this many are failures that are over swept out.
const SWEEP_ABOVE: usize = 1_024;
/// How long the store may take to answer a look-up, waiters or not.
const LOAD_LIMIT: Duration = Duration::from_secs(10);

/// How a look-up ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Look into the cache again.
    Look,
    /// The store failed, was behind, or went back in time.
    Failed,
}

#[derive(Debug)]
enum LookUp {
    Running {
        outcome: watch::Receiver<Option<Outcome>>,
        /// Whether the web config has been changed since, so that a failure says nothing of what comes next.
        changed: bool,
    },
    /// When it failed, on the boot clock.
    Failed(Duration),
}

#[derive(Debug, Default)]
pub(super) struct LookUps {
    of: HashMap<WebConfigId, LookUp>,
    /// How many there were after the last sweep. The next is due at twice that, so that each costs what was put in since.
    swept: usize,
}

impl LookUps {
    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<WebConfigId> {
        self.of.keys().copied().collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// Takes out the failures that are over.
    fn sweep(&mut self, over: impl Fn(Duration) -> bool) {
        if self.of.len() > SWEEP_ABOVE.max(self.swept.saturating_mul(2)) {
            self.of.retain(|_, look_up| !matches!(look_up, LookUp::Failed(at) if over(*at)));
            self.swept = self.of.len();
        }
    }
}

/// Joins the look-up of a web config, or begins one. `None`: one failed just now.
pub(super) fn join(shared: &Arc<Shared>, id: WebConfigId) -> Option<watch::Receiver<Option<Outcome>>> {
    let now = shared.clock.read().boot;
    let over = |failed: Duration| now.saturating_sub(failed) >= PAUSE;
    let mut look_ups = shared.look_ups();
    match look_ups.of.get(&id) {
        Some(LookUp::Running { outcome, .. }) => return Some(outcome.clone()),
        Some(LookUp::Failed(at)) if !over(*at) => return None,
        _ => {}
    }
    look_ups.sweep(over);
    let (sender, receiver) = watch::channel(None);
    look_ups.of.insert(id, LookUp::Running { outcome: receiver.clone(), changed: false });
    let running = Running { shared: Arc::clone(shared), id, sender, outcome: Outcome::Failed };
    // A runtime that is shutting down drops the task right here, and that takes the same lock.
    drop(look_ups);
    shared.runtime.spawn(running.run());
    Some(receiver)
}

/// After a change of these web configs it is worth looking them up at once, however the last look-up ended.
pub(super) fn forget_failures(shared: &Shared, ids: &[WebConfigId]) {
    let mut look_ups = shared.look_ups();
    for id in ids {
        match look_ups.of.get_mut(id) {
            None => {}
            Some(LookUp::Running { changed, .. }) => *changed = true,
            Some(LookUp::Failed(_)) => drop(look_ups.of.remove(id)),
        }
    }
}

/// Makes a record of what was read, with ids that it shares with all others of its context.
pub(super) fn prepare(shared: &Shared, mut stored: StoredWebConfig) -> Arc<Record> {
    let StoredWebConfig { config, .. } = &mut stored;
    let held = shared.machine().held(&config.account_id, &config.context_id);
    if let Some((account_id, context_id)) = held {
        (config.account_id, config.context_id) = (account_id, context_id);
    }
    Arc::new(Record::prepare(stored, &shared.long_lived))
}

/// Puts into the cache what was read of a web config, if the machine says so.
///
/// The machine is asked inside moka's lock of this key, so that a change either finds what is put here or is known to the
/// machine already. The closure waits for nothing but the machine's own lock.
pub(super) fn commit(
    shared: &Shared,
    ticket: LoadTicket,
    id: WebConfigId,
    head: Revision,
    record: Option<Arc<Record>>,
) -> Verdict {
    let loaded = record.as_ref().map(|record| record.loaded());
    let mut verdict = Verdict::Behind;
    shared.records.entry_by_ref(&id).and_compute_with(|_| {
        verdict = shared.machine().judge(ticket, id, head, loaded);
        match (verdict, record) {
            (Verdict::Keep { epoch }, Some(record)) => Op::Put(Cached { record, epoch }),
            _ => Op::Nop,
        }
    });
    verdict
}

struct Running {
    shared: Arc<Shared>,
    id: WebConfigId,
    sender: watch::Sender<Option<Outcome>>,
    /// What is told on drop, also when the store panics.
    outcome: Outcome,
}

impl Running {
    async fn run(mut self) {
        match timeout(LOAD_LIMIT, self.look_up()).await {
            Ok(Ok(outcome)) => self.outcome = outcome,
            Ok(Err(error)) => {
                tracing::warn!(web_config = %self.id, error = %error.chain(), "a web config could not be loaded");
            }
            Err(_) => {
                tracing::warn!(web_config = %self.id, "a web config could not be loaded: the store did not answer");
            }
        }
    }

    async fn look_up(&self) -> Result<Outcome, StoreError> {
        let shared = &self.shared;
        let Ok(_permit) = shared.permits.acquire().await else { return Ok(Outcome::Failed) };
        let Some(ticket) = shared.machine().begin_load() else { return Ok(Outcome::Look) };
        let snapshot = shared.store.load(self.id).await?;
        let record = snapshot.value.map(|stored| prepare(shared, stored));
        if record.as_ref().is_some_and(|record| record.id != self.id) {
            return Err(StoreError::damaged("the store answered with another web config"));
        }
        let verdict = commit(shared, ticket, self.id, snapshot.head, record);
        match verdict {
            Verdict::Keep { .. } => {
                shared.count(|work| &mut work.found);
                Ok(Outcome::Look)
            }
            Verdict::Absent => {
                shared.count(|work| &mut work.absent);
                Ok(Outcome::Look)
            }
            Verdict::Again { after } => {
                wait::caught_up(shared, after).await;
                Ok(Outcome::Look)
            }
            Verdict::Behind => Err(StoreError::unavailable(
                "the store answered from behind what was seen: a lagging replica?",
            )),
            Verdict::WentBack => {
                tracing::error!(
                    web_config = %self.id,
                    "the store shows an older state of this web config than was seen before: it went back in time; \
                     requests are answered 503 until its generation is past the highest seen"
                );
                Ok(Outcome::Failed)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.outcome == Outcome::Failed {
            self.shared.count(|work| &mut work.failed);
        }
        let failed_at = self.shared.clock.read().boot;
        let mut look_ups = self.shared.look_ups();
        let running = look_ups.of.remove(&self.id);
        let changed = matches!(running, Some(LookUp::Running { changed: true, .. }));
        if self.outcome == Outcome::Failed && !changed {
            look_ups.of.insert(self.id, LookUp::Failed(failed_at));
        }
        drop(look_ups);
        self.sender.send_replace(Some(self.outcome));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_failures_that_are_over_do_not_pile_up() {
        let (over, recent) = (Duration::from_secs(1), Duration::from_secs(2));
        let mut look_ups = LookUps::default();
        for number in 0..2 * SWEEP_ABOVE as u128 {
            let at = if number % 2 == 0 { over } else { recent };
            look_ups.of.insert(WebConfigId::from_bytes(number.to_ne_bytes()), LookUp::Failed(at));
        }
        let (_sender, outcome) = watch::channel(None);
        let running = WebConfigId::from_bytes([0xff; 16]);
        look_ups.of.insert(running, LookUp::Running { outcome, changed: false });
        look_ups.sweep(|at| at == over);
        assert_eq!(look_ups.len(), SWEEP_ABOVE + 1);
        assert!(look_ups.of.contains_key(&running));
    }
}
