use std::future::ready;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use voicegain_auth_core::audit::{Act, Deed, Effect};
use voicegain_auth_core::{Inventory, Issuer, RestoredWebConfig};
use voicegain_auth_store::sealing::MasterKeys;

use super::document::{self, Header};
use super::new_file::NewFile;
use super::{Export, counted, listed};
use crate::cli::Args;
use crate::cli::web_config::change::tell;
use crate::cli::web_config::list::now;
use crate::cli::web_config::problem;
use crate::store::chain;

/// How often the store is read, if it changes meanwhile.
const ATTEMPTS: usize = 5;

pub(in crate::cli::web_config) async fn export(
    args: &Args,
    export: &Export,
    opened: impl AsyncFnOnce(bool) -> Result<Issuer, String>,
) -> Result<(), String> {
    let keys = keys(export)?;
    // What cannot work is found out before a secret is read.
    let file = match &export.output {
        Some(path) => Some(NewFile::create(path).map_err(|error| not_written(path, &error))?),
        None if io::stdout().is_terminal() => {
            return Err("secrets are not shown at a terminal: name a file with --output FILE".to_owned());
        }
        None => None,
    };
    let issuer = opened(false).await?;
    let configs = all(&issuer).await?;
    // Before anybody has the secrets.
    let effect = Effect::default().on(configs.len() as u64);
    let told = issuer.act(Deed::new(Act::Export), ready(Ok(((), effect)))).await;
    told.map_err(|error| format!("nothing was exported: {}", chain(&error)))?;
    let program = format!("{} {}", args.program, env!("CARGO_PKG_VERSION"));
    let header = Header::new(now(), program, issuer.api_url());
    let contents = match (file, &export.output) {
        (Some(mut file), Some(path)) => document::write(&mut file.file, header, &configs, keys.as_ref())
            .and_then(|contents| file.finish().map(|()| contents))
            .map_err(|error| not_written(path, &error))?,
        _ => {
            let mut output = io::stdout().lock();
            document::write(&mut output, header, &configs, keys.as_ref())
                .and_then(|contents| output.flush().map(|()| contents))
                .map_err(|error| format!("the export could not be written: {error}"))?
        }
    };
    tell(&format!("exported {}; contents: sha256:{contents}", counted(configs.len())));
    tell(match keys {
        Some(_) => {
            "their secrets are in it, sealed: keep the key file elsewhere, and delete both when they are moved"
        }
        None => {
            "their secrets are in it as they are: whoever can read it can sign tokens; delete it when they are moved"
        }
    });
    Ok(())
}

fn keys(export: &Export) -> Result<Option<MasterKeys>, String> {
    match &export.key_file {
        Some(file) => {
            let keys = MasterKeys::read_file(file);
            Ok(Some(keys.map_err(|error| format!("--key-file: {}", chain(&error)))?))
        }
        None if export.plain_export => Ok(None),
        None => {
            Err("an export holds secrets: give a key file to seal them under with --key-file FILE, or say \
                     --plain-export to have them in it as they are"
                .to_owned())
        }
    }
}

/// All web configs, as they were at one moment if the store lets that be.
pub(super) async fn inventory(issuer: &Issuer) -> Result<Inventory, String> {
    let mut attempts = 1;
    loop {
        let inventory = issuer.inventory().await.map_err(|error| problem(&error))?;
        if inventory.head.is_some() || attempts == ATTEMPTS {
            return Ok(inventory);
        }
        attempts += 1;
    }
}

/// All web configs, as they were at one moment.
pub(super) async fn all(issuer: &Issuer) -> Result<Vec<RestoredWebConfig>, String> {
    let Inventory { stored, unreadable, head, .. } = inventory(issuer).await?;
    if head.is_none() {
        return Err(format!(
            "nothing was exported: the store was read {ATTEMPTS} times, and each time something in it changed meanwhile. Let \
             nobody create, change or delete web configs, and do it again"
        ));
    }
    if !unreadable.is_empty() {
        let ids: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
        return Err(format!(
            "nothing was exported: {} of {} cannot be read, for instance because the key that a secret is sealed under \
             is missing, or a record is damaged. Give the missing key too, or regenerate or delete these first:{}",
            counted(ids.len()),
            stored.len() + ids.len(),
            listed(&ids)
        ));
    }
    Ok(stored.into_iter().map(Into::into).collect())
}

fn not_written(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!(
                "--output {path}: there is a file already, and an export never takes its place; name another one"
            )
        }
        _ => format!("--output {path}: {error}"),
    }
}
