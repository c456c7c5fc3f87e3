//! Reads: one statement each, so that the log's head and what was read are of one snapshot (rule C3).

use std::future::Future;

use tokio_postgres::Row;
use voicegain_auth_core::store::{ListQuery, Living, LivingPage, LogPosition, LogRead, Snapshot, StoredPage};
use voicegain_auth_core::{StoreError, StoredWebConfig, WebConfig, WebConfigId};

use super::connection::Connection;
use super::error::{Failed, Outcome};
use super::rows::Columns;
use super::values::{Uuid, at_most};
use crate::left_out::Readable;
use crate::sealing::Sealing;

/// What can be read, on any connection, and again on another one if the first was dead.
pub(super) trait Read: Send + Sync + 'static {
    type Answer: Send + 'static;

    fn read(&self, connection: &mut Connection) -> impl Future<Output = Outcome<Self::Answer>> + Send;
}

macro_rules! head {
    () => {
        "h.schema_version, h.revision, h.entry"
    };
}

macro_rules! web_config {
    () => {
        "w.id, w.account_id, w.context_id, w.name, w.allowed_origins, w.generation, w.revision, w.created_at, \
         w.secret_created_at"
    };
}
pub(super) use web_config;

macro_rules! stored_web_config {
    () => {
        concat!($crate::postgres::reads::web_config!(), ", w.secret_format, w.key_id, w.secret, w.entry")
    };
}
pub(super) use stored_web_config;

/// Those after the one named, or all: written so that the index leads to the first of them in either case.
macro_rules! after {
    ($parameter:literal) => {
        concat!(
            "w.id >= coalesce($",
            $parameter,
            ", '00000000-0000-0000-0000-000000000000'::uuid) AND w.id IS DISTINCT FROM $",
            $parameter
        )
    };
}
pub(super) use after;

fn first(rows: &[Row]) -> Outcome<Columns<'_>> {
    rows.first().map(Columns::of).ok_or_else(|| Failed::damaged("the change log has no head"))
}

pub(super) struct Head;

impl Read for Head {
    type Answer = LogPosition;

    async fn read(&self, connection: &mut Connection) -> Outcome<LogPosition> {
        let rows = connection.query(concat!("SELECT ", head!(), " FROM log_head h"), &[]).await?;
        first(&rows)?.head()
    }
}

pub(super) struct Load {
    pub(super) id: WebConfigId,
    pub(super) sealing: Sealing,
}

impl Read for Load {
    type Answer = Snapshot<Option<StoredWebConfig>>;

    async fn read(&self, connection: &mut Connection) -> Outcome<Self::Answer> {
        const SQL: &str = concat!(
            "SELECT ",
            head!(),
            ", ",
            stored_web_config!(),
            " FROM log_head h LEFT JOIN LATERAL (SELECT * FROM living_web_configs WHERE id = $1) w ON true"
        );
        let rows = connection.query(SQL, &[&Uuid::from(self.id)]).await?;
        let mut row = first(&rows)?;
        let head = row.head()?.revision;
        let value = if row.is_there()? { Some(row.stored_web_config(&self.sealing)?) } else { None };
        Ok(Snapshot { value, head })
    }
}

/// The last id of a page, if it is full (it counts what has ended too, or a page could take as long as all of that), and
/// then what lives of the page.
macro_rules! page {
    ($($columns:expr),+) => {
        concat!(
            "SELECT ", head!(), ", p.next, ", $($columns),+,
            " FROM log_head h \
             CROSS JOIN LATERAL (SELECT (SELECT w.id FROM web_configs w WHERE ", after!("1"),
            " ORDER BY w.id LIMIT 1 OFFSET $2) AS next) p \
             LEFT JOIN LATERAL (SELECT * FROM living_web_configs w WHERE ", after!("1"),
            " AND w.id <= coalesce(p.next, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)) w ON true ORDER BY w.id"
        )
    };
}

/// The parameters of such a statement.
fn page_parameters(after: Option<WebConfigId>, limit: usize) -> (Option<Uuid>, i64) {
    (after.map(Uuid::from), at_most(limit.max(1).saturating_sub(1)))
}

pub(super) struct LoadPage {
    pub(super) after: Option<WebConfigId>,
    pub(super) limit: usize,
    pub(super) sealing: Sealing,
}

impl Read for LoadPage {
    type Answer = Snapshot<StoredPage>;

    async fn read(&self, connection: &mut Connection) -> Outcome<Self::Answer> {
        const SQL: &str = page!(stored_web_config!());
        let (after, offset) = page_parameters(self.after, self.limit);
        let rows = connection.query(SQL, &[&after, &offset]).await?;
        let mut row = first(&rows)?;
        let (head, next) = (row.head()?.revision, row.next()?);
        let mut readable = Readable::default();
        for row in &rows {
            let mut row = Columns::of(row);
            row.head()?;
            row.next()?;
            if row.is_there()? {
                let id = row.clone().id()?;
                readable.take(id, row.stored_web_config(&self.sealing).map_err(StoreError::from));
            }
        }
        Ok(Snapshot { value: StoredPage { stored: readable.finish(), next }, head })
    }
}

