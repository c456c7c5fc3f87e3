//! On which day each web config was last used. It stands apart from the records and the log: it is no change, and locks
//! nothing that a change needs but the rows of what ends.

use std::collections::BTreeMap;

use voicegain_auth_core::{Day, WebConfigId};

use super::connection::Connection;
use super::error::{Failed, Outcome};
use super::reads::Read;
use super::rows::Columns;
use super::schema::VERSION;
use super::values::Uuid;

/// Not a read, but as good as one: it may be done again on another connection, and nobody needs to know whether the first one
/// did it.
pub(super) struct NoteUses(pub(super) BTreeMap<WebConfigId, Day>);

impl Read for NoteUses {
    type Answer = ();

    async fn read(&self, connection: &mut Connection) -> Outcome<()> {
        // In the order of ids, so that no two processes wait for each other. Where nothing is new, nothing is written.
        // A day is not worth a session that waits for a standby which may be gone.
        const SQL: &str = "WITH alone AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS is), \
             noted AS (\
             INSERT INTO last_uses (id, day) \
             SELECT n.id, n.day FROM alone, unnest($1::uuid[], $2::integer[]) AS n (id, day) \
             JOIN living_web_configs w ON w.id = n.id JOIN log_head h ON h.schema_version = $3 \
             WHERE alone.is = 'off' ORDER BY n.id \
             ON CONFLICT (id) DO UPDATE SET day = EXCLUDED.day WHERE last_uses.day < EXCLUDED.day) \
             SELECT schema_version, revision, entry FROM log_head";
        let ids: Vec<_> = self.0.keys().copied().map(Uuid::from).collect();
        let days: Result<Vec<_>, _> = self.0.values().map(|day| i32::try_from(day.get())).collect();
        let days = days.map_err(Failed::damaged)?;
        let row = connection.query_opt(SQL, &[&ids, &days, &VERSION]).await?;
        let row = row.ok_or_else(|| Failed::damaged("the change log has no head"))?;
        Columns::of(&row).head().map(|_| ())
    }
}

pub(super) struct LastUses(pub(super) Vec<WebConfigId>);

impl Read for LastUses {
    type Answer = BTreeMap<WebConfigId, Day>;

    async fn read(&self, connection: &mut Connection) -> Outcome<Self::Answer> {
        const SQL: &str = "SELECT h.schema_version, h.revision, h.entry, u.id, u.day \
             FROM log_head h LEFT JOIN LATERAL (SELECT u.id, u.day FROM last_uses u \
             JOIN living_web_configs w ON w.id = u.id WHERE u.id = ANY($1)) u ON true";
        let ids: Vec<_> = self.0.iter().copied().map(Uuid::from).collect();
        let rows = connection.query(SQL, &[&ids]).await?;
        let mut last = BTreeMap::new();
        for row in &rows {
            let mut row = Columns::of(row);
            row.head()?;
            if row.is_there()? {
                let (id, day) = (row.id()?, u32::try_from(row.take::<i32>()?).map_err(Failed::damaged)?);
                last.insert(id, Day::new(day).ok_or_else(|| Failed::damaged("there is no such day"))?);
            }
        }
        Ok(last)
    }
}
