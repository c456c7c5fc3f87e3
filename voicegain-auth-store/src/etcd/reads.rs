//! Looking up web configs, and the log.

use voicegain_auth_core::store::{LogEntry, LogPosition, LogRead, Snapshot, StoreError};
use voicegain_auth_core::{StoredWebConfig, WebConfigId};

use super::error::Outcome;
use super::keys;
use super::markers::Markers;
use super::record::Record;
use super::values;
use super::view::{Get, KEYS_AT_ONCE, Reader, View};
use crate::sealing::{Binding, Sealing};

pub(super) fn opened(record: Record, sealing: &Sealing) -> Outcome<StoredWebConfig> {
    let secret = sealing.open(&record.secret, &Binding::of(&record.config)).map_err(StoreError::from)?;
    Ok(StoredWebConfig { config: record.config, secret, entry: record.entry })
}

pub(super) async fn load(
    reader: Reader<'_>,
    sealing: &Sealing,
    id: WebConfigId,
) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
    reader.again(|| load_once(reader, sealing, id)).await
}

async fn load_once(
    reader: Reader<'_>,
    sealing: &Sealing,
    id: WebConfigId,
) -> Outcome<Snapshot<Option<StoredWebConfig>>> {
    let keys = reader.keys;
    let (view, [config, markers]) = reader.begin([Get::one(keys.config(id)), Markers::get(keys)]).await?;
    let mut markers = Markers::read(keys, &markers)?;
    let record = Record::of(id, config.kvs().first())?;
    markers.complete(reader, &view, &record).await?;
    let living = record.filter(|record| markers.lives(record));
    let value = living.map(|record| opened(record, sealing)).transpose()?;
    Ok(Snapshot { value, head: view.head.revision })
}

/// The road that an answer of the log takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Road {
    /// A linearizable read.
    Quick,
    /// Through the members' log (rule C4).
    Proved,
}

/// What follows in the log.
pub(super) enum Found {
    Entries { entries: Vec<LogEntry>, more: bool },
    Gone,
}

pub(super) async fn log(
    reader: Reader<'_>,
    road: Road,
    after: LogPosition,
    limit: usize,
) -> Result<LogRead, StoreError> {
    let (_, found) = reader.again(|| read_log(reader, road, after, limit)).await?;
    Ok(match found {
        Found::Entries { entries, more } => LogRead::Entries { entries, more },
        Found::Gone => LogRead::Gone,
    })
}

/// The log from the entry itself on, and the head, in one transaction.
pub(super) async fn read_log(
    reader: Reader<'_>,
    road: Road,
    after: LogPosition,
    limit: usize,
) -> Outcome<(View, Found)> {
    let keys = reader.keys;
    let limit = limit.min(KEYS_AT_ONCE);
    let get = Get::range(keys.log_entry(after.revision), keys::end_of(&keys.log()), limit.saturating_add(1));
    let (view, [log]) = match road {
        Road::Quick => reader.begin([get]).await?,
        Road::Proved => reader.begin_proved([get]).await?,
    };
    let mut found = log.kvs().iter().map(values::log_entry);
    match found.next().transpose()? {
        Some((position, _)) if position == after => {}
        _ => return Ok((view, Found::Gone)),
    }
    let (mut entries, mut last) = (Vec::new(), after);
    for entry in found {
        let (position, entry) = entry?;
        let entry = entry.filter(|_| position.revision.get() == last.revision.get().saturating_add(1));
        entries.push(entry.ok_or_else(|| StoreError::damaged("the log has a gap"))?);
        last = position;
    }
    // The very entry: nothing counts as a proof that only looks like the head.
    let more = last != view.head;
    if more && !log.more() {
        return Err(StoreError::damaged("the log does not lead to its head").into());
    }
    Ok((view, Found::Entries { entries, more }))
}
