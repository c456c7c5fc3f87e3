//! Sealing anew what is under an older master key, and forgetting that key.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use tokio::time::{Instant, sleep};
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::StoreError;

use super::connection::{Answer, jittered};
use super::error::{Cause, Outcome};
use super::keys;
use super::markers::Markers;
use super::meta::{self, Meta};
use super::record::Record;
use super::store::Shared;
use super::view::{self, Get, KEYS_AT_ONCE, OPS_AT_ONCE, Reader, answers};
use crate::sealing::{Anew, Binding, Resealed, Retired, Sealing, skip};

/// How long one record may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to forget keys, for which all records are read.
const RETIRE_LIMIT: Duration = Duration::from_secs(60);
/// How often that is tried while others seal under the keys in question.
const RETIRE_ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn reseal(
    shared: Arc<Shared>,
    after: Option<WebConfigId>,
    limit: usize,
) -> Result<Resealed, StoreError> {
    let sealing = shared.sealing.snapshot();
    // Before anything else: a plain store has no such key.
    sealing.first_id()?;
    let reader = shared.page_reader();
    let Page { living, unreadable, last, more } = reader.again(|| page(reader, after, limit)).await?;
    let mut done = Resealed { last, resealed: 0, skipped: 0, more };
    for (id, error) in unreadable {
        skip(id, &error);
        done.skipped += 1;
    }
    for record in living {
        match reseal_one(&shared, &sealing, record).await? {
            Became::Sealed => done.resealed += 1,
            Became::Skipped => done.skipped += 1,
            Became::UpToDate => {}
        }
    }
    Ok(done)
}

/// Some records that follow one another.
struct Page {
    /// What a bulk end has ended is left out: it is never opened again.
    living: Vec<Record>,
    /// Nobody knows whether these live.
    unreadable: Vec<(WebConfigId, StoreError)>,
    /// The last one of all.
    last: Option<WebConfigId>,
    more: bool,
}

async fn page(reader: Reader<'_>, after: Option<WebConfigId>, limit: usize) -> Outcome<Page> {
    let configs = reader.keys.configs();
    let end = keys::end_of(&configs);
    let first = after.map_or(configs, |id| keys::after(&reader.keys.config(id)));
    let get = Get::range(first, end, limit.clamp(1, KEYS_AT_ONCE));
    let (view, [answer, markers]) = reader.begin([get, Markers::get(reader.keys)]).await?;
    let mut markers = Markers::read(reader.keys, &markers)?;
    let mut page = Page { living: Vec::new(), unreadable: Vec::new(), last: None, more: answer.more() };
    for kv in answer.kvs() {
        let id = keys::id_of(kv.key()).ok_or_else(|| StoreError::damaged("a record's key has no id"))?;
        page.last = Some(id);
        match Record::read(kv) {
            Ok(record) => page.living.push(record),
            Err(error) => page.unreadable.push((id, error)),
        }
    }
    markers.complete(reader, &view, &page.living).await?;
    page.living.retain(|record| markers.lives(record));
    Ok(page)
}

/// What became of one record.
enum Became {
    UpToDate,
    Sealed,
    Skipped,
}

/// Head and log stay as they are: nothing that anybody may rely on has changed.
async fn reseal_one(shared: &Shared, sealing: &Sealing, mut record: Record) -> Result<Became, StoreError> {
    let reader = Reader::new(&shared.connection, &shared.keys, LIMIT);
    let id = record.config.id;
    loop {
        match sealing.reseal(&record.secret, &Binding::of(&record.config))? {
            Anew::UpToDate => return Ok(Became::UpToDate),
            Anew::Skipped => return Ok(Became::Skipped),
            Anew::Sealed(sealed) => record.secret = sealed,
        }
        if write(shared, sealing, reader, &record).await? {
            return Ok(Became::Sealed);
        }
        // It was changed meanwhile, perhaps by a process that still seals under another key.
        match reader.again(|| read(reader, id)).await? {
            Some(now) => record = now,
            None => return Ok(Became::UpToDate),
        }
        if Instant::now() >= reader.until {
            return Err(StoreError::unavailable(Cause::Contended));
        }
    }
}

async fn write(
    shared: &Shared,
    sealing: &Sealing,
    reader: Reader<'_>,
    record: &Record,
) -> Result<bool, StoreError> {
    let keys = reader.keys;
    let (_, [answer]) = reader.begin([Meta::get(keys)]).await?;
    let key = keys.config(record.config.id);
    let mut compares = vec![Compare::mod_revision(key.clone(), CompareOp::Equal, record.mod_revision)];
    let mut ops = vec![TxnOp::put(key, record.write()?, None)];
    if let Some((known, put)) = meta::admit_write(keys, &answer, sealing, &record.secret)? {
        compares.push(known);
        ops.push(put);
    }
    match shared.connection.txn(Txn::new().when(compares).and_then(ops), reader.until).await {
        // If it was an earlier copy that succeeded, reading again shows it.
        Ok(Answer { response, .. }) => Ok(response.succeeded()),
        Err(given_up) => Err(given_up.into()),
    }
}

