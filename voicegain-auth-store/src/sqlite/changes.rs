//! What the changing thread does: each in one transaction, which also appends to the log.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use voicegain_auth_core::store::{
    Change, Ended, EntryId, LogPosition, Regenerated, Revision, Scope, StoreError,
};
use voicegain_auth_core::{
    Generation, NewWebConfig, RestoredWebConfig, Secret, WebConfig, WebConfigId, WebConfigPatch,
};

use super::error::{self, Cause, Outcome};
use super::place::Place;
use super::rows::{self, DELETED, ENDED, PUT, WEB_CONFIG, to_sql};
use super::{sealed, uses};

/// What a change did, for the log and for whoever asked.
struct Changed<T> {
    change: Change,
    answer: T,
}

fn change<T>(
    connection: &mut Connection,
    place: &Place,
    work: impl FnOnce(&Transaction<'_>, LogPosition) -> Outcome<Changed<T>>,
) -> Outcome<T> {
    let transaction = begin(connection)?;
    // The next revision is taken under the lock that all who change the file need, so that revisions become
    // visible in their order.
    let revision = Revision::new(rows::head(&transaction)?.revision.get().saturating_add(1));
    let entry = EntryId::generate().map_err(|_| Cause::NoRandomness)?;
    let position = LogPosition { revision, entry };
    let Changed { change, answer } = work(&transaction, position)?;
    append(&transaction, position, &change, place.log_capacity)?;
    commit(transaction, place)?;
    Ok(answer)
}

pub(super) fn begin(connection: &mut Connection) -> Outcome<Transaction<'_>> {
    if !connection.is_autocommit() {
        // What was rolled back last time would not be.
        connection.execute_batch("ROLLBACK")?;
    }
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

pub(super) fn commit(transaction: Transaction<'_>, place: &Place) -> Outcome<()> {
    place.files.still_there()?;
    transaction.commit().map_err(error::commit_failed)?;
    // If the file was taken away meanwhile, nobody knows where the change went.
    place.files.still_there().map_err(StoreError::outcome_unknown)?;
    Ok(())
}

fn append(
    transaction: &Transaction<'_>,
    position: LogPosition,
    change: &Change,
    log_capacity: u32,
) -> Outcome<()> {
    let (kind, of, account, context) = match change {
        Change::Put { id, generation, account_id, context_id } => {
            (PUT, Some((id, generation)), Some(account_id), Some(context_id))
        }
        Change::Deleted { id, generation } => (DELETED, Some((id, generation)), None, None),
        Change::Ended(Scope::Account(account_id)) => (ENDED, None, Some(account_id), None),
        Change::Ended(Scope::Context(account_id, context_id)) => {
            (ENDED, None, Some(account_id), Some(context_id))
        }
        _ => return Err(StoreError::unavailable("a change of a kind that this store cannot record").into()),
    };
    let revision = to_sql(position.revision.get())?;
    transaction
        .prepare_cached(
            "INSERT INTO change_log (revision, entry, id, kind, generation, account_id, context_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            revision,
            position.entry.as_bytes(),
            of.map(|(id, _)| id.as_bytes()),
            kind,
            of.map(|(_, generation)| to_sql(generation.get())).transpose()?,
            account.map(|id| id.as_str()),
            context.map(|id| id.as_str()),
        ))?;
    // The entry before the ones that are kept stays too: it is where reading all of them begins.
    transaction
        .prepare_cached("DELETE FROM change_log WHERE revision < ?1")?
        .execute([revision.saturating_sub(i64::from(log_capacity))])?;
    Ok(())
}

