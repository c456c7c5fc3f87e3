//! Stores are written with `async fn`; the rest of the crate holds them behind this object-safe twin.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{
    ChangeFeed, Ended, ListQuery, LivingPage, LogPosition, LogRead, Regenerated, Revision, Scope,
    SecretStore, Snapshot, StoreError, StoredPage,
};
use crate::day::Day;
use crate::ids::WebConfigId;
use crate::secret::Secret;
use crate::web_config::{NewWebConfig, RestoredWebConfig, StoredWebConfig, WebConfig, WebConfigPatch};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(crate) trait ErasedStore: Send + Sync {
    fn load(&self, id: WebConfigId) -> BoxFuture<'_, Result<Snapshot<Option<StoredWebConfig>>, StoreError>>;
    fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Snapshot<StoredPage>, StoreError>>;
    fn list(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<WebConfig>, StoreError>>;
    fn create(&self, new: NewWebConfig) -> BoxFuture<'_, Result<WebConfig, StoreError>>;
    fn regenerate(&self, id: WebConfigId, secret: Secret) -> BoxFuture<'_, Result<Regenerated, StoreError>>;
    fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> BoxFuture<'_, Result<WebConfig, StoreError>>;
    fn delete(&self, id: WebConfigId) -> BoxFuture<'_, Result<Revision, StoreError>>;
    fn end(&self, scope: Scope) -> BoxFuture<'_, Result<Ended, StoreError>>;
    fn restore(&self, restored: RestoredWebConfig) -> BoxFuture<'_, Result<WebConfig, StoreError>>;
    fn note_uses(&self, uses: BTreeMap<WebConfigId, Day>) -> BoxFuture<'_, Result<(), StoreError>>;
    fn last_uses(
        &self,
        ids: Vec<WebConfigId>,
    ) -> BoxFuture<'_, Result<BTreeMap<WebConfigId, Day>, StoreError>>;
    fn living(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<LivingPage, StoreError>>;
    fn read_log(&self, after: LogPosition, limit: usize) -> BoxFuture<'_, Result<LogRead, StoreError>>;
    fn prove(&self, after: LogPosition, limit: usize) -> BoxFuture<'_, Result<LogRead, StoreError>>;
    fn changed(&self, seen: Revision) -> BoxFuture<'_, ()>;
    fn proof_interval(&self) -> Duration;
}

struct Erased<S>(S);

pub(crate) fn erase(store: impl SecretStore + ChangeFeed) -> Arc<dyn ErasedStore> {
    Arc::new(Erased(store))
}

impl<S: SecretStore + ChangeFeed> ErasedStore for Erased<S> {
    fn load(&self, id: WebConfigId) -> BoxFuture<'_, Result<Snapshot<Option<StoredWebConfig>>, StoreError>> {
        Box::pin(self.0.load(id))
    }

    fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Snapshot<StoredPage>, StoreError>> {
        Box::pin(self.0.load_page(after, limit))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<WebConfig>, StoreError>> {
        Box::pin(self.0.list(query))
    }

    fn create(&self, new: NewWebConfig) -> BoxFuture<'_, Result<WebConfig, StoreError>> {
        Box::pin(self.0.create(new))
    }

    fn regenerate(&self, id: WebConfigId, secret: Secret) -> BoxFuture<'_, Result<Regenerated, StoreError>> {
        Box::pin(self.0.regenerate(id, secret))
    }

    fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> BoxFuture<'_, Result<WebConfig, StoreError>> {
        Box::pin(self.0.update(id, patch))
    }

    fn delete(&self, id: WebConfigId) -> BoxFuture<'_, Result<Revision, StoreError>> {
        Box::pin(self.0.delete(id))
    }

    fn end(&self, scope: Scope) -> BoxFuture<'_, Result<Ended, StoreError>> {
        Box::pin(self.0.end(scope))
    }

    fn restore(&self, restored: RestoredWebConfig) -> BoxFuture<'_, Result<WebConfig, StoreError>> {
        Box::pin(self.0.restore(restored))
    }

    fn note_uses(&self, uses: BTreeMap<WebConfigId, Day>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.0.note_uses(uses))
    }

    fn last_uses(
        &self,
        ids: Vec<WebConfigId>,
    ) -> BoxFuture<'_, Result<BTreeMap<WebConfigId, Day>, StoreError>> {
        Box::pin(self.0.last_uses(ids))
    }

    fn living(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<LivingPage, StoreError>> {
        Box::pin(self.0.living(after, limit))
    }

    fn read_log(&self, after: LogPosition, limit: usize) -> BoxFuture<'_, Result<LogRead, StoreError>> {
        Box::pin(self.0.read_log(after, limit))
    }

    fn prove(&self, after: LogPosition, limit: usize) -> BoxFuture<'_, Result<LogRead, StoreError>> {
        Box::pin(self.0.prove(after, limit))
    }

    fn changed(&self, seen: Revision) -> BoxFuture<'_, ()> {
        Box::pin(self.0.changed(seen))
    }

    fn proof_interval(&self) -> Duration {
        self.0.proof_interval()
    }
}
