use std::path::Path;
use std::time::Duration;

use super::error::OpenError;
use super::look::{self, Look};
use super::store::SqliteStore;
use crate::sealing::Sealing;

/// How a store is opened, besides its [`Sealing`]. [`SqliteStore::open`] uses the defaults.
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteOptions {
    pub(super) busy_timeout: Duration,
    pub(super) poll_interval: Duration,
    pub(super) log_capacity: u32,
    pub(super) seal_existing: bool,
}

impl SqliteOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(50),
            log_capacity: 100_000,
            seal_existing: false,
        }
    }

    /// How long to wait for another process that keeps the file locked (default: 5 seconds). It then counts
    /// as not available.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How often to look for changes made by other processes, while somebody waits for one (default: 50
    /// milliseconds; at least one, or there would be time for nothing else). Changes made through this store and its
    /// clones are noticed at once.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        const LEAST: Duration = Duration::from_millis(1);
        self.poll_interval = if interval.as_nanos() < LEAST.as_nanos() { LEAST } else { interval };
        self
    }

    /// How many log entries to keep, at least one (default: 100,000). A process that fell behind further
    /// reads everything anew. Every process that opens the file should say the same.
    pub const fn log_capacity(mut self, entries: u32) -> Self {
        self.log_capacity = if entries == 0 { 1 } else { entries };
        self
    }

    /// Whether a plain store that is opened with master keys becomes a sealed one (default: no, it is not opened
    /// then). All of its secrets are sealed in one transaction, and the file is written anew without the plain
    /// ones. Other processes that have it open have to be restarted with the keys. Backups stay as they are, and
    /// so may the disk's own traces of the old file: to be safe from those, regenerate.
    pub const fn seal_existing(mut self, seal: bool) -> Self {
        self.seal_existing = seal;
        self
    }

    /// Opens the store in this file, and creates the file if it is not there. Blocks while it reads the whole
    /// file for damage; from async code, call it before serving or on a thread that may block.
    ///
    /// # Errors
    /// See [`OpenError`]. Whatever the file held, it still holds.
    pub fn open(&self, path: impl AsRef<Path>, sealing: Sealing) -> Result<SqliteStore, OpenError> {
        SqliteStore::with_options(path.as_ref(), sealing, self)
    }

    /// Says what [`open`](Self::open) would find, and changes and creates nothing, while others may have the file open.
    /// Blocks while it reads the whole file for damage. Whether the file can be written is not looked at.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn look(&self, path: impl AsRef<Path>, sealing: &Sealing) -> Result<Look, OpenError> {
        look::look(path.as_ref(), sealing, self)
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self::new()
    }
}
