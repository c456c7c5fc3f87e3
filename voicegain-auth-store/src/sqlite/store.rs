use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;
use voicegain_auth_core::store::{
    ChangeFeed, Ended, ListQuery, LivingPage, LogPosition, LogRead, Regenerated, Revision, Scope,
    SecretStore, Snapshot, StoreError, StoredPage,
};
use voicegain_auth_core::{
    Day, NewWebConfig, RestoredWebConfig, Secret, StoredWebConfig, WebConfig, WebConfigId, WebConfigPatch,
};

use super::error::{OpenError, Outcome};
use super::open::{self, Opened};
use super::options::SqliteOptions;
use super::place::Place;
use super::worker::{self, Closed, Head, Worker};
use super::{changes, checkpoint, reads, sealed, uses};
use crate::sealing::{MasterKeys, Resealed, Retired, Sealing};

/// How long the end of a store may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A store in one SQLite file. Clones share its threads; see [the module](super).
///
/// Dropping the last handle closes the file as [`close`](Self::close) does, and waits for it.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    reader: Worker,
    writer: Worker,
    head: watch::Receiver<Head>,
    place: Arc<Place>,
    closed: Closed,
}

impl SqliteStore {
    /// Opens the store in this file with the defaults of [`SqliteOptions`], see [`SqliteOptions::open`].
    ///
    /// # Errors
    /// See [`OpenError`]. Whatever the file held, it still holds.
    pub fn open(path: impl AsRef<Path>, sealing: Sealing) -> Result<Self, OpenError> {
        SqliteOptions::new().open(path, sealing)
    }

    pub(super) fn with_options(
        path: &Path,
        sealing: Sealing,
        options: &SqliteOptions,
    ) -> Result<Self, OpenError> {
        let Opened { writer, reader, files } = open::open(path, &sealing, options)?;
        let files = Arc::new(files);
        let failed = |error| OpenError::io(path, error);
        let (reader, head, closed) =
            worker::spawn_reader(reader, Arc::clone(&files), options.poll_interval).map_err(failed)?;
        let last = {
            let files = Arc::clone(&files);
            move |connection: &mut Connection| checkpoint::before_closing(connection, &files)
        };
        let writer = worker::spawn_writer(writer, &reader, last).map_err(failed)?;
        let place = Arc::new(Place { files, sealing, log_capacity: options.log_capacity });
        let shared = Shared { reader, writer, head, place, closed };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The file, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.place.files.path()
    }

    /// Closes the file once everything asked for before is done, so that all of the data is in the one file
    /// and the two beside it are gone. They stay while another process has the store open, and data may stay
    /// in them while it reads. Every other handle answers "not available" from now on.
    ///
    /// Blocks meanwhile, for 5 seconds at most; a warning is logged if that was not enough. Call it at the
    /// end of a process in which other threads may still hold a handle when `main` returns.
    pub fn close(self) {
        self.shared.close();
    }

    /// Seals anew, under the first master key, what is sealed under another one: of the web configs after
    /// `after`, in the order of their ids, as many as `limit` at most. No revision is used up and nothing is logged, since
    /// the secrets stay the same. To be repeated after [`Resealed::last`] while there are more.
    ///
    /// What a bulk end has ended counts towards the limit, and stays as it is: its secrets are never opened again. A
    /// secret of a living web config that cannot be opened is left as it is, counted as [`Resealed::skipped`], and named in the log.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store is a plain one; otherwise as for every change. Nothing of this page is
    /// sealed anew then.
    pub async fn reseal(&self, after: Option<WebConfigId>, limit: usize) -> Result<Resealed, StoreError> {
        self.change(move |connection, place| sealed::reseal(connection, place, after, limit)).await
    }

    /// Forgets the master keys that are not the first one of this process and that no secret of a living web config is
    /// under any more. The store can then be opened without them. To be called once everything is sealed anew: a key
    /// that is still in use, be it by a secret that [`reseal`](Self::reseal) had to skip, is never among them. A process
    /// that would seal under a key that was forgotten is refused, until it has the present ones.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store is a plain one; otherwise as for every change.
    pub async fn retire_keys(&self) -> Result<Retired, StoreError> {
        self.change(sealed::retire_keys).await
    }

