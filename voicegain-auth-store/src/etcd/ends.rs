//! Bulk ends: one marker, whatever they end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{GetResponse, TxnOp};
use tokio::sync::Mutex;
use voicegain_auth_core::store::{Change, Ended, LogEntry, LogPosition, Revision, Scope, StoreError};
use voicegain_auth_core::{AccountId, ContextId, WebConfigId};

use super::commit::{self, Decision, Prepared, Request};
use super::error::Outcome;
use super::keys;
use super::markers::Markers;
use super::reads::{self, Found, Road};
use super::store::Shared;
use super::values::{self, IndexValue, MarkerValue};
use super::view::{KEYS_AT_ONCE, Reader, View};

/// How long counting may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Ends a scope, and counts what lived there until then.
pub(super) async fn end(shared: Arc<Shared>, scope: Scope) -> Result<Ended, StoreError> {
    // Before other changes have to wait: what they do meanwhile is made up for from the log.
    let reader = Reader::new(&shared.connection, &shared.keys, LIMIT);
    let count = reader.again(|| Count::begin(reader, &scope)).await?;
    commit::make(Arc::clone(&shared), End { scope, count: Mutex::new(count) }).await
}

struct End {
    scope: Scope,
    count: Mutex<Count>,
}

impl Request for End {
    type Answer = Ended;

    async fn prepare(&self, _: &Shared, reader: Reader<'_>) -> Outcome<Decision<Ended>> {
        let (keys, scope) = (reader.keys, &self.scope);
        let mut count = self.count.lock().await;
        let view = count.go_on(reader, scope).await?;
        let web_configs = u64::try_from(count.living.len()).unwrap_or(u64::MAX);
        let position = view.next()?;
        let marker = values::encode(&MarkerValue { revision: position.revision.get() })?;
        let ops = vec![TxnOp::put(keys.marker(scope), marker, None)];
        let change = Change::Ended(scope.clone());
        let answer = Ended { revision: position.revision, web_configs };
        Ok(Decision::Make(Prepared { view, position, change, compares: Vec::new(), ops, answer }))
    }
}

/// What lives in a scope at one position of the log.
struct Count {
    at: LogPosition,
    living: HashMap<WebConfigId, (AccountId, ContextId)>,
}

impl Count {
    async fn begin(reader: Reader<'_>, scope: &Scope) -> Outcome<Self> {
        let (view, [markers]) = reader.begin([Markers::get(reader.keys)]).await?;
        let mut markers = Markers::read(reader.keys, &markers)?;
        Self::read(reader, &view, &mut markers, scope).await
    }

    /// By the index alone.
    async fn read(
        reader: Reader<'_>,
        view: &View,
        markers: &mut Markers<'_>,
        scope: &Scope,
    ) -> Outcome<Self> {
        let mut found = Vec::new();
        let prefix = reader.keys.scope(scope);
        let take = |page: &GetResponse| {
            for kv in page.kvs() {
                let (account, context, id) = keys::read_index(reader.keys, kv.key())
                    .ok_or_else(|| StoreError::damaged("an index key cannot be read"))?;
                let born = values::decode::<IndexValue>(kv.value())?.born;
                found.push((account, context, id, Revision::new(born)));
            }
            Ok(true)
        };
        reader.scan(view, prefix.clone(), &keys::end_of(&prefix), false, take).await?;
        let contexts = found.iter().map(|(account, context, ..)| (account, context)).collect();
        markers.complete_for(reader, view, contexts).await?;
        let mut living = HashMap::new();
        for (account, context, id, born) in found {
            if !markers.ended(&account, &context, born) {
                living.insert(id, (account, context));
            }
        }
        Ok(Self { at: view.head, living })
    }

    /// Takes in what has changed since, and answers the moment that it is now good for.
    async fn go_on(&mut self, reader: Reader<'_>, scope: &Scope) -> Outcome<View> {
        loop {
            match reads::read_log(reader, Road::Quick, self.at, KEYS_AT_ONCE).await? {
                (view, Found::Entries { entries, more }) => {
                    for entry in entries {
                        self.apply(scope, entry);
                    }
                    if !more {
                        return Ok(view);
                    }
                }
                (_, Found::Gone) => *self = Self::begin(reader, scope).await?,
            }
        }
    }

    fn apply(&mut self, scope: &Scope, entry: LogEntry) {
        self.at = entry.position;
        match entry.change {
            Change::Put { id, account_id, context_id, .. } => {
                if scope.covers(&account_id, &context_id) {
                    self.living.insert(id, (account_id, context_id));
                } else {
                    self.living.remove(&id);
                }
            }
            Change::Deleted { id, .. } => {
                self.living.remove(&id);
            }
            Change::Ended(ended) => {
                self.living.retain(|_, (account, context)| !ended.covers(account, context));
            }
            // There are no others in a log of this store.
            _ => {}
        }
    }
}
