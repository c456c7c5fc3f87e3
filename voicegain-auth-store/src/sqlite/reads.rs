//! What the reading thread does: each in one transaction, with the log's head from the same snapshot.

use rusqlite::types::ToSql;
use rusqlite::{Connection, Transaction};
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::{
    ListQuery, Living, LivingPage, LogPosition, LogRead, Revision, Snapshot, StoredPage,
};
use voicegain_auth_core::{StoreError, StoredWebConfig, WebConfig};

use super::error::Outcome;
use super::files::Files;
use super::place::Place;
use super::rows::{self, LOG_ENTRY, STORED_WEB_CONFIG, WEB_CONFIG};
use super::sealed;
use crate::left_out::Readable;

pub(super) fn read<T>(
    connection: &mut Connection,
    files: &Files,
    work: impl FnOnce(&Transaction<'_>, LogPosition) -> Outcome<T>,
) -> Outcome<T> {
    let transaction = connection.transaction()?;
    let head = rows::head(&transaction)?;
    let value = work(&transaction, head)?;
    transaction.finish()?;
    // Last, because a file that is still there was there when it was read.
    files.still_there()?;
    Ok(value)
}

pub(super) fn head(connection: &mut Connection, files: &Files) -> Outcome<Revision> {
    read(connection, files, |_, head| Ok(head.revision))
}

pub(super) fn key_ids(connection: &mut Connection, files: &Files) -> Outcome<Vec<String>> {
    read(connection, files, |transaction, _| sealed::key_ids(transaction))
}

pub(super) fn load(
    connection: &mut Connection,
    place: &Place,
    id: WebConfigId,
) -> Outcome<Snapshot<Option<StoredWebConfig>>> {
    read(connection, &place.files, |transaction, head| {
        let sql = format!("SELECT {STORED_WEB_CONFIG} FROM living_web_configs WHERE id = ?1");
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut found = statement.query([id.as_bytes()])?;
        let stored = |row| rows::stored_web_config(rows::of(id, row)?, &place.sealing);
        let value = found.next()?.map(stored).transpose()?;
        Ok(Snapshot { value, head: head.revision })
    })
}

/// The last id of a page, if it is full. It counts what has ended too, or a page could take as long as all of that.
fn end_of_page(
    transaction: &Transaction<'_>,
    after: Option<WebConfigId>,
    limit: usize,
) -> Outcome<Option<WebConfigId>> {
    let mut statement = transaction
        .prepare_cached("SELECT id FROM web_configs WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2")?;
    let mut found =
        statement.query((rows::after(after.as_ref()), rows::at_most(limit.max(1).saturating_sub(1))))?;
    found.next()?.map(|row| rows::id(row, 0)).transpose()
}

/// Where a page ends, which without a next one is at the last id there can be.
fn up_to(next: Option<&WebConfigId>) -> &[u8] {
    const LAST: &[u8] = &[0xff; 16];
    next.map_or(LAST, |id| id.as_bytes().as_slice())
}

pub(super) fn load_page(
    connection: &mut Connection,
    place: &Place,
    after: Option<WebConfigId>,
    limit: usize,
) -> Outcome<Snapshot<StoredPage>> {
    read(connection, &place.files, |transaction, head| {
        let next = end_of_page(transaction, after, limit)?;
        let sql = format!(
            "SELECT {STORED_WEB_CONFIG} FROM living_web_configs WHERE id > ?1 AND id <= ?2 ORDER BY id"
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut found = statement.query((rows::after(after.as_ref()), up_to(next.as_ref())))?;
        let mut readable = Readable::default();
        while let Some(row) = found.next()? {
            let stored = rows::stored_web_config(row, &place.sealing);
            readable.take(rows::id(row, 0)?, stored.map_err(StoreError::from));
        }
        Ok(Snapshot { value: StoredPage { stored: readable.finish(), next }, head: head.revision })
    })
}

pub(super) fn list(connection: &mut Connection, files: &Files, query: &ListQuery) -> Outcome<Vec<WebConfig>> {
    read(connection, files, |transaction, _| {
        let account = query.account_id.as_ref().map(|id| id.as_str());
        let context = query.context_id.as_ref().map(|id| id.as_str());
        let after = query.after.as_ref().map(WebConfigId::as_bytes);
        let limit = rows::at_most(query.limit);

        let mut sql = format!("SELECT {WEB_CONFIG} FROM living_web_configs WHERE TRUE");
        let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":limit", &limit)];
        if let Some(account) = &account {
            sql.push_str(" AND account_id = :account");
            parameters.push((":account", account));
        }
        if let Some(context) = &context {
            sql.push_str(" AND context_id = :context");
            parameters.push((":context", context));
        }
        if let Some(after) = &after {
            sql.push_str(" AND id > :after");
            parameters.push((":after", after));
        }
        sql.push_str(" ORDER BY id LIMIT :limit");

        let mut statement = transaction.prepare_cached(&sql)?;
        let mut found = statement.query(parameters.as_slice())?;
        let mut configs = Vec::new();
        while let Some(row) = found.next()? {
            configs.push(rows::web_config(row)?);
        }
        Ok(configs)
    })
}

pub(super) fn living(
    connection: &mut Connection,
    files: &Files,
    after: Option<WebConfigId>,
    limit: usize,
) -> Outcome<LivingPage> {
    read(connection, files, |transaction, head| {
        let next = end_of_page(transaction, after, limit)?;
        let mut statement = transaction.prepare_cached(
            "SELECT revision, entry, id, generation, account_id, context_id FROM living_web_configs \
             WHERE id > ?1 AND id <= ?2 ORDER BY id",
        )?;
        let mut found = statement.query((rows::after(after.as_ref()), up_to(next.as_ref())))?;
        let mut page = LivingPage { head, living: Vec::new(), next };
        while let Some(row) = found.next()? {
            page.living.push(Living {
                position: rows::position(row)?,
                id: rows::id(row, 2)?,
                generation: rows::generation(row, 3)?,
                account_id: rows::parsed(row, 4)?,
                context_id: rows::parsed(row, 5)?,
            });
        }
        Ok(page)
    })
}

pub(super) fn log(
    connection: &mut Connection,
    files: &Files,
    after: LogPosition,
    limit: usize,
) -> Outcome<LogRead> {
    read(connection, files, |transaction, head| {
        // A position that SQLite cannot count to is not in the log either.
        let Ok(revision) = i64::try_from(after.revision.get()) else { return Ok(LogRead::Gone) };
        let mut statement =
            transaction.prepare_cached("SELECT 1 FROM change_log WHERE revision = ?1 AND entry = ?2")?;
        if !statement.exists((revision, after.entry.as_bytes()))? {
            return Ok(LogRead::Gone);
        }
        let sql =
            format!("SELECT {LOG_ENTRY} FROM change_log WHERE revision > ?1 ORDER BY revision LIMIT ?2");
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut found = statement.query((revision, rows::at_most(limit)))?;
        let mut entries = Vec::new();
        while let Some(row) = found.next()? {
            entries.push(rows::log_entry(row)?);
        }
        let last = entries.last().map_or(after, |entry| entry.position);
        Ok(LogRead::Entries { entries, more: last != head })
    })
}
