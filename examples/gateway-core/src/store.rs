//! The store that a gateway's flags name, and the keys that its secrets are sealed under.

use std::error::Error;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use voicegain_auth_core::{MemoryStore, SecretCache, SecretCacheBuilder, StoreError, WebConfigId};
use voicegain_auth_store::sealing::{MasterKeyError, MasterKeys, Resealed, Sealing, SealingMismatch};
use voicegain_auth_store::sqlite::{SqliteOptions, SqliteStore};

use crate::cli::Args;

/// How many secrets are sealed anew at a time.
const RESEAL_PAGE: usize = 100;

/// A store that is open.
pub(crate) struct Opened {
    /// A cache over it.
    pub(crate) cache: SecretCacheBuilder,
    /// The store itself, if it is in a file.
    pub(crate) sqlite: Option<SqliteStore>,
    /// Seals all secrets anew, if the store seals any.
    pub(crate) reseal: Option<Reseal>,
    /// The file that the master keys come from.
    pub(crate) key_file: Option<KeyFile>,
}

pub(crate) type Reseal = Box<dyn Fn() -> Resealing + Send + Sync>;
pub(crate) type Resealing = Pin<Box<dyn Future<Output = Result<u64, StoreError>> + Send>>;

/// Master keys that can be read again from where they came from.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
    keys: MasterKeys,
    /// Whether this process has made the file.
    made: bool,
}

/// Why a store cannot be used. None of it shows a password or a key.
#[derive(Debug, thiserror::Error)]
pub enum StoreProblem {
    /// The URL names no kind of store that is known here.
    #[error(
        "--store {0}: this gateway knows sqlite://FILE, postgres://USER:PASSWORD@HOST/DATABASE, etcd://HOST:PORT/PREFIX \
         and memory:"
    )]
    Unknown(String),
    /// This program was built without the store.
    #[error(
        "--store {scheme}://…: this gateway was built without it; build one with `cargo build --release -p {program} \
         --features {feature}`{needs}"
    )]
    NotBuiltIn {
        /// The scheme of the URL.
        scheme: &'static str,
        /// The program's name, which is also that of its crate.
        program: &'static str,
        /// The feature that brings the store.
        feature: &'static str,
        /// What else that takes.
        needs: &'static str,
    },
    /// The URL names no file.
    #[error("--store sqlite://: write a file's name behind it, as in sqlite://voicegain-gateway.db")]
    NoFile,
    /// It cannot be opened.
    #[error("--store: {}", explained(.0.as_ref()))]
    Open(#[source] Box<dyn Error + Send + Sync>),
    /// There is no randomness for a store in memory.
    #[error("--store memory: {0}")]
    Memory(#[source] StoreError),
    /// The master keys cannot be used.
    #[error("{0}: {problem}", problem = chain(.1))]
    MasterKeys(&'static str, #[source] MasterKeyError),
    /// The key file beside a database is missing.
    #[error(
        "--store sqlite://{file}: the database is there, but the key file beside it, {key_file}, is not. If its secrets are \
         sealed, put the copy of the key file there, or name it with --master-key-file. If they are plain, as those of \
         earlier versions are, have them sealed with --seal-existing, or keep them plain with --plain-secrets",
        file = .file.display(),
        key_file = .key_file.display()
    )]
    KeyFileMissing {
        /// The database.
        file: PathBuf,
        /// The key file that should be beside it.
        key_file: PathBuf,
    },
    /// Nobody has said how secrets are kept.
    #[error(
        "--store {0}://…: give the keys that secrets are sealed under, with --master-key-file FILE or the environment \
         variable VOICEGAIN_MASTER_KEYS, or have the secrets kept as they are with --plain-secrets"
    )]
    NoMasterKeys(&'static str),
    /// Only a file can be sealed afterwards.
    #[error("--seal-existing: only the secrets of a sqlite:// store can be sealed afterwards; leave it out")]
    SealExisting,
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

    /// Reads the keys again and seals and opens with them from now on; if something is wrong with them, with the
    /// present ones as before. Says in the log which it was.
    pub fn reload(&self) {
        let file = self.path.display();
        match self.keys.reload_file(&self.path) {
            Ok(()) => {
                tracing::info!(%file, key_ids = ?self.keys.key_ids(), "the master keys were read again")
            }
            Err(error) => {
                let error = chain(&error);
                tracing::error!(%file, error, "the master keys stay as they are: they could not be read again");
            }
        }
    }
}

