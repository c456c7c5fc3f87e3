use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use voicegain_auth_core::{IssueError, Issuer, RestoredWebConfig, StoreError, WebConfigId};
use voicegain_auth_store::sealing::MasterKeys;
use zeroize::Zeroizing;

use super::document::{self, Document};
use super::export::inventory;
use super::record::{Contents, differences};
use super::{Import, counted, listed, thousands};
use crate::cli::Args;
use crate::cli::terminal::{age, plain};
use crate::cli::web_config::change::tell;
use crate::cli::web_config::list::{now, print};
use crate::cli::web_config::sqlite_file;
use crate::private_file;
use crate::store::chain;

/// How many are under way at a time: a store makes one change after the other, but need not wait for the next one.
const AT_ONCE: usize = 8;

pub(in crate::cli::web_config) async fn import(
    args: &Args,
    import: &Import,
    opened: impl AsyncFnOnce(bool) -> Result<Issuer, String>,
) -> Result<(), String> {
    let document = document_of(import)?;
    let Document { header, web_configs, contents } = &document;
    tell(&format!(
        "{} in {}, exported {} ago by {} from {}; contents: sha256:{contents}",
        counted(web_configs.len()),
        import.file.display(),
        age(now().saturating_sub(header.exported_at)),
        plain(&header.program),
        plain(&header.api_url),
    ));
    if import.dry_run && sqlite_file(args).is_some_and(|file| !file.exists()) {
        return print(&format!(
            "{} would be imported into a new store; nothing was changed\n",
            counted(web_configs.len())
        ));
    }
    let issuer = opened(!import.dry_run).await?;
    if header.api_url != issuer.api_url() {
        tell(&format!(
            "note: tokens in use name {}, those made here name {}; both are good here (--api-url)",
            plain(&header.api_url),
            issuer.api_url()
        ));
    }
    let text = into(&issuer, &document, import).await?;
    print(&text)?;
    if !import.dry_run {
        tell(
            "from now on this deployment and the one that they come from both accept the tokens of these web configs: a \
             token that is to end has to be ended in both, by regenerating or deleting its web config in each",
        );
    }
    Ok(())
}

/// Reads the file, and believes nothing of it before all of it was checked.
fn document_of(import: &Import) -> Result<Document, String> {
    let path = &*import.file;
    let keys = import.key_file.as_ref().map(MasterKeys::read_file).transpose();
    let keys = keys.map_err(|error| format!("--key-file: {}", chain(&error)))?;
    let wrong = |problem: String| format!("nothing was imported: {}: {}", path.display(), plain(&problem));
    let (text, exposure) = text_of(path).map_err(|error| wrong(error.to_string()))?;
    let document = document::read(&text, keys.as_ref()).map_err(wrong)?;
    // What is sealed may be read by others.
    if let (None, Err(exposure)) = (keys, exposure) {
        return Err(wrong(format!("it holds plain secrets, and {exposure}")));
    }
    Ok(document)
}

type Text = (Zeroizing<Vec<u8>>, Result<(), private_file::Exposure>);

fn text_of(path: &Path) -> io::Result<Text> {
    let mut text = Zeroizing::new(Vec::new());
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut text)?;
        return Ok((text, Ok(())));
    }
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    // As long as it will get, so that growing leaves no copy behind.
    text.reserve(usize::try_from(metadata.len()).unwrap_or_default().saturating_add(1));
    file.read_to_end(&mut text)?;
    Ok((text, private_file::closed_to_others(&metadata, path)))
}

/// Brings the web configs of a document into a store, and answers what there is to say about it.
pub(super) async fn into(issuer: &Issuer, document: &Document, import: &Import) -> Result<String, String> {
    let Document { web_configs, .. } = document;
    let missing = missing(issuer, web_configs, import.skip_existing).await?;
    let there = web_configs.len() - missing.len();
    let already = |text: String| match there {
        0 => text,
        there => format!("{text}, {} there already", thousands(there)),
    };
    if import.dry_run {
        let text = already(format!("{} would be imported", counted(missing.len())));
        let note = "whether one of them was deleted in the store shows only when it is imported";
        return Ok(format!("{text}; nothing was changed ({note})\n"));
    }
    let refused = restore(issuer, &missing, import.revive).await?;
    let imported = already(format!("{} imported", counted(missing.len() - refused.len())));
    let read_back =
        verified(issuer, document, &refused).await.map_err(|problem| format!("{imported}. {problem}"))?;
    if refused.is_empty() {
        return Ok(format!("{imported}; contents, read back: sha256:{read_back}, as in the file\n"));
    }
    let lines: Vec<_> = refused.iter().map(|(id, problem)| format!("{id}: {problem}")).collect();
    Err(format!(
        "{imported}, and read back as they are in the file. {} refused, and the others are not touched by that:{}",
        if lines.len() == 1 { "1 was".to_owned() } else { format!("{} were", thousands(lines.len())) },
        listed(&lines)
    ))
}

