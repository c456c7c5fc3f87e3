//! What the changing thread does: each in one transaction, which also appends to the log.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use voicegain_auth_core::Secret;
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::{Change, EntryId, LogPosition, Regenerated, Revision, StoreError};
use voicegain_auth_core::{Generation, NewWebConfig, WebConfig, WebConfigPatch};

use super::error::{self, Cause, Outcome};
use super::files::Files;
use super::rows::{self, DELETED, PLAIN, PUT, WEB_CONFIG, to_sql};

/// What a change did, for the log and for whoever asked.
struct Changed<T> {
    id: WebConfigId,
    change: Change,
    answer: T,
}

fn change<T>(
    connection: &mut Connection,
    files: &Files,
    log_capacity: u32,
    work: impl FnOnce(&Transaction<'_>, LogPosition) -> Outcome<Changed<T>>,
) -> Outcome<T> {
    if !connection.is_autocommit() {
        // What was rolled back last time would not be.
        connection.execute_batch("ROLLBACK")?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // The next revision is taken under the lock that all who change the file need, so that revisions become
    // visible in their order.
    let revision = Revision::new(rows::head(&transaction)?.revision.get().saturating_add(1));
    let entry = EntryId::generate().map_err(|_| Cause::NoRandomness)?;
    let position = LogPosition { revision, entry };
    let Changed { id, change, answer } = work(&transaction, position)?;
    append(&transaction, position, id, change, log_capacity)?;
    files.still_there()?;
    transaction.commit().map_err(error::commit_failed)?;
    // If the file was taken away meanwhile, nobody knows where the change went.
    files.still_there().map_err(StoreError::outcome_unknown)?;
    Ok(answer)
}

fn append(
    transaction: &Transaction<'_>,
    position: LogPosition,
    id: WebConfigId,
    change: Change,
    log_capacity: u32,
) -> Outcome<()> {
    let (kind, generation) = match change {
        Change::Put(generation) => (PUT, generation),
        Change::Deleted(generation) => (DELETED, generation),
        _ => return Err(StoreError::unavailable("a change of a kind that this store cannot record").into()),
    };
    let revision = to_sql(position.revision.get())?;
    transaction
        .prepare_cached(
            "INSERT INTO change_log (revision, entry, id, kind, generation) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((revision, position.entry.as_bytes(), id.as_bytes(), kind, to_sql(generation.get())?))?;
    // The entry before the ones that are kept stays too: it is where reading all of them begins.
    transaction
        .prepare_cached("DELETE FROM change_log WHERE revision < ?1")?
        .execute([revision.saturating_sub(i64::from(log_capacity))])?;
    Ok(())
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(super) fn create(
    connection: &mut Connection,
    files: &Files,
    log_capacity: u32,
    new: &NewWebConfig,
) -> Outcome<WebConfig> {
    change(connection, files, log_capacity, |transaction, position| {
        let id = new.id.as_bytes();
        if transaction.prepare_cached("SELECT 1 FROM web_configs WHERE id = ?1")?.exists([id])? {
            return Err(StoreError::AlreadyExists.into());
        }
        let ended = transaction
            .prepare_cached("SELECT generation FROM ended_web_configs WHERE id = ?1")?
            .query_row([id], |row| Ok(rows::generation(row, 0)))
            .optional()?;
        let generation = match ended.transpose()? {
            None => Generation::FIRST,
            Some(last) if new.revive => last.next(),
            Some(_) => return Err(StoreError::Deleted.into()),
        };
        let now = unix_seconds();
        let config = WebConfig {
            id: new.id,
            account_id: new.account_id.clone(),
            context_id: new.context_id.clone(),
            name: new.name.clone(),
            allowed_origins: new.allowed_origins.clone(),
            generation,
            revision: position.revision,
            created_at: now,
            secret_created_at: now,
        };
        transaction.prepare_cached("DELETE FROM ended_web_configs WHERE id = ?1")?.execute([id])?;
        transaction
            .prepare_cached(
                "INSERT INTO web_configs (id, account_id, context_id, name, allowed_origins, secret_format, \
                 secret, generation, revision, entry, created_at, secret_created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
            )?
            .execute((
                id,
                config.account_id.as_str(),
                config.context_id.as_str(),
                &config.name,
                rows::origins(&config.allowed_origins)?,
                PLAIN,
                new.secret.expose(),
                to_sql(generation.get())?,
                to_sql(position.revision.get())?,
                position.entry.as_bytes(),
                to_sql(now)?,
            ))?;
        Ok(Changed { id: new.id, change: Change::Put(generation), answer: config })
    })
}

pub(super) fn regenerate(
    connection: &mut Connection,
    files: &Files,
    log_capacity: u32,
    id: WebConfigId,
    secret: &Secret,
) -> Outcome<Regenerated> {
    change(connection, files, log_capacity, |transaction, position| {
        let mut config = living(transaction, id)?;
        config.generation = config.generation.next();
        config.revision = position.revision;
        config.secret_created_at = unix_seconds();
        transaction
            .prepare_cached(
                "UPDATE web_configs SET secret_format = ?2, secret = ?3, generation = ?4, revision = ?5, \
                 entry = ?6, secret_created_at = ?7 WHERE id = ?1",
            )?
            .execute((
                id.as_bytes(),
                PLAIN,
                secret.expose(),
                to_sql(config.generation.get())?,
                to_sql(position.revision.get())?,
                position.entry.as_bytes(),
                to_sql(config.secret_created_at)?,
            ))?;
        let others = others_of_context(transaction, &config)?;
        let change = Change::Put(config.generation);
        Ok(Changed { id, change, answer: Regenerated { config, others } })
    })
}

pub(super) fn update(
    connection: &mut Connection,
    files: &Files,
    log_capacity: u32,
    id: WebConfigId,
    patch: WebConfigPatch,
) -> Outcome<WebConfig> {
    change(connection, files, log_capacity, |transaction, position| {
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
        Ok(Changed { id, change: Change::Put(config.generation), answer: config })
    })
}

pub(super) fn delete(
    connection: &mut Connection,
    files: &Files,
    log_capacity: u32,
    id: WebConfigId,
) -> Outcome<Revision> {
    change(connection, files, log_capacity, |transaction, position| {
        let generation = living(transaction, id)?.generation;
        transaction.prepare_cached("DELETE FROM web_configs WHERE id = ?1")?.execute([id.as_bytes()])?;
        transaction
            .prepare_cached("INSERT INTO ended_web_configs (id, generation) VALUES (?1, ?2)")?
            .execute((id.as_bytes(), to_sql(generation.get())?))?;
        Ok(Changed { id, change: Change::Deleted(generation), answer: position.revision })
    })
}

fn living(transaction: &Transaction<'_>, id: WebConfigId) -> Outcome<WebConfig> {
    let sql = format!("SELECT {WEB_CONFIG} FROM web_configs WHERE id = ?1");
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut found = statement.query([id.as_bytes()])?;
    found.next()?.map_or_else(|| Err(StoreError::NotFound.into()), rows::web_config)
}

fn others_of_context(transaction: &Transaction<'_>, config: &WebConfig) -> Outcome<Vec<WebConfig>> {
    let sql = format!(
        "SELECT {WEB_CONFIG} FROM web_configs WHERE account_id = ?1 AND context_id = ?2 AND id <> ?3 \
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
