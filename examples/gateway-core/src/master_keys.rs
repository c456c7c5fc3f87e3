//! The keys that secrets are sealed under: where they come from, and how they change while the gateway runs.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use voicegain_auth_console::Resealed;
use voicegain_auth_core::{StoreError, WebConfigId};
use voicegain_auth_store::sealing::{self, MasterKeyError, MasterKeys, Sealing};
use voicegain_auth_store::sqlite::{OpenError, SqliteStore};

use crate::cli::Args;
use crate::store::{StoreProblem, chain};

/// How many secrets are sealed anew at a time.
const RESEAL_PAGE: usize = 100;

pub(crate) type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What a gateway does with the master keys of its store, whichever that is.
pub(crate) trait SealedStore: Send + Sync + 'static {
    /// Seals a page of secrets anew.
    fn reseal(&self, after: Option<WebConfigId>) -> Doing<'_, sealing::Resealed>;

    /// Forgets the keys that are not in use any more.
    fn retire_keys(&self) -> Doing<'_, sealing::Retired>;

    /// The ids of the keys that the store knows.
    fn known_keys(&self) -> Doing<'_, Vec<String>>;

    /// Puts these keys to use if the store could be opened with them.
    fn adopt_keys<'a>(&'a self, keys: &'a MasterKeys) -> Doing<'a, ()>;
}

macro_rules! sealed_store {
    ($store:ty) => {
        impl SealedStore for $store {
            fn reseal(&self, after: Option<WebConfigId>) -> Doing<'_, sealing::Resealed> {
                Box::pin(<$store>::reseal(self, after, RESEAL_PAGE))
            }

            fn retire_keys(&self) -> Doing<'_, sealing::Retired> {
                Box::pin(<$store>::retire_keys(self))
            }

            fn known_keys(&self) -> Doing<'_, Vec<String>> {
                Box::pin(<$store>::known_keys(self))
            }

            fn adopt_keys<'a>(&'a self, keys: &'a MasterKeys) -> Doing<'a, ()> {
                Box::pin(<$store>::adopt_keys(self, keys))
            }
        }
    };
}

sealed_store!(SqliteStore);
#[cfg(feature = "postgres")]
sealed_store!(voicegain_auth_store::postgres::PostgresStore);
#[cfg(feature = "etcd")]
sealed_store!(voicegain_auth_store::etcd::EtcdStore);

/// Seals all secrets of a store anew and, if all of them could be, has it forget the keys that are not in use any more.
pub(crate) async fn reseal(store: Arc<dyn SealedStore>) -> Result<Resealed, StoreError> {
    let mut done = Resealed::default();
    let mut after = None;
    loop {
        let page = store.reseal(after).await?;
        done.resealed += page.resealed;
        done.skipped += page.skipped;
        if !page.more {
            break;
        }
        after = page.last;
    }
    if done.skipped == 0 {
        let sealing::Retired { retired, known } = store.retire_keys().await?;
        Ok(Resealed { retired, known, ..done })
    } else {
        Ok(Resealed { known: store.known_keys().await?, ..done })
    }
}

/// What an operator is told whose change failed because of the keys.
pub(crate) fn explain(error: &StoreError) -> Option<&'static str> {
    sealing::keys_do_not_fit(error).then_some(
        "The master keys of this process do not fit the store's; nothing was changed. Its log says what to do.",
    )
}

/// Where the key file of a database is, unless another one is named.
pub(crate) fn key_file_beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".key");
    PathBuf::from(path)
}

/// How secrets are kept, and the file that says so, if it is one.
pub(crate) struct GivenKeys {
    pub(crate) sealing: Sealing,
    file: Option<(PathBuf, bool)>,
}

impl GivenKeys {
    /// What the flags say, if they do.
    pub(crate) fn by_flags(args: &Args) -> Result<Option<Self>, StoreProblem> {
        if args.plain_secrets {
            return Ok(Some(Self { sealing: Sealing::Plain, file: None }));
        }
        if let Some(path) = &args.master_key_file {
            let keys = MasterKeys::read_file(path);
            let keys = keys.map_err(|error| StoreProblem::MasterKeys("--master-key-file", error))?;
            return Ok(Some(Self { sealing: keys.into(), file: Some((path.clone(), false)) }));
        }
        let Some(text) = &args.master_keys else { return Ok(None) };
        let lines = zeroize::Zeroizing::new(text.replace(',', "\n"));
        let keys = MasterKeys::parse(&lines);
        let keys = keys.map_err(|error| StoreProblem::MasterKeys("VOICEGAIN_MASTER_KEYS", error))?;
        Ok(Some(Self { sealing: keys.into(), file: None }))
    }

