//! Moving web configs from one store to another, secrets and generations included.

use std::collections::BTreeSet;

use super::{IssueError, Issuer, check_allowed_origins, check_name, with_effect};
use crate::audit::{Act, Deed, Given};
use crate::ids::WebConfigId;
use crate::store::{LogPosition, StoreError};
use crate::web_config::{RestoredWebConfig, StoredWebConfig, WebConfig};

/// How many are read at a time.
const PAGE: usize = 1_000;
/// The highest generation that is restored: JSON's numbers are exact far enough beyond it for any number of Regenerates.
const MAX_GENERATION: u64 = 1 << 52;
/// The last second of the year 9999, which no time here goes past (rule W5).
const MAX_TIME: u64 = 253_402_300_799;

/// Every web config that lives, with its secret, in the order of the ids. `Debug` shows no secret.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inventory {
    /// Those that could be read.
    pub stored: Vec<StoredWebConfig>,
    /// Those that live, and whose record or secret could not be read, for instance because the key that it is sealed under
    /// is missing. While the store changes, one that was deleted meanwhile may be among them.
    pub unreadable: Vec<WebConfigId>,
    /// The log's head, if nothing changed while it was read: then all of it is of that one moment.
    pub head: Option<LogPosition>,
}

impl Issuer {
    /// Reads every web config that lives, with its secret, to be restored in another store.
    ///
    /// # Errors
    /// If the store cannot be read. A web config that cannot be is no error: see [`Inventory::unreadable`].
    pub async fn inventory(&self) -> Result<Inventory, IssueError> {
        let store = self.cache.store();
        let first = store.living(None, 1).await?.head;
        let mut at_rest = true;
        let (mut stored, mut after) = (Vec::new(), None);
        loop {
            let snapshot = store.load_page(after, PAGE).await?;
            at_rest &= snapshot.head == first.revision;
            stored.extend(snapshot.value.stored);
            after = Some(match snapshot.value.next {
                Some(next) if after.is_none_or(|after| after < next) => next,
                Some(_) => return Err(leads_nowhere()),
                None => break,
            });
        }
        // Which ones there should be is read last: so the head has the last word.
        let (mut unreadable, mut after) = (BTreeSet::new(), None);
        loop {
            let page = store.living(after, PAGE).await?;
            at_rest &= page.head == first;
            unreadable.extend(page.living.iter().map(|living| living.id));
            after = Some(match page.next {
                Some(next) if after.is_none_or(|after| after < next) => next,
                Some(_) => return Err(leads_nowhere()),
                None => break,
            });
        }
        for StoredWebConfig { config, .. } in &stored {
            unreadable.remove(&config.id);
        }
        let unreadable = unreadable.into_iter().collect();
        Ok(Inventory { stored, unreadable, head: at_rest.then_some(first) })
    }

    /// Whether a web config could be restored as far as its fields go: by the checks of [`create`](Self::create), and so
    /// rule M4 holds for its origins.
    ///
    /// # Errors
    /// [`IssueError::Invalid`] for the first field that does not fit.
    pub fn check_restored(restored: &RestoredWebConfig) -> Result<(), IssueError> {
        check_name(&restored.name)?;
        check_allowed_origins(&restored.allowed_origins)?;
        if !(1..=MAX_GENERATION).contains(&restored.generation.get()) {
            return Err(IssueError::invalid(
                "generation",
                "must be 1 or more, and 2 to the power of 52 at most",
            ));
        }
        for (field, time) in
            [("createdAt", restored.created_at), ("secretCreatedAt", restored.secret_created_at)]
        {
            if time > MAX_TIME {
                let problem = "must be in seconds since the beginning of 1970, and before the year 10000";
                return Err(IssueError::invalid(field, problem));
            }
        }
        Ok(())
    }

    /// Restores a web config as another store had it. Its tokens are good in this deployment from then on, and in the other
    /// one as well, until they are ended in each. No token is answered: whoever has one keeps it.
    ///
    /// # Errors
    /// If a field does not fit, or the store says no. After [`StoreError::OutcomeUnknown`] what lives under the id tells
    /// whether it happened.
    pub async fn restore(&self, restored: RestoredWebConfig) -> Result<WebConfig, IssueError> {
        Self::check_restored(&restored)?;
        let deed =
            Deed::on(Act::Restore, restored.id).within(&restored.account_id, &restored.context_id).given([
                Given::Name(restored.name.clone()),
                Given::AllowedOrigins(restored.allowed_origins.clone()),
                Given::Secret { imported: true },
            ]);
        let deed = deed.given(restored.revive.then_some(Given::Revival));
        let cache = self.cache.clone();
        self.act(deed, async move { cache.store().restore(restored).await.map(with_effect) }).await
    }
}

fn leads_nowhere() -> IssueError {
    StoreError::damaged("a page of the store does not lead to the next one").into()
}

#[cfg(test)]
mod tests;
