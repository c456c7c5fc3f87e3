//! Changes: each is one transaction that counts only if nothing has changed since it was prepared.
//!
//! Such a transaction can be sent again without harm: its log entry has a random id, and whichever of the copies
//! comes first moves the head, so that the others do nothing. That is also how an answer that was lost is found
//! out: what stands in the log at the change's revision says whether it happened (rule M1).

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, DeleteOptions, Txn, TxnOp};
use tokio::time::{Instant, sleep, timeout_at};
use voicegain_auth_core::store::{BoxError, Change, LogPosition, Revision, StoreError};

use super::connection::{Answer, GivenUp, jittered};
use super::error::{Cause, Failed, Outcome};
use super::keys::Keys;
use super::store::Shared;
use super::values::{self, HeadValue, LogValue};
use super::view::{Get, Reader, View, answers};

/// How long a change may take until it is known that it can be made.
const LIMIT: Duration = Duration::from_secs(5);
/// How long after its first copy a transaction's outcome is looked for.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// A change that can be made if nothing else changes first.
pub(super) struct Prepared<T> {
    pub(super) view: View,
    pub(super) position: LogPosition,
    pub(super) change: Change,
    /// What must hold besides the unchanged head.
    pub(super) compares: Vec<Compare>,
    /// What is done besides moving the head and appending to the log. A handful, whatever the change.
    pub(super) ops: Vec<TxnOp>,
    pub(super) answer: T,
}

/// What became of a change's preparation.
pub(super) enum Decision<T> {
    Make(Prepared<T>),
    /// It cannot be made as things were in this view.
    Refuse(View, StoreError),
}

/// A change as it was asked for.
pub(super) trait Request: Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Looks at the store, and decides.
    fn prepare(
        &self,
        shared: &Shared,
        reader: Reader<'_>,
    ) -> impl Future<Output = Outcome<Decision<Self::Answer>>> + Send;
}

/// Makes a change, whatever others do meanwhile, if that can be done in time.
pub(super) async fn make<R: Request>(shared: Arc<Shared>, request: R) -> Result<R::Answer, StoreError> {
    let reader = Reader::new(&shared.connection, &shared.keys, LIMIT);
    // The changes of one process would only get into each other's way.
    let turn = timeout_at(reader.until, shared.turn.lock()).await;
    let _turn = turn.map_err(|_| StoreError::unavailable(Cause::TooLate))?;
    let mut pause = Duration::from_millis(2);
    loop {
        let decided = match request.prepare(&shared, reader).await {
            Ok(Decision::Make(prepared)) => commit(&shared, prepared).await?,
            Ok(Decision::Refuse(view, refusal)) => confirm(reader, &view).await?.then_some(Err(refusal)),
            Err(Failed::Again(_)) => None,
            Err(failed) => return Err(failed.into()),
        };
        if let Some(outcome) = decided {
            return outcome;
        }
        if Instant::now() >= reader.until {
            return Err(StoreError::unavailable(Cause::Contended));
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// The answer, or `None` if another change came first.
async fn commit<T>(
    shared: &Shared,
    prepared: Prepared<T>,
) -> Result<Option<Result<T, StoreError>>, StoreError> {
    let keys = &shared.keys;
    let Prepared { view, position, change, mut compares, mut ops, answer } = prepared;
    let head = values::encode(&HeadValue::of(position))?;
    let entry = values::encode(&LogValue::of(position.entry, &change)?)?;
    compares.push(view.unchanged(keys));
    ops.extend([
        TxnOp::put(keys.head(), head, None),
        TxnOp::put(keys.log_entry(position.revision), entry, None),
        compaction(keys, position.revision, shared.log_capacity),
    ]);
    let looking = [Get::one(keys.head()).now(), Get::one(keys.log_entry(position.revision)).now()];
    let txn = Txn::new().when(compares).and_then(ops).or_else(looking);
    let until = Instant::now() + COMMIT_LIMIT;
    let (response, not_the_first) = match shared.connection.txn(txn, until).await {
        Ok(Answer { response, not_the_first }) => (response, not_the_first),
        Err(GivenUp { cause, earlier: false, .. }) if matches!(cause, Cause::NoSpace { .. }) => {
            // It has happened or it has not; nothing of it is under way any more.
            let reader = Reader::new(&shared.connection, keys, COMMIT_LIMIT);
            return match is_logged(reader, position).await {
                Ok(true) => {
                    let error = StoreError::unavailable(cause).chain();
                    tracing::warn!(error, "a change was made with the last of etcd's space");
                    Ok(Some(Ok(answer)))
                }
                Ok(false) => Err(StoreError::unavailable(cause)),
                Err(_) => Err(StoreError::outcome_unknown(cause)),
            };
        }
        Err(GivenUp { cause, may_happen: true, .. }) => return Err(StoreError::outcome_unknown(cause)),
        Err(GivenUp { cause, .. }) => return Err(StoreError::unavailable(cause)),
    };
    if response.succeeded() {
        return Ok(Some(Ok(answer)));
    }
    if !not_the_first {
        return Ok(None);
    }
    // An earlier copy may have been the one that moved the head.
    let lost = |error: BoxError| StoreError::outcome_unknown(error);
    let mut found = answers(&response);
    let (head, entry) = (found.pop_front(), found.pop_front());
    let head = head.as_ref().and_then(|head| head.kvs().first());
    let head = head.ok_or_else(|| lost("the store's head is missing".into()))?;
    let head = values::decode::<HeadValue>(head.value()).map_err(|error| lost(error.into()))?.position();
    match entry.as_ref().and_then(|entry| entry.kvs().first()) {
        Some(kv) => {
            let (there, _) = values::log_entry(kv).map_err(|error| lost(error.into()))?;
            Ok((there == position).then_some(Ok(answer)))
        }
        None if head.revision < position.revision => Ok(None),
        None => Err(lost("the log has been compacted past the change".into())),
    }
}

/// Whether the log has this very entry. By a plain read: one through the members' log may be refused for want of space.
async fn is_logged(reader: Reader<'_>, position: LogPosition) -> Outcome<bool> {
    let (view, [entry]) = reader.begin([Get::one(reader.keys.log_entry(position.revision))]).await?;
    match entry.kvs().first() {
        Some(kv) => Ok(values::log_entry(kv)?.0 == position),
        None if view.head.revision < position.revision => Ok(false),
        None => Err(StoreError::damaged("the log has been compacted past the change").into()),
    }
}

/// Whether nothing has changed since. It goes through the members' log, so that a refusal too is up to date.
async fn confirm(reader: Reader<'_>, view: &View) -> Result<bool, StoreError> {
    let nothing = TxnOp::delete(reader.keys.nothing(), None);
    let txn = Txn::new().when([view.unchanged(reader.keys)]).and_then([nothing]);
    match reader.connection.txn(txn, reader.until).await {
        Ok(Answer { response, .. }) => Ok(response.succeeded()),
        Err(GivenUp { cause, .. }) => Err(StoreError::unavailable(cause)),
    }
}

/// Deletes the entries that are not kept; one, as a rule. The entry before the ones that are kept stays too: it
/// is where reading all of them begins.
fn compaction(keys: &Keys, newest: Revision, capacity: u32) -> TxnOp {
    let first = Revision::new(newest.get().saturating_sub(u64::from(capacity)));
    let options = DeleteOptions::new().with_range(keys.log_entry(first));
    TxnOp::delete(keys.log(), Some(options))
}
