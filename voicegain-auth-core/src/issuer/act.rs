//! The one road that every change takes, so that none can be made without being told of.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{IssueError, Issuer};
use crate::audit::{Act, Actor, AuditEntry, AuditId, AuditLog, Deed, Effect, Stage};
use crate::ids::{AccountId, ContextId, WebConfigId};
use crate::store::{BoxError, Snapshot, StoreError};

/// How long a write may take, the wait for those before it included. A disk that hangs must not keep every change waiting, nor
/// a token that has been made already.
const PATIENCE: Duration = if cfg!(test) { Duration::from_secs(3) } else { Duration::from_secs(10) };

/// Where changes are written down, one after the other: a log that hangs holds up one thread, and not many.
#[derive(Clone)]
pub(super) struct Audit {
    log: Arc<dyn AuditLog>,
    line: Arc<Semaphore>,
}

impl Issuer {
    /// Has every change from now on written down. Without a log, changes are told of in the program's own log alone.
    #[must_use]
    pub fn audited(self, log: impl AuditLog) -> Self {
        Self { log: Some(Audit { log: Arc::new(log), line: Arc::new(Semaphore::new(1)) }), ..self }
    }

    /// The same for somebody, who then counts as the one who makes the changes. If nobody has said who it is, the audit log
    /// says `unknown`.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor: Arc::new(actor), ..self.clone() }
    }

    /// Makes a change that is told of: to the audit log, if there is one, before and after, and in the program's own log once
    /// it is done. Everything that changes web configs goes through here; it is public for what changes a store by other
    /// means, such as sealing its secrets anew.
    ///
    /// With an audit log the work is done by a task of its own on the cache's runtime, so that it comes to its end, and to the log,
    /// even if whoever waits for it goes away; only the end of that runtime cuts it short.
    ///
    /// # Errors
    /// If the beginning cannot be written down, nothing is done. Otherwise what the work says.
    pub async fn act<T, W>(&self, deed: Deed, work: W) -> Result<T, IssueError>
    where
        T: Send + 'static,
        W: Future<Output = Result<(T, Effect), StoreError>> + Send + 'static,
    {
        let Some(log) = self.log.clone() else {
            let result = work.await;
            return self.settled(&deed, result).await;
        };
        let issuer = self.clone();
        let told = async move { issuer.told(&log, deed, work).await };
        let task = self.cache.runtime().spawn(told.in_current_span());
        task.await.unwrap_or_else(|error| Err(StoreError::outcome_unknown(error).into()))
    }

    async fn told<T, W>(&self, log: &Audit, deed: Deed, work: W) -> Result<T, IssueError>
    where
        W: Future<Output = Result<(T, Effect), StoreError>>,
    {
        let id = AuditId::generate().map_err(IssueError::Randomness)?;
        let mut entry = AuditEntry::begun(id, self.cache.now().wall, (*self.actor).clone(), deed);
        self.write(log, &entry).await.map_err(|error| {
            let (act, who) = (entry.deed.act.as_str(), &entry.actor);
            tracing::error!(act, %who, %error, "the audit log cannot be written, so nothing was changed");
            IssueError::Audit(error)
        })?;
        let result = work.await;
        entry.stage = match &result {
            Ok((_, effect)) => Stage::Done(*effect),
            Err(error @ StoreError::OutcomeUnknown(_)) => Stage::Unknown(error.to_string()),
            Err(error) => Stage::Refused(error.to_string()),
        };
        entry.at = self.cache.now().wall;
        let (written, result) = tokio::join!(self.write(log, &entry), self.settled(&entry.deed, result));
        if let Err(error) = written {
            let AuditEntry { id, stage, .. } = &entry;
            tracing::error!(%id, ?stage, %error, "the audit log has the beginning of a change but not its outcome");
        }
        result
    }

    /// Files block.
    async fn write(&self, audit: &Audit, entry: &AuditEntry) -> Result<(), BoxError> {
        let (audit, entry) = (audit.clone(), entry.clone());
        let written = async {
            let turn = audit.line.acquire_owned().await?;
            let write = move || {
                let _turn = turn;
                audit.log.write(&entry)
            };
            self.cache.runtime().spawn_blocking(write).await?
        };
        timeout(PATIENCE, written).await.unwrap_or_else(|_| Err("it takes too long to be written".into()))
    }

    /// Returns once this process knows of the change.
    async fn settled<T>(
        &self,
        deed: &Deed,
        result: Result<(T, Effect), StoreError>,
    ) -> Result<T, IssueError> {
        let (value, effect) = result?;
        if let Some(revision) = effect.revision {
            self.cache.settle(revision).await;
        }
        let Deed { act, web_config, account_id, context_id, .. } = deed;
        tracing::info!(
            act = act.as_str(),
            web_config = web_config.map(tracing::field::display),
            account = account_id.as_ref().map(AccountId::as_str),
            context = context_id.as_ref().map(ContextId::as_str),
            generation = effect.generation.map(tracing::field::display),
            web_configs = effect.web_configs,
            who = %self.actor,
            "{}",
            act.said()
        );
        Ok(value)
    }

    /// Something that is done to a web config, and whose that is, if it can be told: afterwards it may be gone.
    pub(super) async fn deed_on(&self, act: Act, id: WebConfigId) -> Deed {
        let deed = Deed::on(act, id);
        if self.log.is_none() {
            return deed;
        }
        match self.cache.store().load(id).await {
            Ok(Snapshot { value: Some(stored), .. }) => {
                deed.within(&stored.config.account_id, &stored.config.context_id)
            }
            _ => deed,
        }
    }
}

#[cfg(test)]
mod tests;