/// Those that do not live in the store yet. One that does is an error, unless it is the same there and may be passed over.
async fn missing<'a>(
    issuer: &Issuer,
    web_configs: &'a BTreeMap<WebConfigId, RestoredWebConfig>,
    skip_existing: bool,
) -> Result<Vec<&'a RestoredWebConfig>, String> {
    let inventory = inventory(issuer).await?;
    let unreadable: BTreeSet<_> = inventory.unreadable.into_iter().collect();
    let living: BTreeMap<_, _> =
        inventory.stored.into_iter().map(|stored| (stored.config.id, stored.into())).collect();
    let (mut missing, mut conflicts) = (Vec::new(), Vec::new());
    for (id, config) in web_configs {
        let Some(found) = living.get(id) else {
            if unreadable.contains(id) {
                conflicts.push(format!("{id}: is there already, and cannot be read, or was made just now"));
            } else {
                missing.push(config);
            }
            continue;
        };
        match (&*differences(config, found), skip_existing) {
            ([], true) => {}
            ([], false) => conflicts.push(format!("{id}: is there already, the same")),
            (differences, _) => {
                conflicts
                    .push(format!("{id}: is there already, with a different {}", differences.join(", ")));
            }
        }
    }
    if conflicts.is_empty() {
        return Ok(missing);
    }
    let hint = if skip_existing {
        "decide about each which one is right, and delete the other one"
    } else {
        "--skip-existing passes over those that are the same"
    };
    let count = counted(conflicts.len());
    Err(format!(
        "nothing was imported: {count} of the file live in the store ({hint}):{}",
        listed(&conflicts)
    ))
}

/// Restores them, and answers those that the store refused because of what it remembers of their ids.
async fn restore(
    issuer: &Issuer,
    missing: &[&RestoredWebConfig],
    revive: bool,
) -> Result<BTreeMap<WebConfigId, String>, String> {
    let mut progress = Progress::new(missing.len());
    let mut refused = BTreeMap::new();
    let mut restoring = futures_util::stream::iter(missing)
        .map(|config| async move {
            let restored = RestoredWebConfig { revive, ..(*config).clone() };
            (config.id, issuer.restore(restored).await)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((id, outcome)) = restoring.next().await {
        match outcome {
            Ok(_) => progress.one_more(),
            Err(error) => match refusal(&error) {
                Some(why) => {
                    refused.insert(id, why.to_owned());
                }
                None => {
                    let (done, all) = (thousands(progress.done), thousands(missing.len()));
                    drop(progress);
                    return Err(format!(
                        "{done} of {all} are known to be imported, then {id} was not: {}. Do it again with --skip-existing",
                        chain(&error)
                    ));
                }
            },
        }
    }
    Ok(refused)
}

fn refusal(error: &IssueError) -> Option<&'static str> {
    Some(match error {
        IssueError::Store(StoreError::Deleted) => {
            "was deleted in this store; --revive restores it, since the file has a later generation of it"
        }
        IssueError::Store(StoreError::GenerationPassed) => {
            "was deleted in this store, at the generation that the file has or a later one; it does not come back"
        }
        IssueError::Store(StoreError::AlreadyExists) => "has been created in this store meanwhile",
        _ => return None,
    })
}

/// Compares what the store now has of them with the file, and answers the digest of that.
async fn verified(
    issuer: &Issuer,
    document: &Document,
    refused: &BTreeMap<WebConfigId, String>,
) -> Result<String, String> {
    let inventory = inventory(issuer).await?;
    let wanted = |id: &WebConfigId| document.web_configs.contains_key(id) && !refused.contains_key(id);
    let found: BTreeMap<_, _> = inventory
        .stored
        .into_iter()
        .filter(|stored| wanted(&stored.config.id))
        .map(|stored| (stored.config.id, stored.into()))
        .collect();
    let expected = || document.web_configs.iter().filter(|(id, _)| wanted(id));
    let wrong: Vec<_> = expected()
        .filter_map(|(id, config)| match found.get(id) {
            None => Some(format!("{id}: is not there, or cannot be read")),
            Some(found) => match &*differences(config, found) {
                [] => None,
                differences => Some(format!("{id}: has a different {}", differences.join(", "))),
            },
        })
        .collect();
    let read_back = Contents::of(found.values());
    if wrong.is_empty() && read_back == Contents::of(expected().map(|(_, config)| config)) {
        return Ok(read_back);
    }
    Err(format!(
        "But what was read back from the store is not what the file has (sha256:{read_back} instead of sha256:{}). Unless \
         somebody has changed these meanwhile, do not use that store:{}",
        document.contents,
        listed(&wrong)
    ))
}

/// Says how far it has come, to whoever watches.
struct Progress {
    done: usize,
    all: usize,
    said: Option<Instant>,
}

impl Progress {
    fn new(all: usize) -> Self {
        Self { done: 0, all, said: io::stderr().is_terminal().then(Instant::now) }
    }

    fn one_more(&mut self) {
        self.done += 1;
        if self.said.is_some_and(|said| said.elapsed() >= Duration::from_millis(200)) {
            self.said = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{} of {}", thousands(self.done), thousands(self.all));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.said.is_some() {
            let _ = writeln!(io::stderr(), "\r{} of {}", thousands(self.done), thousands(self.all));
        }
    }
}
