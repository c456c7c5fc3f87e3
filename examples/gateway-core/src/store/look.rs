//! What is to be found of a store without opening it.

use std::path::Path;

use voicegain_auth_store::sealing::{MasterKeys, Sealing};
use voicegain_auth_store::sqlite::{Look, SqliteOptions};

use super::{StoreProblem, not_built_in, unknown};
use crate::cli::Args;
use crate::master_keys::{GivenKeys, key_file_beside};

/// The store's URL without what may be a password.
pub(crate) fn shown(url: &str) -> String {
    match url.split_once(':') {
        Some((scheme @ ("sqlite" | "memory"), rest)) => format!("{scheme}:{rest}"),
        _ => shown_of_unknown(url),
    }
}

/// The same of what is no such URL.
pub(super) fn shown_of_unknown(url: &str) -> String {
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'+');
    let is_name =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    match url.split_once(':') {
        Some((scheme, _)) if is_scheme(scheme) => format!("{scheme}:\u{2026}"),
        None if is_name(url) => url.to_owned(),
        // Some other way of naming a database, perhaps, with a password in it.
        _ => "(not shown)".to_owned(),
    }
}

/// The kind of the store that this URL names.
pub(crate) fn kind(url: &str) -> Option<&'static str> {
    match url.split_once(':')?.0 {
        "sqlite" => Some("sqlite"),
        "memory" => Some("memory"),
        "postgres" | "postgresql" => Some("postgres"),
        "etcd" | "etcds" => Some("etcd"),
        _ => None,
    }
}

/// Says what opening would find and do, one thing a line. Nothing is changed, made or connected to.
pub(crate) fn look(args: &Args) -> Result<Vec<String>, StoreProblem> {
    let url = args.store.as_str();
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    if args.seal_existing && scheme != Some("sqlite") {
        return Err(StoreProblem::SealExisting);
    }
    match scheme {
        Some("sqlite") if url.starts_with("sqlite://") => sqlite(url.trim_start_matches("sqlite://"), args),
        Some("memory") if url == "memory:" => match GivenKeys::by_flags(args)? {
            Some(keys) if matches!(keys.sealing, Sealing::Keys(_)) => Err(StoreProblem::KeysInMemory),
            _ => Ok(vec!["store: in memory; no web config and no token outlives the process".to_owned()]),
        },
        Some("postgres" | "postgresql") => server("postgres", cfg!(feature = "postgres"), args),
        Some("etcd" | "etcds") => server("etcd", cfg!(feature = "etcd"), args),
        _ => Err(unknown(url)),
    }
}

fn server(scheme: &'static str, is_built_in: bool, args: &Args) -> Result<Vec<String>, StoreProblem> {
    if !is_built_in {
        return Err(not_built_in(scheme, args));
    }
    let keys = GivenKeys::by_flags(args)?.ok_or(StoreProblem::NoMasterKeys(scheme))?;
    let keys = said(&keys.sealing, "that were given");
    Ok(vec![keys, "not looked at: the store's server, and whether the keys are its own".to_owned()])
}

fn sqlite(file: &str, args: &Args) -> Result<Vec<String>, StoreProblem> {
    if file.is_empty() {
        return Err(StoreProblem::NoFile);
    }
    let file = Path::new(file);
    let beside = key_file_beside(file);
    let (sealing, keys) = match GivenKeys::by_flags(args)? {
        Some(given) => {
            let said = said(&given.sealing, "that were given");
            (Some(given.sealing), said)
        }
        None if beside.exists() => {
            let keys = MasterKeys::read_file(&beside)
                .map_err(|error| StoreProblem::MasterKeys("the key file beside the database", error))?;
            let sealing = Sealing::from(keys);
            let said = said(&sealing, &format!("in {}", beside.display()));
            (Some(sealing), said)
        }
        None if file.exists() && !args.seal_existing => {
            return Err(StoreProblem::KeyFileMissing { file: file.to_owned(), key_file: beside });
        }
        None => (None, format!("keys: a new one would be made, in {}", beside.display())),
    };
    let options = SqliteOptions::new().seal_existing(args.seal_existing);
    // A database that new keys would be made for has to be a plain one.
    let look = options.look(file, &sealing.unwrap_or(Sealing::Plain)).map_err(StoreProblem::open)?;
    let found = match look {
        Look::Missing => "there is none yet; it would be made",
        Look::Ready => "it is there, whole, and fits the keys",
        _ => "it is there and whole; it would be brought to the newest version, or sealed",
    };
    Ok(vec![keys, format!("store: {}: {found}", file.display())])
}

fn said(sealing: &Sealing, from: &str) -> String {
    match sealing {
        Sealing::Keys(keys) => {
            format!("keys: secrets are sealed under those {from}: {}", keys.key_ids().join(", "))
        }
        _ => "keys: none; secrets are kept as they are, and whoever can read the store can sign tokens"
            .to_owned(),
    }
}
