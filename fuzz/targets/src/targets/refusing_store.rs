//! A store that refuses every change, and remembers what it was asked for.

use std::sync::Mutex;

use voicegain_auth_core::store::{
    Ended, ListQuery, LivingPage, LogPosition, LogRead, Regenerated, Revision, Scope, Snapshot, StoredPage,
};
use voicegain_auth_core::{
    ChangeFeed, NewWebConfig, RestoredWebConfig, Secret, SecretStore, StoreError, StoredWebConfig, WebConfig,
    WebConfigId, WebConfigPatch,
};

/// What it was asked for.
#[derive(Debug)]
pub enum Asked {
    Create(NewWebConfig),
    Update(WebConfigPatch),
    List(ListQuery),
    Other,
}

static ASKED: Mutex<Option<Asked>> = Mutex::new(None);

/// What it was asked for last, which it then forgets.
pub fn asked() -> Option<Asked> {
    ASKED.lock().expect("no panic is outlived").take()
}

fn refuse<T>(asked: Asked) -> Result<T, StoreError> {
    *ASKED.lock().expect("no panic is outlived") = Some(asked);
    Err(StoreError::AlreadyExists)
}

/// The store.
pub struct Refusing;

impl SecretStore for Refusing {
    async fn load(&self, _: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        Ok(Snapshot { value: None, head: Revision::new(0) })
    }

    async fn load_page(&self, _: Option<WebConfigId>, _: usize) -> Result<Snapshot<StoredPage>, StoreError> {
        Ok(Snapshot { value: StoredPage { stored: Vec::new(), next: None }, head: Revision::new(0) })
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        refuse(Asked::List(query))
    }

    async fn create(&self, new: NewWebConfig) -> Result<WebConfig, StoreError> {
        refuse(Asked::Create(new))
    }

    async fn regenerate(&self, _: WebConfigId, _: Secret) -> Result<Regenerated, StoreError> {
        refuse(Asked::Other)
    }

    async fn update(&self, _: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, StoreError> {
        refuse(Asked::Update(patch))
    }

    async fn delete(&self, _: WebConfigId) -> Result<Revision, StoreError> {
        refuse(Asked::Other)
    }

    async fn end(&self, _: Scope) -> Result<Ended, StoreError> {
        refuse(Asked::Other)
    }

    async fn restore(&self, _: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        refuse(Asked::Other)
    }
}

/// It is never asked: nothing runs its cache's tasks.
impl ChangeFeed for Refusing {
    async fn living(&self, _: Option<WebConfigId>, _: usize) -> Result<LivingPage, StoreError> {
        Err(StoreError::NotFound)
    }

    async fn read_log(&self, _: LogPosition, _: usize) -> Result<LogRead, StoreError> {
        Ok(LogRead::Gone)
    }

    async fn prove(&self, _: LogPosition, _: usize) -> Result<LogRead, StoreError> {
        Ok(LogRead::Gone)
    }

    async fn changed(&self, _: Revision) {
        std::future::pending::<()>().await;
    }
}
