//! On which day each web config was last used: one key for each, apart from the records and the log, since it is no change.
//!
//! Writing them moves etcd's own revision and nothing that anybody here compares: the head's value, the entries of the log and
//! the records stay as they are, and the watch is on the head alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use tokio::time::Instant;
use voicegain_auth_core::store::StoreError;
use voicegain_auth_core::{Day, WebConfigId};

use super::connection::Answer;
use super::error::{Cause, Outcome};
use super::markers::Markers;
use super::record::Record;
use super::store::Shared;
use super::values::{self, UseValue};
use super::view::{Get, OPS_AT_ONCE, Reader};

/// How many are read or written at once: there are two keys for each.
const AT_ONCE: usize = OPS_AT_ONCE / 2;
/// How long those may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Where nothing is new, nothing is written.
pub(super) async fn note(shared: Arc<Shared>, uses: BTreeMap<WebConfigId, Day>) -> Result<(), StoreError> {
    let uses: Vec<_> = uses.into_iter().collect();
    for some in uses.chunks(AT_ONCE) {
        let reader = Reader::new(&shared.connection, &shared.keys, LIMIT);
        while !note_some(&shared, reader, some).await? {
            if Instant::now() >= reader.until {
                return Err(StoreError::unavailable(Cause::Contended));
            }
        }
    }
    Ok(())
}

/// Whether they are noted; otherwise others were at it too, and it is to be tried again.
async fn note_some(
    shared: &Shared,
    reader: Reader<'_>,
    uses: &[(WebConfigId, Day)],
) -> Result<bool, StoreError> {
    let keys = reader.keys;
    let ids: Vec<_> = uses.iter().map(|(id, _)| *id).collect();
    let known = reader.again(|| read(reader, &ids)).await?;
    let (mut compares, mut ops) = (Vec::new(), Vec::new());
    for (id, day) in uses {
        let Some(known) = known.get(id).filter(|known| known.day < Some(*day)) else { continue };
        let (config, used) = (keys.config(*id), keys.used(*id));
        // It has not been deleted, nor has a later day been noted.
        compares.push(Compare::create_revision(config, CompareOp::Equal, known.created));
        compares.push(Compare::mod_revision(used.clone(), CompareOp::Equal, known.noted));
        ops.push(TxnOp::put(used, values::encode(&UseValue { day: day.get() })?, None));
    }
    if ops.is_empty() {
        return Ok(true);
    }
    match shared.connection.txn(Txn::new().when(compares).and_then(ops), reader.until).await {
        // If it was an earlier copy that succeeded, reading again shows it.
        Ok(Answer { response, .. }) => Ok(response.succeeded()),
        Err(given_up) => Err(given_up.into()),
    }
}

pub(super) async fn last(
    shared: Arc<Shared>,
    ids: Vec<WebConfigId>,
) -> Result<BTreeMap<WebConfigId, Day>, StoreError> {
    let reader = shared.page_reader();
    let mut last = BTreeMap::new();
    for some in ids.chunks(AT_ONCE) {
        let known = reader.again(|| read(reader, some)).await?;
        last.extend(known.into_iter().filter_map(|(id, known)| Some((id, known.day?))));
    }
    Ok(last)
}

/// What is known of a web config that lives.
struct Known {
    day: Option<Day>,
    /// etcd's revision by which its record came to be.
    created: i64,
    /// etcd's revision by which the day was noted; 0 if there is none.
    noted: i64,
}

async fn read(reader: Reader<'_>, ids: &[WebConfigId]) -> Outcome<BTreeMap<WebConfigId, Known>> {
    let keys = reader.keys;
    let (view, [markers]) = reader.begin([Markers::get(keys)]).await?;
    let mut markers = Markers::read(keys, &markers)?;
    let gets = ids.iter().flat_map(|id| [Get::one(keys.config(*id)), Get::one(keys.used(*id))]);
    let answers = reader.more(&view, gets.collect()).await?;
    let mut found = Vec::with_capacity(ids.len());
    for (id, answers) in ids.iter().zip(answers.chunks(2)) {
        let [config, used] = answers else { continue };
        let (config, used) = (config.kvs().first(), used.kvs().first());
        let Some(record) = Record::of(*id, config)? else { continue };
        let day = used.map(|kv| values::decode::<UseValue>(kv.value())?.day()).transpose()?;
        let created = config.map_or(0, |kv| kv.create_revision());
        found.push((record, Known { day, created, noted: used.map_or(0, |kv| kv.mod_revision()) }));
    }
    markers.complete(reader, &view, found.iter().map(|(record, _)| record)).await?;
    found.retain(|(record, _)| markers.lives(record));
    Ok(found.into_iter().map(|(record, known)| (record.config.id, known)).collect())
}
