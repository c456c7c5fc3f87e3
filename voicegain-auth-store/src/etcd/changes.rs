//! What each change looks at and does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use etcd_client::{Compare, CompareOp, GetResponse, TxnOp};
use tokio::sync::Mutex;
use voicegain_auth_core::store::{Change, LogEntry, LogPosition, Regenerated, Revision, Scope, StoreError};
use voicegain_auth_core::{
    Generation, NewWebConfig, RestoredWebConfig, Secret, WebConfig, WebConfigId, WebConfigPatch,
};

use super::commit::{Decision, Prepared, Request};
use super::error::{Cause, Outcome};
use super::keys::Keys;
use super::listing;
use super::markers::Markers;
use super::meta::{self, Meta};
use super::reads::{self, Found, Road};
use super::record::Record;
use super::store::Shared;
use super::values::{self, EndedValue, IndexValue};
use super::view::{Get, KEYS_AT_ONCE, Reader, View};
use crate::sealing::{Binding, SealedSecret};

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the record was when it was read; resealing moves that and nothing else.
fn unchanged(keys: &Keys, id: WebConfigId, mod_revision: i64) -> Compare {
    Compare::mod_revision(keys.config(id), CompareOp::Equal, mod_revision)
}

fn put(config: &WebConfig) -> Change {
    Change::Put {
        id: config.id,
        generation: config.generation,
        account_id: config.account_id.clone(),
        context_id: config.context_id.clone(),
    }
}

fn put_record(keys: &Keys, record: &Record) -> Result<TxnOp, StoreError> {
    Ok(TxnOp::put(keys.config(record.config.id), record.write()?, None))
}

fn index(keys: &Keys, config: &WebConfig) -> String {
    keys.index(&config.account_id, &config.context_id, config.id)
}

/// What the store is to keep of a secret, and what must be in the transaction besides, so that it knows its key.
fn seal(
    shared: &Shared,
    meta: &GetResponse,
    secret: &Secret,
    config: &WebConfig,
) -> Outcome<(SealedSecret, Option<(Compare, TxnOp)>)> {
    let sealed = shared.sealing.seal(secret, &Binding::of(config)).map_err(StoreError::from)?;
    let key = meta::admit_write(&shared.keys, meta, &shared.sealing, &sealed)?;
    Ok((sealed, key))
}

/// What a change of a web config begins with.
struct Before<'a> {
    view: View,
    markers: Markers<'a>,
    meta: GetResponse,
    /// The record, if it lives.
    record: Option<Record>,
}

impl<'a> Before<'a> {
    async fn read(reader: Reader<'a>, id: WebConfigId) -> Outcome<Self> {
        let keys = reader.keys;
        let gets = [Get::one(keys.config(id)), Markers::get(keys), Meta::get(keys)];
        let (view, [config, markers, meta]) = reader.begin(gets).await?;
        let mut markers = Markers::read(keys, &markers)?;
        let record = Record::of(id, config.kvs().first())?;
        markers.complete(reader, &view, &record).await?;
        let record = record.filter(|record| markers.lives(record));
        Ok(Self { view, markers, meta, record })
    }
}

/// Has a web config begin, new or restored, as `born` makes it of the generation that its id ended at.
async fn begin_life(
    shared: &Shared,
    reader: Reader<'_>,
    id: WebConfigId,
    secret: &Secret,
    born: impl FnOnce(Option<Generation>, Revision) -> Result<WebConfig, StoreError> + Send,
) -> Outcome<Decision<WebConfig>> {
    let keys = reader.keys;
    let gets = [Get::one(keys.config(id)), Get::one(keys.ended(id)), Markers::get(keys), Meta::get(keys)];
    let (view, [config, ended, markers, meta]) = reader.begin(gets).await?;
    let mut markers = Markers::read(keys, &markers)?;
    let before = Record::of(id, config.kvs().first())?;
    markers.complete(reader, &view, &before).await?;
    if before.as_ref().is_some_and(|record| markers.lives(record)) {
        return Ok(Decision::Refuse(view, StoreError::AlreadyExists));
    }
    let deleted = ended.kvs().first().map(|kv| values::decode::<EndedValue>(kv.value())).transpose()?;
    let deleted = deleted.map(|ended| Generation::new(ended.generation));
    let last = before.as_ref().map(|record| record.config.generation).max(deleted);
    let position = view.next()?;
    let config = match born(last, position.revision) {
        Ok(config) => config,
        Err(refusal) => return Ok(Decision::Refuse(view, refusal)),
    };
    let (secret, key) = seal(shared, &meta, secret, &config)?;
    let record = Record { config, entry: position.entry, born: position.revision, secret, mod_revision: 0 };
    let born = values::encode(&IndexValue { born: position.revision.get() })?;
    let place = index(keys, &record.config);
    let mut ops = vec![
        put_record(keys, &record)?,
        TxnOp::put(place.clone(), born, None),
        TxnOp::delete(keys.used(id), None),
    ];
    if deleted.is_some() {
        ops.push(TxnOp::delete(keys.ended(id), None));
    }
    let old_place = before.as_ref().map(|record| index(keys, &record.config));
    if let Some(old_place) = old_place.filter(|old_place| *old_place != place) {
        ops.push(TxnOp::delete(old_place, None));
    }
    let read_at = before.as_ref().map_or(0, |record| record.mod_revision);
    let mut compares = vec![unchanged(keys, id, read_at)];
    if let Some((known, put)) = key {
        compares.push(known);
        ops.push(put);
    }
    let change = put(&record.config);
    Ok(Decision::Make(Prepared { view, position, change, compares, ops, answer: record.config }))
}

