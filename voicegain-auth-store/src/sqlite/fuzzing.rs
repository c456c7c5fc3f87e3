//! What the fuzz targets need to reach of the SQLite store, and nobody else: built with `--cfg fuzzing` alone.
//!
//! Wrappers without logic. What a right answer is stands in the workspace `fuzz`.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row};
use voicegain_auth_core::store::{
    ListQuery, LivingPage, LogPosition, LogRead, Snapshot, StoreError, StoredPage,
};
use voicegain_auth_core::{StoredWebConfig, WebConfig, WebConfigId};

use super::error::OpenError;
use super::files::{Files, find_or_create};
use super::place::Place;
use super::sealed::Wanted;
use super::{reads, rows, schema};
use crate::sealing::Sealing;

/// Reads a row with the columns of a stored web config.
///
/// # Errors
/// If it is none.
pub fn row(row: &Row<'_>, sealing: &Sealing) -> Result<StoredWebConfig, StoreError> {
    Ok(rows::stored_web_config(row, sealing)?)
}

/// Reads databases through connections that it is given, as the store's reading thread does.
#[allow(missing_debug_implementations, reason = "a place has none")]
pub struct Reader(Place);

#[allow(missing_docs, clippy::missing_errors_doc, reason = "named like what they call")]
impl Reader {
    /// `path` names a store that is open, so that its files are there to be looked at.
    pub fn new(path: &Path, sealing: Sealing) -> Result<Self, OpenError> {
        let files = Arc::new(Files::opened(path, find_or_create(path)?)?);
        Ok(Self(Place { files, sealing, log_capacity: 1_000 }))
    }

    pub fn is_settled(&self, connection: &Connection) -> Result<bool, OpenError> {
        schema::recognise(connection, self.0.files.path())?;
        let wanted = Wanted { sealing: &self.0.sealing, seal_existing: false };
        schema::is_settled(connection, self.0.files.path(), wanted)
    }

    pub fn load(
        &self,
        connection: &mut Connection,
        id: WebConfigId,
    ) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        Ok(reads::load(connection, &self.0, id)?)
    }

    pub fn load_page(
        &self,
        connection: &mut Connection,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        Ok(reads::load_page(connection, &self.0, after, limit)?)
    }

    pub fn list(&self, connection: &mut Connection, query: &ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        Ok(reads::list(connection, &self.0.files, query)?)
    }

    pub fn living(
        &self,
        connection: &mut Connection,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<LivingPage, StoreError> {
        Ok(reads::living(connection, &self.0.files, after, limit)?)
    }

    pub fn log(
        &self,
        connection: &mut Connection,
        after: LogPosition,
        limit: usize,
    ) -> Result<LogRead, StoreError> {
        Ok(reads::log(connection, &self.0.files, after, limit)?)
    }
}