fn put(config: &WebConfig) -> Change {
    Change::Put {
        id: config.id,
        generation: config.generation,
        account_id: config.account_id.clone(),
        context_id: config.context_id.clone(),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(super) fn create(connection: &mut Connection, place: &Place, new: &NewWebConfig) -> Outcome<WebConfig> {
    begin_life(connection, place, new.id, &new.secret, |ended, revision| {
        new.born(ended, revision, unix_seconds())
    })
}

pub(super) fn restore(
    connection: &mut Connection,
    place: &Place,
    restored: &RestoredWebConfig,
) -> Outcome<WebConfig> {
    begin_life(connection, place, restored.id, &restored.secret, |ended, revision| {
        restored.born(ended, revision)
    })
}

/// Has a web config begin, new or restored, as `born` makes it of the generation that its id ended at.
fn begin_life(
    connection: &mut Connection,
    place: &Place,
    id: WebConfigId,
    secret: &Secret,
    born: impl FnOnce(Option<Generation>, Revision) -> Result<WebConfig, StoreError>,
) -> Outcome<WebConfig> {
    change(connection, place, |transaction, position| {
        let id = id.as_bytes();
        if transaction.prepare_cached("SELECT 1 FROM living_web_configs WHERE id = ?1")?.exists([id])? {
            return Err(StoreError::AlreadyExists.into());
        }
        // What a bulk end has ended is where it was.
        let ended = transaction
            .prepare_cached(
                "SELECT generation FROM web_configs WHERE id = ?1 \
                 UNION ALL SELECT generation FROM ended_web_configs WHERE id = ?1",
            )?
            .query_row([id], |row| Ok(rows::generation(row, 0)))
            .optional()?;
        let config = born(ended.transpose()?, position.revision)?;
        let sealed = sealed::seal(transaction, &place.sealing, secret, &config)?;
        transaction.prepare_cached("DELETE FROM ended_web_configs WHERE id = ?1")?.execute([id])?;
        uses::forget(transaction, config.id)?;
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO web_configs (id, account_id, context_id, name, allowed_origins, \
                 secret_format, key_id, secret, generation, revision, entry, born, created_at, \
                 secret_created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?10, ?12, ?13)",
            )?
            .execute((
                id,
                config.account_id.as_str(),
                config.context_id.as_str(),
                &config.name,
                rows::origins(&config.allowed_origins)?,
                sealed.format,
                &sealed.key_id,
                sealed.bytes.as_slice(),
                to_sql(config.generation.get())?,
                to_sql(position.revision.get())?,
                position.entry.as_bytes(),
                to_sql(config.created_at)?,
                to_sql(config.secret_created_at)?,
            ))?;
        Ok(Changed { change: put(&config), answer: config })
    })
}

pub(super) fn regenerate(
    connection: &mut Connection,
    place: &Place,
    id: WebConfigId,
    secret: &Secret,
) -> Outcome<Regenerated> {
    change(connection, place, |transaction, position| {
        let mut config = living(transaction, id)?;
        config.generation = config.generation.next();
        config.revision = position.revision;
        config.secret_created_at = unix_seconds();
        let sealed = sealed::seal(transaction, &place.sealing, secret, &config)?;
        transaction
            .prepare_cached(
                "UPDATE web_configs SET secret_format = ?2, key_id = ?3, secret = ?4, generation = ?5, \
                 revision = ?6, entry = ?7, secret_created_at = ?8 WHERE id = ?1",
            )?
            .execute((
                id.as_bytes(),
                sealed.format,
                &sealed.key_id,
                sealed.bytes.as_slice(),
                to_sql(config.generation.get())?,
                to_sql(position.revision.get())?,
                position.entry.as_bytes(),
                to_sql(config.secret_created_at)?,
            ))?;
        let others = others_of_context(transaction, &config)?;
        Ok(Changed { change: put(&config), answer: Regenerated { config, others } })
    })
}

pub(super) fn update(
    connection: &mut Connection,
    place: &Place,
    id: WebConfigId,
    patch: WebConfigPatch,
) -> Outcome<WebConfig> {
    change(connection, place, |transaction, position| {
        let mut config = living(transaction, id)?;
        if let Some(name) = patch.name {
            config.name = name;
        }
        if let Some(allowed_origins) = patch.allowed_origins {
            config.allowed_origins = allowed_origins;
        }
        config.revision = position.revision;
        transaction
            .prepare_cached(
                "UPDATE web_configs SET name = ?2, allowed_origins = ?3, revision = ?4, entry = ?5 WHERE id = ?1",
            )?
            .execute((
                id.as_bytes(),
                &config.name,
                rows::origins(&config.allowed_origins)?,
                to_sql(position.revision.get())?,
                position.entry.as_bytes(),
            ))?;
        Ok(Changed { change: put(&config), answer: config })
    })
}

pub(super) fn delete(connection: &mut Connection, place: &Place, id: WebConfigId) -> Outcome<Revision> {
    change(connection, place, |transaction, position| {
        let generation = living(transaction, id)?.generation;
        transaction.prepare_cached("DELETE FROM web_configs WHERE id = ?1")?.execute([id.as_bytes()])?;
        uses::forget(transaction, id)?;
        transaction
            .prepare_cached("INSERT INTO ended_web_configs (id, generation) VALUES (?1, ?2)")?
            .execute((id.as_bytes(), to_sql(generation.get())?))?;
        Ok(Changed { change: Change::Deleted { id, generation }, answer: position.revision })
    })
}

pub(super) fn end(connection: &mut Connection, place: &Place, scope: Scope) -> Outcome<Ended> {
    change(connection, place, |transaction, position| {
        // As a marker an account has the empty context id, which no context has.
        let (account, context) = match &scope {
            Scope::Account(account) => (account.as_str(), ""),
            Scope::Context(account, context) => (account.as_str(), context.as_str()),
        };
        let web_configs: i64 = transaction
            .prepare_cached(
                "SELECT count(*) FROM living_web_configs WHERE account_id = ?1 AND ?2 IN ('', context_id)",
            )?
            .query_row((account, context), |row| row.get(0))?;
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO ended_scopes (account_id, context_id, revision) VALUES (?1, ?2, ?3)",
            )?
            .execute((account, context, to_sql(position.revision.get())?))?;
        let web_configs = u64::try_from(web_configs).unwrap_or(0);
        let answer = Ended { revision: position.revision, web_configs };
        Ok(Changed { change: Change::Ended(scope), answer })
    })
}

fn living(transaction: &Transaction<'_>, id: WebConfigId) -> Outcome<WebConfig> {
    let sql = format!("SELECT {WEB_CONFIG} FROM living_web_configs WHERE id = ?1");
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut found = statement.query([id.as_bytes()])?;
    let row = found.next()?.ok_or(StoreError::NotFound)?;
    rows::web_config(rows::of(id, row)?)
}

fn others_of_context(transaction: &Transaction<'_>, config: &WebConfig) -> Outcome<Vec<WebConfig>> {
    let sql = format!(
        "SELECT {WEB_CONFIG} FROM living_web_configs WHERE account_id = ?1 AND context_id = ?2 AND id <> ?3 \
         ORDER BY id"
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut found =
        statement.query((config.account_id.as_str(), config.context_id.as_str(), config.id.as_bytes()))?;
    let mut others = Vec::new();
    while let Some(row) = found.next()? {
        others.push(rows::web_config(row)?);
    }
    Ok(others)
}