pub(super) struct Create(pub(super) NewWebConfig);

impl Request for Create {
    type Answer = WebConfig;

    async fn prepare(&self, shared: &Shared, reader: Reader<'_>) -> Outcome<Decision<WebConfig>> {
        let Self(new) = self;
        let born = |ended, revision| new.born(ended, revision, unix_seconds());
        begin_life(shared, reader, new.id, &new.secret, born).await
    }
}

pub(super) struct Restore(pub(super) RestoredWebConfig);

impl Request for Restore {
    type Answer = WebConfig;

    async fn prepare(&self, shared: &Shared, reader: Reader<'_>) -> Outcome<Decision<WebConfig>> {
        let Self(restored) = self;
        let born = |ended, revision| restored.born(ended, revision);
        begin_life(shared, reader, restored.id, &restored.secret, born).await
    }
}

/// A record as a change of its web config leaves it.
fn changed(record: &Record, position: LogPosition) -> Record {
    let mut record = record.clone();
    record.config.revision = position.revision;
    record.entry = position.entry;
    record
}

pub(super) struct Regenerate {
    id: WebConfigId,
    secret: Secret,
    /// What else there is in the context. It is listed once, however often the change has to be prepared, since with many of
    /// them that takes long and others change meanwhile: what they did is made up for from the log.
    others: Mutex<Option<Others>>,
}

struct Others {
    scope: Scope,
    configs: BTreeMap<WebConfigId, WebConfig>,
    /// Up to where in the log that is so.
    at: LogPosition,
}

impl Regenerate {
    pub(super) fn new(id: WebConfigId, secret: Secret) -> Self {
        Self { id, secret, others: Mutex::new(None) }
    }

    async fn others(
        &self,
        reader: Reader<'_>,
        view: &View,
        markers: &mut Markers<'_>,
        config: &WebConfig,
    ) -> Outcome<Vec<WebConfig>> {
        let (account_id, context_id) = (config.account_id.clone(), config.context_id.clone());
        let scope = Scope::Context(account_id, context_id);
        let mut listed = self.others.lock().await;
        let mut others = match listed.take().filter(|others| others.scope == scope) {
            Some(others) => others,
            None => {
                let ids = listing::ids(reader, view, &reader.keys.scope(&scope), None).await?;
                let records = listing::records(reader, view, markers, &ids).await?;
                let configs = records.into_iter().map(|record| (record.config.id, record.config)).collect();
                Others { scope, configs, at: view.head }
            }
        };
        if others.go_on(reader, view, markers).await? {
            others.configs.remove(&self.id);
            let configs = others.configs.values().cloned().collect();
            *listed = Some(others);
            return Ok(configs);
        }
        // The log does not lead there any more: from the beginning, at another moment.
        Err(Cause::Moved.into())
    }
}