/// The record, living or not.
async fn read(reader: Reader<'_>, id: WebConfigId) -> Outcome<Option<Record>> {
    let (_, [config]) = reader.begin([Get::one(reader.keys.config(id))]).await?;
    Ok(Record::of(id, config.kvs().first())?)
}

/// Forgets the keys that are not the first one and that nothing living is sealed under. It counts only if nothing has been
/// sealed under them since the records were read; other changes may come in between.
pub(super) async fn retire_keys(shared: Arc<Shared>) -> Result<Retired, StoreError> {
    let sealing = shared.sealing.snapshot();
    let first = sealing.first_id()?;
    let reader = Reader::new(&shared.connection, &shared.keys, RETIRE_LIMIT);
    let keys = reader.keys;
    // Those that an attempt may have forgotten, whose answer was lost.
    let mut perhaps = BTreeSet::new();
    for _ in 0..RETIRE_ATTEMPTS {
        let InUse { meta, key_ids, unrestored } = reader.again(|| in_use(reader, &first)).await?;
        perhaps.retain(|key_id| !meta.checks.iter().any(|(known, _)| known == key_id));
        let mut compares = vec![unrestored];
        let mut ops = Vec::new();
        if let Some((known, put)) = meta.admit_write(keys, &sealing, Some(&first))? {
            compares.push(known);
            ops.push(put);
        }
        let unused = meta.checks.iter().filter(|(key_id, _)| !key_ids.contains(key_id));
        let mut retired = BTreeSet::new();
        // More than that are left to the next call.
        for (key_id, check) in unused.take(OPS_AT_ONCE) {
            compares.push(Compare::mod_revision(keys.key_check(key_id), CompareOp::Equal, check.used));
            ops.push(TxnOp::delete(keys.key_check(key_id), None));
            retired.insert(key_id.clone());
        }
        // What is left then.
        ops.push(Meta::get(keys).now());
        match shared.connection.txn(Txn::new().when(compares).and_then(ops), reader.until).await {
            Ok(Answer { response, .. }) if response.succeeded() => {
                perhaps.append(&mut retired);
                let after = answers(&response).pop_front();
                let after = after
                    .ok_or_else(|| StoreError::outcome_unknown("etcd did not say which keys are left"))?;
                let known = Meta::existing(keys, &after)?.key_ids();
                return Ok(Retired { retired: perhaps.into_iter().collect(), known });
            }
            Ok(Answer { not_the_first: true, .. }) => perhaps.append(&mut retired),
            Ok(_) => {}
            Err(given_up) => return Err(given_up.into()),
        }
        sleep(jittered(PAUSE)).await;
    }
    Err(StoreError::unavailable(Cause::Contended))
}

/// The keys that were in use at one moment.
struct InUse {
    meta: Meta,
    /// The first one, and those that living records are sealed under.
    key_ids: HashSet<String>,
    /// Holds as long as that moment is in the store's past: in a cluster that was restored meanwhile other records count.
    unrestored: Compare,
}

async fn in_use(reader: Reader<'_>, first: &str) -> Outcome<InUse> {
    let keys = reader.keys;
    let end = keys::end_of(&keys.configs());
    let records = Get::range(keys.configs(), end.clone(), KEYS_AT_ONCE);
    let (view, [meta, mut page, markers]) =
        reader.begin([Meta::get(keys), records, Markers::get(keys)]).await?;
    let meta = Meta::existing(keys, &meta)?;
    let mut markers = Markers::read(keys, &markers)?;
    let mut key_ids = HashSet::from([first.to_owned()]);
    loop {
        let mut records = Vec::new();
        for kv in page.kvs() {
            let record = Record::read(kv)?;
            // Whether others live does not matter.
            if record.secret.key_id.as_ref().is_some_and(|key_id| !key_ids.contains(key_id)) {
                records.push(record);
            }
        }
        markers.complete(reader, &view, &records).await?;
        key_ids.extend(
            records
                .into_iter()
                .filter(|record| markers.lives(record))
                .filter_map(|record| record.secret.key_id),
        );
        if !page.more() {
            break;
        }
        let next = Get::range(view::next_key(&page)?, end.clone(), KEYS_AT_ONCE);
        page = reader.more(&view, vec![next]).await?.into_iter().next().ok_or(Cause::Moved)?;
    }
    let newest = keys.log_entry(view.head.revision);
    let answers = reader.more(&view, vec![Get::one(newest.clone())]).await?;
    let entry = answers.first().and_then(|answer| answer.kvs().first());
    let entry = entry.ok_or_else(|| StoreError::damaged("the newest entry of the log is missing"))?;
    let unrestored = Compare::value(newest, CompareOp::Equal, entry.value());
    Ok(InUse { meta, key_ids, unrestored })
}