/// Opens the store on the current runtime, which it goes on to use.
pub(crate) async fn open(args: &Args) -> Result<Opened, StoreProblem> {
    let url = args.store.as_str();
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    if args.seal_existing && scheme != Some("sqlite") {
        return Err(StoreProblem::SealExisting);
    }
    match scheme {
        Some("sqlite") if url.starts_with("sqlite://") => sqlite(url.trim_start_matches("sqlite://"), args),
        Some("memory") if url == "memory:" => {
            let store = MemoryStore::new().map_err(StoreProblem::Memory)?;
            Ok(Opened { cache: SecretCache::builder(store), sqlite: None, reseal: None, key_file: None })
        }
        Some("postgres" | "postgresql") => postgres(url, args).await,
        Some("etcd" | "etcds") => etcd(url, args).await,
        // What comes after the scheme may be a password.
        _ => {
            let shown = scheme.map_or_else(|| url.to_owned(), |scheme| format!("{scheme}:…"));
            Err(StoreProblem::Unknown(shown.escape_debug().to_string()))
        }
    }
}

fn sqlite(file: &str, args: &Args) -> Result<Opened, StoreProblem> {
    if file.is_empty() {
        return Err(StoreProblem::NoFile);
    }
    let file = Path::new(file);
    let (sealing, key_file) = match given(args)? {
        Some(given) => given,
        None => {
            let key_file = beside(file, args)?;
            (key_file.keys.clone().into(), Some(key_file))
        }
    };
    let store = SqliteOptions::new()
        .seal_existing(args.seal_existing)
        .open(file, sealing.clone())
        .map_err(StoreProblem::open)?;
    let reseal =
        resealing(
            &sealing,
            store.clone(),
            |store, after| async move { store.reseal(after, RESEAL_PAGE).await },
        );
    Ok(Opened { cache: SecretCache::builder(store.clone()), sqlite: Some(store), reseal, key_file })
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, args: &Args) -> Result<Opened, StoreProblem> {
    use voicegain_auth_store::postgres::PostgresStore;

    let (sealing, key_file) = given(args)?.ok_or(StoreProblem::NoMasterKeys("postgres"))?;
    let store = PostgresStore::open(url, sealing.clone()).await.map_err(StoreProblem::open)?;
    let reseal =
        resealing(
            &sealing,
            store.clone(),
            |store, after| async move { store.reseal(after, RESEAL_PAGE).await },
        );
    Ok(Opened { cache: SecretCache::builder(store), sqlite: None, reseal, key_file })
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_url: &str, args: &Args) -> Result<Opened, StoreProblem> {
    let program = args.program;
    Err(StoreProblem::NotBuiltIn { scheme: "postgres", program, feature: "postgres", needs: "" })
}

#[cfg(feature = "etcd")]
async fn etcd(url: &str, args: &Args) -> Result<Opened, StoreProblem> {
    use voicegain_auth_store::etcd::EtcdStore;

    let (sealing, key_file) = given(args)?.ok_or(StoreProblem::NoMasterKeys("etcd"))?;
    let store = EtcdStore::open(url, sealing.clone()).await.map_err(StoreProblem::open)?;
    let reseal =
        resealing(
            &sealing,
            store.clone(),
            |store, after| async move { store.reseal(after, RESEAL_PAGE).await },
        );
    Ok(Opened { cache: SecretCache::builder(store), sqlite: None, reseal, key_file })
}

#[cfg(not(feature = "etcd"))]
async fn etcd(_url: &str, args: &Args) -> Result<Opened, StoreProblem> {
    let needs = ", which needs protoc, the compiler of protocol buffers (in Debian: protobuf-compiler)";
    Err(StoreProblem::NotBuiltIn { scheme: "etcd", program: args.program, feature: "etcd", needs })
}

