//! On which day each web config was last used. It stands apart from the records and the log: it is no change.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Transaction};
use voicegain_auth_core::{Day, WebConfigId};

use super::error::{Failed, Outcome};
use super::files::Files;
use super::place::Place;
use super::{changes, reads, rows};

/// Where nothing is new, nothing is written.
pub(super) fn note(
    connection: &mut Connection,
    place: &Place,
    uses: &BTreeMap<WebConfigId, Day>,
) -> Outcome<()> {
    let transaction = changes::begin(connection)?;
    // Before anything else, a look at the schema's version.
    rows::head(&transaction)?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO last_uses (id, day) SELECT id, ?2 FROM living_web_configs WHERE id = ?1 \
             ON CONFLICT (id) DO UPDATE SET day = excluded.day WHERE excluded.day > last_uses.day",
        )?;
        for (id, day) in uses {
            statement.execute((id.as_bytes(), day.get()))?;
        }
    }
    changes::commit(transaction, place)
}

/// Part of the change that ends a web config, or revives one.
pub(super) fn forget(transaction: &Transaction<'_>, id: WebConfigId) -> Outcome<()> {
    transaction.prepare_cached("DELETE FROM last_uses WHERE id = ?1")?.execute([id.as_bytes()])?;
    Ok(())
}

pub(super) fn last(
    connection: &mut Connection,
    files: &Files,
    ids: &[WebConfigId],
) -> Outcome<BTreeMap<WebConfigId, Day>> {
    reads::read(connection, files, |transaction, _| {
        let mut statement = transaction.prepare_cached(
            "SELECT last_uses.day FROM last_uses JOIN living_web_configs USING (id) WHERE last_uses.id = ?1",
        )?;
        let mut last = BTreeMap::new();
        for id in ids {
            let day: Option<u32> = statement.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
            if let Some(day) = day {
                last.insert(*id, Day::new(day).ok_or_else(|| Failed::damaged("there is no such day"))?);
            }
        }
        Ok(last)
    })
}
