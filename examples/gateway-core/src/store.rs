//! The store that a gateway's flags name.

mod look;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use voicegain_auth_core::store::{ChangeFeed, SecretStore};
use voicegain_auth_core::{MemoryStore, SecretCache, SecretCacheBuilder, StoreError};
use voicegain_auth_store::sealing::{MasterKeyError, SealingMismatch};
use voicegain_auth_store::sqlite::{SqliteOptions, SqliteStore};

pub(crate) use self::look::{kind, look, shown};
use crate::cli::Args;
use crate::master_keys::{GivenKeys, KeyFile, SealedStore};

/// A store that is open.
pub(crate) struct Opened {
    /// A cache over it.
    pub(crate) cache: SecretCacheBuilder,
    /// The store itself, if it is in a file.
    pub(crate) sqlite: Option<SqliteStore>,
    /// The store again, if it seals its secrets.
    pub(crate) sealed: Option<Arc<dyn SealedStore>>,
    /// The file that the master keys come from.
    pub(crate) key_file: Option<KeyFile>,
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
    /// There is nothing to seal.
    #[error(
        "--store memory: keeps no secret anywhere that there would be to seal; leave out the master keys \
         (--master-key-file, and the environment variables VOICEGAIN_MASTER_KEY_FILE and VOICEGAIN_MASTER_KEYS)"
    )]
    KeysInMemory,
}

/// Opens the store on the current runtime, which it goes on to use.
pub(crate) async fn open(args: &Args) -> Result<Opened, StoreProblem> {
    let url = args.store.as_str();
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    if args.seal_existing && scheme != Some("sqlite") {
        return Err(StoreProblem::SealExisting);
    }
    if args.plain_secrets && scheme != Some("memory") {
        tracing::warn!(
            "--plain-secrets: secrets are kept as they are; whoever can read the store or a backup of it can sign tokens"
        );
    }
    match scheme {
        Some("sqlite") if url.starts_with("sqlite://") => sqlite(url.trim_start_matches("sqlite://"), args),
        Some("memory") if url == "memory:" => {
            if args.master_key_file.is_some() || args.master_keys.is_some() {
                return Err(StoreProblem::KeysInMemory);
            }
            tracing::warn!(
                "--store memory: web configs are kept in memory; none of them, and no token, outlives this process"
            );
            let store = MemoryStore::new().map_err(StoreProblem::Memory)?;
            Ok(Opened { cache: SecretCache::builder(store), sqlite: None, sealed: None, key_file: None })
        }
        Some("postgres" | "postgresql") => postgres(url, args).await,
        Some("etcd" | "etcds") => etcd(url, args).await,
        _ => Err(unknown(url)),
    }
}

fn unknown(url: &str) -> StoreProblem {
    StoreProblem::Unknown(look::shown_of_unknown(url))
}

/// What a build without this store says.
fn not_built_in(scheme: &'static str, args: &Args) -> StoreProblem {
    let needs = match scheme {
        "etcd" => ", which needs protoc, the compiler of protocol buffers (in Debian: protobuf-compiler)",
        _ => "",
    };
    StoreProblem::NotBuiltIn { scheme, program: args.program, feature: scheme, needs }
}

fn sqlite(file: &str, args: &Args) -> Result<Opened, StoreProblem> {
    if file.is_empty() {
        return Err(StoreProblem::NoFile);
    }
    let file = Path::new(file);
    let keys = match GivenKeys::by_flags(args)? {
        Some(given) => given,
        None => GivenKeys::beside(file, args)?,
    };
    let options = SqliteOptions::new().seal_existing(args.seal_existing);
    let store = options.open(file, keys.sealing.clone()).map_err(StoreProblem::open)?;
    Ok(Opened { sqlite: Some(store.clone()), ..opened(store, keys) })
}

/// What is the same for all stores that can seal.
fn opened<S: SecretStore + ChangeFeed + SealedStore + Clone>(store: S, keys: GivenKeys) -> Opened {
    let (sealed, key_file) = keys.of(Arc::new(store.clone()));
    Opened { cache: SecretCache::builder(store), sqlite: None, sealed, key_file }
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, args: &Args) -> Result<Opened, StoreProblem> {
    use voicegain_auth_store::postgres::PostgresStore;

    let keys = GivenKeys::by_flags(args)?.ok_or(StoreProblem::NoMasterKeys("postgres"))?;
    let store = PostgresStore::open(url, keys.sealing.clone()).await.map_err(StoreProblem::open)?;
    Ok(opened(store, keys))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_url: &str, args: &Args) -> Result<Opened, StoreProblem> {
    Err(not_built_in("postgres", args))
}

#[cfg(feature = "etcd")]
async fn etcd(url: &str, args: &Args) -> Result<Opened, StoreProblem> {
    use voicegain_auth_store::etcd::EtcdStore;

    let keys = GivenKeys::by_flags(args)?.ok_or(StoreProblem::NoMasterKeys("etcd"))?;
    let store = EtcdStore::open(url, keys.sealing.clone()).await.map_err(StoreProblem::open)?;
    Ok(opened(store, keys))
}

#[cfg(not(feature = "etcd"))]
async fn etcd(_url: &str, args: &Args) -> Result<Opened, StoreProblem> {
    Err(not_built_in("etcd", args))
}

impl StoreProblem {
    pub(crate) fn open(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Open(Box::new(error))
    }
}

/// An error with all its causes, where the keys do not fit in the words of the flags.
fn explained(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    match causes.filter_map(|cause| cause.downcast_ref()).next() {
        Some(mismatch) => format!("{error}: {}", in_flags(mismatch)),
        None => chain(error),
    }
}

fn in_flags(mismatch: &SealingMismatch) -> String {
    const FROM: &str =
        "the keys come from --master-key-file, VOICEGAIN_MASTER_KEYS, or the file beside a SQLite file";
    match mismatch {
        SealingMismatch::StoreIsSealed { key_ids } => format!(
            "its secrets are sealed, under the keys {}: use --master-key-file or VOICEGAIN_MASTER_KEYS instead of \
             --plain-secrets or --seal-existing",
            key_ids.join(", ")
        ),
        SealingMismatch::StoreIsPlain => {
            "its secrets are plain: --plain-secrets leaves them so. Those of a SQLite file \
             are sealed by --seal-existing; those of another store only by importing them into a new one"
                .to_owned()
        }
        SealingMismatch::MissingKey { key_ids } => format!(
            "it may hold secrets under master keys that were not given: {}. Give them too, or have a gateway that has them \
             and the new key, the new one first, seal everything anew (POST /api/master-keys/reseal), which retires the \
             others ({FROM})",
            key_ids.join(", ")
        ),
        SealingMismatch::WrongKey { .. } => format!("{mismatch} ({FROM})"),
        mismatch => mismatch.to_string(),
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