/// How the flags say that secrets are kept, if they do.
fn given(args: &Args) -> Result<Option<(Sealing, Option<KeyFile>)>, StoreProblem> {
    if args.plain_secrets {
        return Ok(Some((Sealing::Plain, None)));
    }
    if let Some(path) = &args.master_key_file {
        let keys = MasterKeys::read_file(path);
        let keys = keys.map_err(|error| StoreProblem::MasterKeys("--master-key-file", error))?;
        let key_file = KeyFile { path: path.clone(), keys: keys.clone(), made: false };
        return Ok(Some((keys.into(), Some(key_file))));
    }
    let Some(text) = &args.master_keys else { return Ok(None) };
    let lines = zeroize::Zeroizing::new(text.replace(',', "\n"));
    let keys = MasterKeys::parse(&lines);
    let keys = keys.map_err(|error| StoreProblem::MasterKeys("VOICEGAIN_MASTER_KEYS", error))?;
    Ok(Some((keys.into(), None)))
}

/// The key file beside a database. It is made with the database, and before it: two processes may start at once.
fn beside(file: &Path, args: &Args) -> Result<KeyFile, StoreProblem> {
    let mut path = file.as_os_str().to_owned();
    path.push(".key");
    let path = PathBuf::from(path);
    let unusable = |error| StoreProblem::MasterKeys("the key file beside the database", error);
    let is_old = file.exists();
    if path.exists() {
        let keys = MasterKeys::read_file(&path).map_err(unusable)?;
        return Ok(KeyFile { path, keys, made: false });
    }
    if is_old {
        if !args.seal_existing {
            return Err(StoreProblem::KeyFileMissing { file: file.to_owned(), key_file: path });
        }
        // A new key is of no use to a database that is sealed already, and its file would be taken for the lost one.
        SqliteStore::open(file, Sealing::Plain).map_err(StoreProblem::open)?;
    }
    let keys = MasterKeys::generate_file(&path).map_err(unusable)?;
    tracing::info!(file = %path.display(), "a master key was made");
    Ok(KeyFile { path, keys, made: true })
}

/// What seals all secrets of a store anew, page by page.
fn resealing<S, P>(
    sealing: &Sealing,
    store: S,
    page: impl Fn(S, Option<WebConfigId>) -> P + Copy + Send + Sync + 'static,
) -> Option<Reseal>
where
    S: Clone + Send + Sync + 'static,
    P: Future<Output = Result<Resealed, StoreError>> + Send + 'static,
{
    if matches!(sealing, Sealing::Plain) {
        return None;
    }
    Some(Box::new(move || {
        let store = store.clone();
        Box::pin(async move {
            let (mut after, mut count) = (None, 0);
            loop {
                let resealed = page(store.clone(), after).await?;
                count += resealed.resealed;
                if !resealed.more {
                    return Ok(count);
                }
                after = resealed.last;
            }
        })
    }))
}

impl StoreProblem {
    fn open(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Open(Box::new(error))
    }
}

/// An error with all its causes, and which flags help.
fn explained(error: &(dyn Error + 'static)) -> String {
    let text = chain(error);
    let mut cause = Some(error);
    while let Some(error) = cause {
        let flags = match error.downcast_ref::<SealingMismatch>() {
            Some(SealingMismatch::StoreIsSealed { .. }) => {
                "use --master-key-file instead of --plain-secrets or --seal-existing"
            }
            Some(SealingMismatch::StoreIsPlain) => {
                "--seal-existing has the secrets of a SQLite file sealed, --plain-secrets leaves them plain"
            }
            Some(SealingMismatch::MissingKey { .. } | SealingMismatch::WrongKey { .. }) => {
                "the keys come from --master-key-file, VOICEGAIN_MASTER_KEYS, or the file beside a SQLite file"
            }
            _ => {
                cause = error.source();
                continue;
            }
        };
        return format!("{text} ({flags})");
    }
    text
}

/// An error with all its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