impl Others {
    /// Takes in what has changed since, up to this moment; false if the log does not say.
    async fn go_on(&mut self, reader: Reader<'_>, view: &View, markers: &mut Markers<'_>) -> Outcome<bool> {
        let mut changed = BTreeSet::new();
        while self.at.revision < view.head.revision {
            let (_, found) = reads::read_log(reader, Road::Quick, self.at, KEYS_AT_ONCE).await?;
            let Found::Entries { entries, .. } = found else { return Ok(false) };
            if entries.is_empty() {
                return Ok(false);
            }
            for LogEntry { position, change } in entries {
                if position.revision > view.head.revision {
                    break;
                }
                self.at = position;
                match change {
                    Change::Put { id, account_id, context_id, .. } => {
                        self.configs.remove(&id);
                        changed.remove(&id);
                        if self.scope.covers(&account_id, &context_id) {
                            changed.insert(id);
                        }
                    }
                    Change::Deleted { id, .. } => {
                        self.configs.remove(&id);
                        changed.remove(&id);
                    }
                    Change::Ended(ended) => {
                        self.configs
                            .retain(|_, config| !ended.covers(&config.account_id, &config.context_id));
                    }
                    // There are no others in a log of this store.
                    _ => {}
                }
            }
        }
        // Those of which an end came later are left out here.
        let changed: Vec<_> = changed.into_iter().collect();
        let records = listing::records(reader, view, markers, &changed).await?;
        self.configs.extend(records.into_iter().map(|record| (record.config.id, record.config)));
        Ok(self.at == view.head)
    }
}

impl Request for Regenerate {
    type Answer = Regenerated;

    async fn prepare(&self, shared: &Shared, reader: Reader<'_>) -> Outcome<Decision<Regenerated>> {
        let (keys, Self { id, secret, .. }) = (reader.keys, self);
        let Before { view, mut markers, meta, record } = Before::read(reader, *id).await?;
        let Some(before) = record else { return Ok(Decision::Refuse(view, StoreError::NotFound)) };
        let position = view.next()?;
        let mut record = changed(&before, position);
        record.config.generation = before.config.generation.next();
        record.config.secret_created_at = unix_seconds();
        let (secret, key) = seal(shared, &meta, secret, &record.config)?;
        record.secret = secret;
        let others = self.others(reader, &view, &mut markers, &before.config).await?;
        let mut compares = vec![unchanged(keys, *id, before.mod_revision)];
        let (mut ops, change) = (vec![put_record(keys, &record)?], put(&record.config));
        if let Some((known, put)) = key {
            compares.push(known);
            ops.push(put);
        }
        let answer = Regenerated { config: record.config, others };
        Ok(Decision::Make(Prepared { view, position, change, compares, ops, answer }))
    }
}

pub(super) struct Update(pub(super) WebConfigId, pub(super) WebConfigPatch);

impl Request for Update {
    type Answer = WebConfig;

    async fn prepare(&self, _: &Shared, reader: Reader<'_>) -> Outcome<Decision<WebConfig>> {
        let (keys, Self(id, patch)) = (reader.keys, self);
        let Before { view, record, .. } = Before::read(reader, *id).await?;
        let Some(before) = record else { return Ok(Decision::Refuse(view, StoreError::NotFound)) };
        let position = view.next()?;
        let mut record = changed(&before, position);
        if let Some(name) = &patch.name {
            record.config.name.clone_from(name);
        }
        if let Some(allowed_origins) = &patch.allowed_origins {
            record.config.allowed_origins.clone_from(allowed_origins);
        }
        let compares = vec![unchanged(keys, *id, before.mod_revision)];
        let (ops, change) = (vec![put_record(keys, &record)?], put(&record.config));
        Ok(Decision::Make(Prepared { view, position, change, compares, ops, answer: record.config }))
    }
}

pub(super) struct Delete(pub(super) WebConfigId);

impl Request for Delete {
    type Answer = Revision;

    async fn prepare(&self, _: &Shared, reader: Reader<'_>) -> Outcome<Decision<Revision>> {
        let (keys, Self(id)) = (reader.keys, self);
        let Before { view, record, .. } = Before::read(reader, *id).await?;
        let Some(before) = record else { return Ok(Decision::Refuse(view, StoreError::NotFound)) };
        let position = view.next()?;
        let generation = before.config.generation;
        let ended = values::encode(&EndedValue { generation: generation.get() })?;
        let ops = vec![
            TxnOp::delete(keys.config(*id), None),
            TxnOp::delete(index(keys, &before.config), None),
            TxnOp::delete(keys.used(*id), None),
            TxnOp::put(keys.ended(*id), ended, None),
        ];
        let compares = vec![unchanged(keys, *id, before.mod_revision)];
        let change = Change::Deleted { id: *id, generation };
        Ok(Decision::Make(Prepared { view, position, change, compares, ops, answer: position.revision }))
    }
}
