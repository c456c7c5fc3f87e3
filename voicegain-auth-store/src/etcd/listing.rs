//! Pages of web configs that live.

use voicegain_auth_core::store::{ListQuery, Living, LivingPage, Snapshot, StoreError, StoredPage};
use voicegain_auth_core::{WebConfig, WebConfigId};

use super::error::{Failed, Outcome};
use super::keys::{self, Keys};
use super::markers::Markers;
use super::reads::opened;
use super::record::Record;
use super::view::{self, Get, KEYS_AT_ONCE, Reader, View};
use crate::left_out::Readable;
use crate::sealing::Sealing;

/// Some records that live, in the order of ids, of one moment.
pub(super) struct Page {
    pub(super) view: View,
    pub(super) records: Vec<Record>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// Where reading all records begins.
fn first_after(keys: &Keys, after: Option<WebConfigId>) -> String {
    after.map_or_else(|| keys.configs(), |id| keys::after(&keys.config(id)))
}

/// Reads on until there are enough that live and are wanted, or no more records.
pub(super) async fn page(
    reader: Reader<'_>,
    after: Option<WebConfigId>,
    limit: usize,
    wanted: impl Fn(&WebConfig) -> bool + Send,
) -> Outcome<Page> {
    let keys = reader.keys;
    let end = keys::end_of(&keys.configs());
    // One more than asked for tells whether there are more.
    let at_once = limit.saturating_add(1).min(KEYS_AT_ONCE);
    let first = Get::range(first_after(keys, after), end.clone(), at_once);
    let (view, [mut answer, markers]) = reader.begin([first, Markers::get(keys)]).await?;
    let mut markers = Markers::read(keys, &markers)?;
    let mut page = Page { view, records: Vec::new(), more: false };
    loop {
        let records: Vec<_> = answer.kvs().iter().map(Record::read).collect::<Result<_, _>>()?;
        markers.complete(reader, &page.view, &records).await?;
        for record in records {
            if wanted(&record.config) && markers.lives(&record) {
                if page.records.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.records.push(record);
            }
        }
        if !answer.more() {
            return Ok(page);
        }
        let next = Get::range(view::next_key(&answer)?, end.clone(), KEYS_AT_ONCE);
        let answers = reader.more(&page.view, vec![next]).await?;
        answer = answers.into_iter().next().ok_or(Failed::Again(super::error::Cause::Moved))?;
    }
}

/// What lives of some records that follow one another.
struct Part {
    view: View,
    records: Vec<Record>,
    /// The last record there, living or not, if there are more.
    next: Option<WebConfigId>,
}

/// Reads so many records, or as many as etcd answers at once, and leaves out what has ended.
async fn part(reader: Reader<'_>, after: Option<WebConfigId>, limit: usize) -> Outcome<Part> {
    let keys = reader.keys;
    let at_once = limit.clamp(1, KEYS_AT_ONCE);
    let get = Get::range(first_after(keys, after), keys::end_of(&keys.configs()), at_once);
    let (view, [answer, markers]) = reader.begin([get, Markers::get(keys)]).await?;
    let mut markers = Markers::read(keys, &markers)?;
    let mut records: Vec<_> = answer.kvs().iter().map(Record::read).collect::<Result<_, _>>()?;
    markers.complete(reader, &view, &records).await?;
    let next = records.last().filter(|_| answer.more()).map(|record| record.config.id);
    records.retain(|record| markers.lives(record));
    Ok(Part { view, records, next })
}

pub(super) async fn living(
    reader: Reader<'_>,
    after: Option<WebConfigId>,
    limit: usize,
) -> Result<LivingPage, StoreError> {
    let Part { view, records, next } = reader.again(|| part(reader, after, limit)).await?;
    let living = records.into_iter().map(|record| Living {
        id: record.config.id,
        position: record.position(),
        generation: record.config.generation,
        account_id: record.config.account_id,
        context_id: record.config.context_id,
    });
    Ok(LivingPage { head: view.head, living: living.collect(), next })
}

pub(super) async fn load_page(
    reader: Reader<'_>,
    sealing: &Sealing,
    after: Option<WebConfigId>,
    limit: usize,
) -> Result<Snapshot<StoredPage>, StoreError> {
    let Part { view, records, next } = reader.again(|| part(reader, after, limit)).await?;
    let mut readable = Readable::default();
    for record in records {
        readable.take(record.config.id, opened(record, sealing).map_err(StoreError::from));
    }
    Ok(Snapshot { value: StoredPage { stored: readable.finish(), next }, head: view.head.revision })
}

pub(super) async fn list(reader: Reader<'_>, query: &ListQuery) -> Result<Vec<WebConfig>, StoreError> {
    let records = reader.again(|| list_once(reader, query)).await?;
    Ok(records.into_iter().map(|record| record.config).collect())
}

async fn list_once(reader: Reader<'_>, query: &ListQuery) -> Outcome<Vec<Record>> {
    let keys = reader.keys;
    let prefix = match (&query.account_id, &query.context_id) {
        (Some(account), None) => keys.account(account),
        (Some(account), Some(context)) => keys.context(account, context),
        (None, context) => {
            let wanted =
                |config: &WebConfig| context.as_ref().is_none_or(|context| *context == config.context_id);
            return Ok(page(reader, query.after, query.limit, wanted).await?.records);
        }
    };
    let (view, [markers]) = reader.begin([Markers::get(keys)]).await?;
    let mut markers = Markers::read(keys, &markers)?;
    let ids = ids(reader, &view, &prefix, query.after).await?;
    let mut found = Vec::new();
    for ids in ids.chunks(view::OPS_AT_ONCE) {
        for record in records(reader, &view, &mut markers, ids).await? {
            if found.len() == query.limit {
                return Ok(found);
            }
            found.push(record);
        }
    }
    Ok(found)
}

/// The ids in a part of the index by account and context, in their order.
pub(super) async fn ids(
    reader: Reader<'_>,
    view: &View,
    prefix: &str,
    after: Option<WebConfigId>,
) -> Outcome<Vec<WebConfigId>> {
    let mut ids = Vec::new();
    let take = |page: &etcd_client::GetResponse| {
        for kv in page.kvs() {
            let id = keys::id_of(kv.key()).ok_or_else(|| StoreError::damaged("an index key has no id"))?;
            if after.is_none_or(|after| id > after) {
                ids.push(id);
            }
        }
        Ok(true)
    };
    reader.scan(view, prefix.to_owned(), &keys::end_of(prefix), true, take).await?;
    ids.sort_unstable();
    Ok(ids)
}

/// Those of these that live.
pub(super) async fn records(
    reader: Reader<'_>,
    view: &View,
    markers: &mut Markers<'_>,
    ids: &[WebConfigId],
) -> Outcome<Vec<Record>> {
    let gets = ids.iter().map(|id| Get::one(reader.keys.config(*id))).collect();
    let mut records = Vec::with_capacity(ids.len());
    for answer in reader.more(view, gets).await? {
        let kv = answer.kvs().first();
        records.push(Record::read(kv.ok_or_else(|| StoreError::damaged("the index names no record"))?)?);
    }
    markers.complete(reader, view, &records).await?;
    records.retain(|record| markers.lives(record));
    Ok(records)
}