    /// The ids of the master keys that the store may hold secrets under, in order; none if it is plain.
    ///
    /// # Errors
    /// As for every read.
    pub async fn known_keys(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection, place| reads::key_ids(connection, &place.files)).await
    }

    /// Seals and opens with these keys from now on, and so does everything that shares the [`MasterKeys`] that the store
    /// was opened with. In one change the store looks whether it could be opened with them, and remembers the first one:
    /// no process opens it without that one any more, nor with another key under its id. That takes no revision.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the [`SealingMismatch`](crate::sealing::SealingMismatch) as its source if it
    /// could not be opened so, or the [`MasterKeyError`](crate::sealing::MasterKeyError) if one of them is not the key in
    /// use under its id; otherwise as for every change. The present keys then stay. After [`StoreError::OutcomeUnknown`]
    /// the first key may be remembered all the same; call this again.
    pub async fn adopt_keys(&self, keys: &MasterKeys) -> Result<(), StoreError> {
        let keys = keys.clone();
        self.change(move |connection, place| sealed::adopt_keys(connection, place, &keys)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection, &Place) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.shared.place);
        self.shared.reader.run(move |connection| read(connection, &place)).await
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Connection, &Place) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.shared.place);
        self.shared.writer.run(move |connection| change(connection, &place)).await
    }
}

impl Shared {
    fn close(&self) {
        self.writer.close();
        self.reader.close();
        if !self.closed.wait(CLOSE_LIMIT) {
            let file = self.place.files.path().display();
            tracing::warn!(%file, "the database file is still being closed; keep the -wal file beside it");
        }
    }
}

/// Threads end with the process, whatever they are at: whoever drops the last handle waits for them.
impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

impl SecretStore for SqliteStore {
    async fn load(&self, id: WebConfigId) -> Result<Snapshot<Option<StoredWebConfig>>, StoreError> {
        self.read(move |connection, place| reads::load(connection, place, id)).await
    }

    async fn load_page(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> Result<Snapshot<StoredPage>, StoreError> {
        self.read(move |connection, place| reads::load_page(connection, place, after, limit)).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<WebConfig>, StoreError> {
        self.read(move |connection, place| reads::list(connection, &place.files, &query)).await
    }

    async fn create(&self, new: NewWebConfig) -> Result<WebConfig, StoreError> {
        self.change(move |connection, place| changes::create(connection, place, &new)).await
    }

    async fn regenerate(&self, id: WebConfigId, secret: Secret) -> Result<Regenerated, StoreError> {
        self.change(move |connection, place| changes::regenerate(connection, place, id, &secret)).await
    }

    async fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, StoreError> {
        self.change(move |connection, place| changes::update(connection, place, id, patch)).await
    }

    async fn delete(&self, id: WebConfigId) -> Result<Revision, StoreError> {
        self.change(move |connection, place| changes::delete(connection, place, id)).await
    }

    async fn end(&self, scope: Scope) -> Result<Ended, StoreError> {
        self.change(move |connection, place| changes::end(connection, place, scope)).await
    }

    async fn restore(&self, restored: RestoredWebConfig) -> Result<WebConfig, StoreError> {
        self.change(move |connection, place| changes::restore(connection, place, &restored)).await
    }

    async fn note_uses(&self, uses: BTreeMap<WebConfigId, Day>) -> Result<(), StoreError> {
        self.change(move |connection, place| uses::note(connection, place, &uses)).await
    }

    async fn last_uses(&self, ids: Vec<WebConfigId>) -> Result<BTreeMap<WebConfigId, Day>, StoreError> {
        self.read(move |connection, place| uses::last(connection, &place.files, &ids)).await
    }
}

impl ChangeFeed for SqliteStore {
    async fn living(&self, after: Option<WebConfigId>, limit: usize) -> Result<LivingPage, StoreError> {
        self.read(move |connection, place| reads::living(connection, &place.files, after, limit)).await
    }

    async fn read_log(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.read(move |connection, place| reads::log(connection, &place.files, after, limit)).await
    }

    /// The same as [`read_log`](ChangeFeed::read_log): no other server could answer for this file, and that the path
    /// still names it is looked at each time.
    async fn prove(&self, after: LogPosition, limit: usize) -> Result<LogRead, StoreError> {
        self.read_log(after, limit).await
    }

    async fn changed(&self, seen: Revision) {
        // From here on the reading thread looks at its interval. What was known before may be older than
        // `seen`.
        let mut head = self.shared.head.clone();
        head.mark_unchanged();
        // A head that went back is worth a look as well, and so is one that cannot be read.
        if self
            .read(|connection, place| reads::head(connection, &place.files))
            .await
            .is_ok_and(|now| now == seen)
        {
            while head.changed().await.is_ok() && *head.borrow_and_update() == Some(seen) {}
        }
    }

    /// Zero: the file is on this machine's disk (rule C7).
    fn proof_interval(&self) -> Duration {
        Duration::ZERO
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path()).finish_non_exhaustive()
    }
}
