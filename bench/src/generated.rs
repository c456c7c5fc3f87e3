//! A store that holds nothing: it makes up every record when it is asked for, always the same. So what lives once a cache
//! over it is filled is the cache's.

use std::future::{Future, pending};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use voicegain_auth_core::store::{
    Ended, EntryId, ListQuery, Living, LivingPage, LogPosition, LogRead, Regenerated, Revision, Scope,
    Snapshot, StoredPage,
};
use voicegain_auth_core::{
    ChangeFeed, Generation, NewWebConfig, RestoredWebConfig, Secret, SecretStore, StoreError,
    StoredWebConfig, WebConfig, WebConfigId, WebConfigPatch,
};

/// This many web configs, each of a context of its own, ten contexts to an account; ids and names as long as in life, and no
/// `allowedOrigins`.
#[derive(Debug, Clone)]
pub(crate) struct Generated {
    count: usize,
    /// Whoever holds this holds up the loading of whole records.
    pub(crate) gate: Arc<Mutex<()>>,
}

impl Generated {
    pub(crate) fn new(count: usize) -> Self {
        Self { count, gate: Arc::default() }
    }

    /// How far ids lie apart, so that they are spread as random ones are, and stand in order.
    fn stride(&self) -> u128 {
        u128::MAX / self.count as u128
    }

    pub(crate) fn id(&self, index: usize) -> WebConfigId {
        let somewhere = u128::from_be_bytes(of(index, b"id")) % self.stride();
        WebConfigId::from_bytes((index as u128 * self.stride() + somewhere).to_be_bytes())
    }

    pub(crate) fn secret(&self, index: usize) -> Secret {
        let half: [[u8; 16]; 2] = [of(index, b"secret"), of(index, b"secret too")];
        Secret::from_bytes(half.as_flattened()).expect("it is long enough")
    }

    fn position(&self, index: usize) -> LogPosition {
        LogPosition {
            revision: Revision::new(index as u64 + 1),
            entry: EntryId::from_bytes(of(index, b"entry")),
        }
    }

    fn head(&self) -> LogPosition {
        self.position(self.count - 1)
    }

    fn record(&self, index: usize) -> StoredWebConfig {
        let position = self.position(index);
        let text = |what: &[u8], index| WebConfigId::from_bytes(of(index, what)).to_string();
        let config = WebConfig {
            id: self.id(index),
            account_id: text(b"account", index / 10).parse().expect("an account's id"),
            context_id: text(b"context", index).parse().expect("a context's id"),
            name: format!("web config {index}"),
            allowed_origins: Vec::new(),
            generation: Generation::FIRST,
            revision: position.revision,
            created_at: 1_700_000_000,
            secret_created_at: 1_700_000_000,
        };
        StoredWebConfig { config, secret: self.secret(index), entry: position.entry }
    }

    /// Which web config has this id.
    fn index(&self, id: WebConfigId) -> Option<usize> {
        let index = usize::try_from(u128::from_be_bytes(*id.as_bytes()) / self.stride()).ok()?;
        (index < self.count && self.id(index) == id).then_some(index)
    }

    /// A page: which web configs, and after which id the next begins.
    fn page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> (std::ops::Range<usize>, Option<WebConfigId>) {
        let start = after.and_then(|id| self.index(id)).map_or(0, |index| index + 1);
        let end = (start + limit.max(1)).min(self.count);
        (start..end, (end < self.count).then(|| self.id(end - 1)))
    }
}

/// Sixteen bytes that look random, and are the same each time.
fn of(index: usize, what: &[u8]) -> [u8; 16] {
    let digest = Sha256::new().chain_update(what).chain_update(index.to_be_bytes()).finalize();
    *digest.first_chunk().expect("a digest has 32 bytes")
}

fn refuses<T>() -> Result<T, StoreError> {
    Err(StoreError::unavailable("nothing can be changed here"))
}

impl SecretStore for Generated {
    async fn load(&self, id: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        let value = self.index(id).map(|index| self.record(index));
        Ok(Snapshot { value, head: self.head().revision })
    }

    async fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        let (range, next) = self.page(after, limit);
        let stored = range.map(|index| self.record(index)).collect();
        Ok(Snapshot { value: StoredPage { stored, next }, head: self.head().revision })
    }

    async fn list(&self, _: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        refuses()
    }

    async fn create(&self, _: NewWebConfig) -> Result<WebConfig, StoreError> {
        refuses()
    }

    async fn regenerate(&self, _: WebConfigId, _: Secret) -> Result<Regenerated, StoreError> {
        refuses()
    }

    async fn update(&self, _: WebConfigId, _: WebConfigPatch) -> Result<WebConfig, StoreError> {
        refuses()
    }

    async fn delete(&self, _: WebConfigId) -> Result<Revision, StoreError> {
        refuses()
    }

    async fn end(&self, _: Scope) -> Result<Ended, StoreError> {
        refuses()
    }

    async fn restore(&self, _: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        refuses()
    }
}

impl ChangeFeed for Generated {
    async fn living(&self, after: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        let (range, next) = self.page(after, limit);
        let living = range.map(|index| {
            let StoredWebConfig { config, .. } = self.record(index);
            Living {
                id: config.id,
                position: self.position(index),
                generation: config.generation,
                account_id: config.account_id,
                context_id: config.context_id,
            }
        });
        Ok(LivingPage { head: self.head(), living: living.collect(), next })
    }

    async fn read_log(&self, after: LogPosition, _: usize) -> Result<LogRead, StoreError> {
        let is_head = after == self.head();
        Ok(if is_head { LogRead::Entries { entries: Vec::new(), more: false } } else { LogRead::Gone })
    }

    async fn prove(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.read_log(after, limit).await
    }

    fn changed(&self, _: Revision) -> impl Future<Output = ()> + Send {
        pending()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures_executor::block_on;

    use super::*;

    #[test]
    fn its_pages_lead_through_all_of_it_in_order() {
        let store = Generated::new(1_234);
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = block_on(store.load_page(after, 100)).expect("a page").value;
            ids.extend(page.stored.iter().map(|stored| stored.config.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1_234);
        assert_eq!(ids, (0..1_234).map(|index| store.id(index)).collect::<Vec<_>>());
        let loaded = block_on(store.load(ids[7])).expect("a snapshot").value.expect("it is there");
        assert_eq!(loaded.secret.expose(), store.secret(7).expose());
        let stranger = WebConfigId::from_bytes([1; 16]);
        assert!(block_on(store.load(stranger)).expect("a snapshot").value.is_none());
    }
}