pub(super) struct List(pub(super) ListQuery);

impl Read for List {
    type Answer = Vec<WebConfig>;

    async fn read(&self, connection: &mut Connection) -> Outcome<Vec<WebConfig>> {
        macro_rules! list {
            ($($filter:literal),*) => {
                concat!(
                    "SELECT ", head!(), ", ", web_config!(),
                    " FROM log_head h, LATERAL (SELECT * FROM living_web_configs w WHERE ",
                    after!("1"), $($filter,)* " ORDER BY w.id LIMIT $2) w ORDER BY w.id"
                )
            };
        }
        let query = &self.0;
        let (after, limit) = (query.after.map(Uuid::from), at_most(query.limit));
        let account = query.account_id.as_ref().map(|id| id.as_str());
        let context = query.context_id.as_ref().map(|id| id.as_str());
        let rows = match (account, context) {
            (None, None) => connection.query(list!(), &[&after, &limit]).await?,
            (Some(account), None) => {
                let sql = list!(" AND w.account_id = $3");
                connection.query(sql, &[&after, &limit, &account]).await?
            }
            (None, Some(context)) => {
                let sql = list!(" AND w.context_id = $3");
                connection.query(sql, &[&after, &limit, &context]).await?
            }
            (Some(account), Some(context)) => {
                let sql = list!(" AND w.account_id = $3 AND w.context_id = $4");
                connection.query(sql, &[&after, &limit, &account, &context]).await?
            }
        };
        let mut configs = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut row = Columns::of(row);
            row.head()?;
            configs.push(row.web_config()?);
        }
        Ok(configs)
    }
}

pub(super) struct ListLiving {
    pub(super) after: Option<WebConfigId>,
    pub(super) limit: usize,
}

impl Read for ListLiving {
    type Answer = LivingPage;

    async fn read(&self, connection: &mut Connection) -> Outcome<LivingPage> {
        const SQL: &str = page!("w.id, w.revision, w.entry, w.generation, w.account_id, w.context_id");
        let (after, offset) = page_parameters(self.after, self.limit);
        let rows = connection.query(SQL, &[&after, &offset]).await?;
        let mut row = first(&rows)?;
        let mut page = LivingPage { head: row.head()?, next: row.next()?, living: Vec::new() };
        for row in &rows {
            let mut row = Columns::of(row);
            row.head()?;
            row.next()?;
            if !row.is_there()? {
                break;
            }
            page.living.push(Living {
                id: row.id()?,
                position: row.position()?,
                generation: row.generation()?,
                account_id: row.account()?,
                context_id: row.context()?,
            });
        }
        Ok(page)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Log {
    pub(super) after: LogPosition,
    pub(super) limit: usize,
}

impl Log {
    pub(super) const SQL: &str = concat!(
        "SELECT ",
        head!(),
        ", EXISTS (SELECT FROM change_log k WHERE k.revision = $1 AND k.entry = $2), \
         l.entry, l.revision, l.kind, l.id, l.generation, l.account_id, l.context_id \
         FROM log_head h LEFT JOIN LATERAL \
         (SELECT * FROM change_log WHERE revision > $1 ORDER BY revision LIMIT $3) l ON true ORDER BY l.revision"
    );

    /// The parameters of the statement; `None` for a position that PostgreSQL cannot count to, and that is not in the
    /// log either.
    pub(super) fn parameters(&self) -> Option<(i64, Uuid, i64)> {
        let revision = i64::try_from(self.after.revision.get()).ok()?;
        Some((revision, self.after.entry.into(), at_most(self.limit)))
    }

    pub(super) fn answer(&self, rows: &[Row]) -> Outcome<LogRead> {
        let mut row = first(rows)?;
        let head = row.head()?;
        if !row.take::<bool>()? {
            return Ok(LogRead::Gone);
        }
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let mut row = Columns::of(row);
            row.head()?;
            row.take::<bool>()?;
            if row.is_there()? {
                entries.push(row.log_entry()?);
            }
        }
        let last = entries.last().map_or(self.after, |entry| entry.position);
        Ok(LogRead::Entries { entries, more: last != head })
    }
}

impl Read for Log {
    type Answer = LogRead;

    async fn read(&self, connection: &mut Connection) -> Outcome<LogRead> {
        let Some((revision, entry, limit)) = self.parameters() else { return Ok(LogRead::Gone) };
        let rows = connection.query(Self::SQL, &[&revision, &entry, &limit]).await?;
        self.answer(&rows)
    }
}
