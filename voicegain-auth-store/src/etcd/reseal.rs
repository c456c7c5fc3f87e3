//! Sealing anew what is under an older master key.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::StoreError;

use super::connection::{Answer, GivenUp};
use super::error::{Cause, Outcome};
use super::listing;
use super::markers::Markers;
use super::meta::{self, Meta};
use super::record::Record;
use super::store::Shared;
use super::view::{Get, Reader};
use crate::sealing::{Binding, Resealed};

/// How long one record may take.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn reseal(
    shared: Arc<Shared>,
    after: Option<WebConfigId>,
    limit: usize,
) -> Result<Resealed, StoreError> {
    let reader = shared.page_reader();
    let page = reader.again(|| listing::page(reader, after, limit, |_| true)).await?;
    let mut done = Resealed { last: None, resealed: 0, more: page.more };
    for record in page.records {
        done.last = Some(record.config.id);
        done.resealed += u64::from(reseal_one(&shared, record).await?);
    }
    Ok(done)
}

/// Whether it was sealed anew. Head and log stay as they are: nothing that anybody may rely on has changed.
async fn reseal_one(shared: &Shared, mut record: Record) -> Result<bool, StoreError> {
    let reader = Reader::new(&shared.connection, &shared.keys, LIMIT);
    let id = record.config.id;
    loop {
        let Some(sealed) = shared.sealing.reseal(&record.secret, &Binding::of(&record.config))? else {
            return Ok(false);
        };
        record.secret = sealed;
        if write(shared, reader, &record).await? {
            return Ok(true);
        }
        // It was changed meanwhile, perhaps by a process that still seals under another key.
        match reader.again(|| read(reader, id)).await? {
            Some(now) => record = now,
            None => return Ok(false),
        }
        if tokio::time::Instant::now() >= reader.until {
            return Err(StoreError::unavailable(Cause::Contended));
        }
    }
}

async fn write(shared: &Shared, reader: Reader<'_>, record: &Record) -> Result<bool, StoreError> {
    let keys = reader.keys;
    let (_, [answer]) = reader.begin([Meta::get(keys)]).await?;
    let key = keys.config(record.config.id);
    let mut compares = vec![Compare::mod_revision(key.clone(), CompareOp::Equal, record.mod_revision)];
    let mut ops = vec![TxnOp::put(key, record.write()?, None)];
    if let Some((absent, put)) = meta::admit_write(keys, &answer, &shared.sealing, &record.secret)? {
        compares.push(absent);
        ops.push(put);
    }
    match shared.connection.txn(Txn::new().when(compares).and_then(ops), reader.until).await {
        // If it was an earlier copy that succeeded, reading again shows it.
        Ok(Answer { response, .. }) => Ok(response.succeeded()),
        Err(GivenUp { cause, may_happen: true }) => Err(StoreError::outcome_unknown(cause)),
        Err(GivenUp { cause, .. }) => Err(StoreError::unavailable(cause)),
    }
}

/// The record, if it lives.
async fn read(reader: Reader<'_>, id: WebConfigId) -> Outcome<Option<Record>> {
    let keys = reader.keys;
    let (view, [config, markers]) = reader.begin([Get::one(keys.config(id)), Markers::get(keys)]).await?;
    let mut markers = Markers::read(keys, &markers)?;
    let record = Record::of(id, config.kvs().first())?;
    markers.complete(reader, &view, &record).await?;
    Ok(record.filter(|record| markers.lives(record)))
}
