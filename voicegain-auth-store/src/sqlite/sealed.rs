//! What the file says of how its secrets are sealed, and the secrets that go into it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Transaction};
use voicegain_auth_core::store::StoreError;
use voicegain_auth_core::{Secret, WebConfig, WebConfigId};

use super::changes;
use super::error::{OpenError, Outcome};
use super::place::Place;
use super::rows;
use crate::sealing::{
    Anew, Binding, Kind, MasterKeys, Resealed, Retired, SealedSecret, Sealing, SealingMismatch, skip,
};

/// How many secrets are sealed anew in one transaction at most: the others who change the file wait for it.
const MOST_AT_ONCE: usize = 1_000;

/// The file's key ids and their check values.
type Known = Vec<(String, Vec<u8>)>;

fn known(connection: &Connection) -> rusqlite::Result<Known> {
    let mut statement =
        connection.prepare_cached("SELECT key_id, check_value FROM master_keys ORDER BY key_id")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn kind_text(connection: &Connection) -> rusqlite::Result<String> {
    connection.prepare_cached("SELECT kind FROM sealing")?.query_row([], |row| row.get(0))
}

/// Why a file cannot be opened, for what has no path at hand.
pub(super) enum Refused {
    Sqlite(rusqlite::Error),
    Mismatch(SealingMismatch),
    Unreadable(StoreError),
}

impl Refused {
    pub(super) fn at(self, path: &Path) -> OpenError {
        match self {
            Self::Sqlite(error) => OpenError::sqlite(path, error),
            Self::Mismatch(source) => OpenError::Sealing { path: path.to_owned(), source },
            Self::Unreadable(error) => OpenError::first_read(path, error),
        }
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<SealingMismatch> for Refused {
    fn from(mismatch: SealingMismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

/// How a store is to be opened.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) sealing: &'a Sealing,
    /// Whether a plain file becomes a sealed one.
    pub(super) seal_existing: bool,
}

impl Wanted<'_> {
    fn converts(&self, kind: Kind) -> bool {
        self.seal_existing && (kind, self.sealing.kind()) == (Kind::Plain, Kind::Sealed)
    }

    /// Whether a file of an older version, which can only be plain, may be opened.
    pub(super) fn admits_plain(&self) -> Result<(), Refused> {
        if self.converts(Kind::Plain) {
            return Ok(());
        }
        let known: &Known = &Vec::new();
        self.sealing.admit(Kind::Plain, known)?;
        Ok(())
    }

    /// Whether a file of the newest version may be opened, and nothing in it needs changing.
    pub(super) fn is_settled(&self, connection: &Connection) -> Result<bool, Refused> {
        let kind = Kind::parse(&kind_text(connection)?)?;
        if self.converts(kind) {
            return Ok(false);
        }
        Ok(self.sealing.admit(kind, &known(connection)?)?.is_none())
    }

    /// Makes a new file one of the wanted kind, and one of an older version the plain one that it was.
    pub(super) fn begin(&self, transaction: &Transaction<'_>, is_new: bool) -> Result<(), Refused> {
        let kind = if is_new { self.sealing.kind() } else { Kind::Plain };
        transaction.execute("INSERT INTO sealing (one, kind) VALUES (1, ?1)", [kind.as_str()])?;
        Ok(())
    }

    /// Does in a file of the newest version what is left to do; whether its secrets were sealed.
    pub(super) fn settle(&self, transaction: &Transaction<'_>) -> Result<bool, Refused> {
        let mut kind = Kind::parse(&kind_text(transaction)?)?;
        let converts = self.converts(kind);
        if converts {
            seal_all(transaction, self.sealing).map_err(|failed| Refused::Unreadable(failed.into()))?;
            kind = Kind::Sealed;
            transaction.execute("UPDATE sealing SET kind = ?1", [kind.as_str()])?;
        }
        if let Some((key_id, check)) = self.sealing.admit(kind, &known(transaction)?)? {
            remember(transaction, &key_id, &check)?;
        }
        Ok(converts)
    }
}

fn remember(transaction: &Transaction<'_>, key_id: &str, check: &[u8]) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO master_keys (key_id, check_value) VALUES (?1, ?2)")?
        .execute((key_id, check))?;
    Ok(())
}

/// Seals every secret of a plain file, those of ended web configs too: no plain one is to be left.
fn seal_all(transaction: &Transaction<'_>, sealing: &Sealing) -> Outcome<()> {
    let mut after = None;
    loop {
        let page = page(transaction, after, MOST_AT_ONCE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for Listed { read, .. } in page {
            let (config, plain) = read?;
            let secret = Sealing::Plain.open(&plain, &Binding::of(&config))?;
            put(transaction, &config, &sealing.seal(&secret, &Binding::of(&config))?)?;
        }
    }
}

/// A web config, with its secret as it is kept.
type Kept = (WebConfig, SealedSecret);

/// One of a page.
struct Listed {
    id: WebConfigId,
    lives: bool,
    /// As far as it can be read.
    read: Outcome<Kept>,
}

/// Web configs, living or not, in the order of ids.
fn page(transaction: &Transaction<'_>, after: Option<WebConfigId>, limit: usize) -> Outcome<Vec<Listed>> {
    let sql = format!(
        "SELECT {}, EXISTS (SELECT 1 FROM living_web_configs living WHERE living.id = web_configs.id) AS lives \
         FROM web_configs WHERE id > ?1 ORDER BY id LIMIT ?2",
        rows::STORED_WEB_CONFIG
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut found = statement.query((rows::after(after.as_ref()), rows::at_most(limit)))?;
    let mut page = Vec::new();
    while let Some(row) = found.next()? {
        let kept = rows::web_config(row).and_then(|config| Ok((config, rows::sealed_secret(row)?)));
        page.push(Listed { id: rows::id(row, 0)?, lives: row.get("lives")?, read: kept });
    }
    Ok(page)
}

/// Writes the same secret, sealed in another way, into the record it was read from.
fn put(transaction: &Transaction<'_>, config: &WebConfig, sealed: &SealedSecret) -> Outcome<()> {
    transaction
        .prepare_cached(
            "UPDATE web_configs SET secret_format = ?3, key_id = ?4, secret = ?5 WHERE id = ?1 AND revision = ?2",
        )?
        .execute((
            config.id.as_bytes(),
            rows::to_sql(config.revision.get())?,
            sealed.format,
            &sealed.key_id,
            sealed.bytes.as_slice(),
        ))?;
    Ok(())
}

/// What the file is to keep of a secret.
pub(super) fn seal(
    transaction: &Transaction<'_>,
    sealing: &Sealing,
    secret: &Secret,
    config: &WebConfig,
) -> Outcome<SealedSecret> {
    let sealed = sealing.seal(secret, &Binding::of(config))?;
    admit_write(transaction, sealing, sealed.key_id.as_deref())?;
    Ok(sealed)
}

/// The keys may have been replaced, and the file may have become a sealed one, since it was opened.
fn admit_write(transaction: &Transaction<'_>, sealing: &Sealing, key_id: Option<&str>) -> Outcome<()> {
    let kind = Kind::parse(&kind_text(transaction)?).map_err(StoreError::damaged)?;
    let check: Option<Vec<u8>> = match key_id {
        None => None,
        Some(key_id) => transaction
            .prepare_cached("SELECT check_value FROM master_keys WHERE key_id = ?1")?
            .query_row([key_id], |row| row.get(0))
            .optional()?,
    };
    Ok(sealing.admit_write(kind, key_id, check.as_deref())?)
}

/// Seals anew what is under another key than the first. What a bulk end has ended is never opened again and stays as it
/// is. No other change can come between: it happens in one transaction.
pub(super) fn reseal(
    connection: &mut Connection,
    place: &Place,
    after: Option<WebConfigId>,
    limit: usize,
) -> Outcome<Resealed> {
    let limit = limit.clamp(1, MOST_AT_ONCE);
    let sealing = place.sealing.snapshot();
    let first = sealing.first_id()?;
    let transaction = changes::begin(connection)?;
    // Before anything else, a look at the schema's version.
    rows::head(&transaction)?;
    admit_write(&transaction, &sealing, Some(&first))?;
    let mut page = page(&transaction, after, limit.saturating_add(1))?;
    let more = page.len() > limit;
    page.truncate(limit);
    let mut done = Resealed { last: page.last().map(|last| last.id), resealed: 0, skipped: 0, more };
    for Listed { id, read, .. } in page.into_iter().filter(|listed| listed.lives) {
        let (config, sealed) = match read.map_err(StoreError::from) {
            Ok(kept) => kept,
            Err(error @ StoreError::Damaged(_)) => {
                skip(id, &error);
                done.skipped += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match sealing.reseal(&sealed, &Binding::of(&config))? {
            Anew::UpToDate => {}
            Anew::Skipped => done.skipped += 1,
            Anew::Sealed(anew) => {
                put(&transaction, &config, &anew)?;
                done.resealed += 1;
            }
        }
    }
    changes::commit(transaction, place)?;
    Ok(done)
}

/// Forgets the keys that are not the first one and that nothing living is sealed under. Nothing is sealed
/// under one of them any more.
pub(super) fn retire_keys(connection: &mut Connection, place: &Place) -> Outcome<Retired> {
    const FORGET: &str = "DELETE FROM master_keys WHERE key_id <> ?1 \
         AND key_id NOT IN (SELECT key_id FROM living_web_configs WHERE key_id IS NOT NULL) RETURNING key_id";
    let sealing = place.sealing.snapshot();
    let first = sealing.first_id()?;
    let transaction = changes::begin(connection)?;
    rows::head(&transaction)?;
    admit_write(&transaction, &sealing, Some(&first))?;
    let mut retired: Vec<String> = {
        let mut statement = transaction.prepare_cached(FORGET)?;
        statement.query_map([&*first], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
    };
    retired.sort_unstable();
    let known = key_ids(&transaction)?;
    changes::commit(transaction, place)?;
    Ok(Retired { retired, known })
}

/// The ids of the keys that the file may hold secrets under.
pub(super) fn key_ids(connection: &Connection) -> Outcome<Vec<String>> {
    Ok(known(connection)?.into_iter().map(|(key_id, _)| key_id).collect())
}

/// Puts these keys to use if the file could be opened with them, and remembers the first one.
pub(super) fn adopt_keys(connection: &mut Connection, place: &Place, keys: &MasterKeys) -> Outcome<()> {
    let keys = keys.snapshot();
    place.sealing.may_adopt(&keys)?;
    let transaction = changes::begin(connection)?;
    rows::head(&transaction)?;
    let known = known(&transaction)?;
    let kind = Kind::parse(&kind_text(&transaction)?).map_err(StoreError::unavailable)?;
    if let Some((key_id, check)) = place.sealing.admit_adoption(&keys, kind, &known)? {
        remember(&transaction, &key_id, &check)?;
    }
    changes::commit(transaction, place)?;
    Ok(place.sealing.adopt(&keys)?)
}