    /// The key file beside a database. It is made with the database, and before it.
    pub(crate) fn beside(file: &Path, args: &Args) -> Result<Self, StoreProblem> {
        let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
        if let Some(directory) = directory.filter(|directory| !directory.exists()) {
            // The key file would be the first to miss it.
            return Err(StoreProblem::open(OpenError::NoDirectory { directory: directory.to_owned() }));
        }
        let path = key_file_beside(file);
        let unusable = |error| StoreProblem::MasterKeys("the key file beside the database", error);
        let is_old = file.exists();
        if !path.exists() {
            if is_old && !args.seal_existing {
                return Err(StoreProblem::KeyFileMissing { file: file.to_owned(), key_file: path });
            }
            if is_old {
                // A new key is of no use to a database that is sealed already, and its file would be taken for the
                // lost one.
                SqliteStore::open(file, Sealing::Plain).map_err(StoreProblem::open)?;
            }
            match MasterKeys::generate_file(&path) {
                Ok(keys) => {
                    tracing::info!(file = %path.display(), "a master key was made");
                    return Ok(Self { sealing: keys.into(), file: Some((path, true)) });
                }
                // Another process was faster, and its key is the one.
                Err(MasterKeyError::FileExists { .. }) => {}
                Err(error) => return Err(unusable(error)),
            }
        }
        let keys = MasterKeys::read_file(&path).map_err(unusable)?;
        Ok(Self { sealing: keys.into(), file: Some((path, false)) })
    }

    /// What can be done with the keys of this store, which was opened with them.
    pub(crate) fn of(self, store: Arc<dyn SealedStore>) -> (Option<Arc<dyn SealedStore>>, Option<KeyFile>) {
        let Sealing::Keys(keys) = self.sealing else { return (None, None) };
        let key_file = self.file.map(|(path, made)| KeyFile { path, keys, store: Arc::clone(&store), made });
        (Some(store), key_file)
    }
}

/// Master keys that can be read again from where they came from.
#[derive(Clone)]
pub struct KeyFile {
    path: PathBuf,
    keys: MasterKeys,
    /// What is sealed under them.
    store: Arc<dyn SealedStore>,
    /// Whether this process has made the file.
    made: bool,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl KeyFile {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was made by this process, and there is no copy of it yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.made
    }

    /// Reads the keys again and, if the store could be opened with them, seals and opens with them from now on; the store
    /// remembers the first one. If anything is wrong with them, or the store does not say, the present ones stay. Says in the log which it was.
    pub async fn reload(&self) {
        let file = self.path.display();
        match self.replace().await {
            Ok(()) => {
                tracing::info!(%file, key_ids = ?self.keys.key_ids(), "the master keys were read again");
            }
            Err(error) => tracing::error!(
                %file,
                error,
                "the master keys stay as they are: put right what is wrong, and send SIGHUP again"
            ),
        }
    }

    async fn replace(&self) -> Result<(), String> {
        let path = self.path.clone();
        // Files block.
        let read = tokio::task::spawn_blocking(move || MasterKeys::read_file(path)).await;
        let keys = read.map_err(|error| chain(&error))?.map_err(|error| chain(&error))?;
        self.store.adopt_keys(&keys).await.map_err(|error| match &error {
            // The store is there, and says what does not fit.
            StoreError::Unavailable(cause) if sealing::keys_do_not_fit(&error) => chain(cause.as_ref()),
            _ => error.chain(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pages of secrets, so many of which do not open, and one key that is not in use.
    struct Pages {
        skipped: u64,
    }

    impl SealedStore for Pages {
        fn reseal(&self, after: Option<WebConfigId>) -> Doing<'_, sealing::Resealed> {
            let [first, last] = [1, 2].map(|number| WebConfigId::from_bytes([number; 16]));
            let page = match after {
                None => {
                    sealing::Resealed { last: Some(first), resealed: 5, skipped: self.skipped, more: true }
                }
                Some(after) => {
                    assert_eq!(after, first);
                    sealing::Resealed { last: Some(last), resealed: 2, skipped: 0, more: false }
                }
            };
            Box::pin(async move { Ok(page) })
        }

        fn retire_keys(&self) -> Doing<'_, sealing::Retired> {
            let [retired, known] = ["old", "new"].map(|key_id| vec![key_id.to_owned()]);
            Box::pin(async { Ok(sealing::Retired { retired, known }) })
        }

        fn known_keys(&self) -> Doing<'_, Vec<String>> {
            Box::pin(async { Ok(["new", "old"].map(str::to_owned).into()) })
        }

        fn adopt_keys<'a>(&'a self, _: &'a MasterKeys) -> Doing<'a, ()> {
            unreachable!()
        }
    }

    #[tokio::test]
    async fn keys_are_retired_only_if_no_page_skipped_anything() {
        let done = reseal(Arc::new(Pages { skipped: 0 })).await.unwrap();
        let [retired, known] = ["old", "new"].map(|key_id| vec![key_id.to_owned()]);
        assert_eq!(done, Resealed { resealed: 7, skipped: 0, retired, known });
        let done = reseal(Arc::new(Pages { skipped: 1 })).await.unwrap();
        let known = ["new", "old"].map(str::to_owned).into();
        assert_eq!(done, Resealed { resealed: 7, skipped: 1, retired: Vec::new(), known });
    }
}
