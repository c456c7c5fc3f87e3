//! What the store says of how its secrets are sealed, and the secrets that go into it.

use tokio_postgres::Row;
use voicegain_auth_core::store::StoreError;
use voicegain_auth_core::{Secret, WebConfig, WebConfigId};

use super::connection::{Connection, Parameters};
use super::error::{Failed, Outcome};
use super::reads::{Read, after, stored_web_config};
use super::rows::Columns;
use super::values::{Hidden, Uuid, at_most, to_sql};
use crate::sealing::{Anew, Binding, Kind, MasterKeys, Resealed, Retired, SealedSecret, Sealing, skip};

/// How many secrets are sealed anew in one transaction at most: changes of the same web configs wait for it.
const MOST_AT_ONCE: usize = 1_000;

/// Whether the store is plain or sealed, and its key ids with their check values.
pub(super) async fn known(connection: &mut Connection) -> Outcome<(String, Vec<(String, Vec<u8>)>)> {
    const SQL: &str = "SELECT s.kind, k.key_id, k.check_value FROM sealing s LEFT JOIN master_keys k ON true \
         ORDER BY k.key_id";
    let rows = connection.query(SQL, &[]).await?;
    let kind = rows.first().map(|row| Columns::of(row).take::<String>()).transpose()?;
    let kind = kind.ok_or_else(|| Failed::damaged("it does not say whether its secrets are sealed"))?;
    let key = |row: &Row| {
        let mut row = Columns::of(row);
        row.take::<&str>()?;
        let (key_id, check) = (row.take::<Option<String>>()?, row.take::<Option<Vec<u8>>>()?);
        Ok(key_id.zip(check))
    };
    let keys: Outcome<Vec<_>> = rows.iter().filter_map(|row| key(row).transpose()).collect();
    Ok((kind, keys?))
}

/// Remembers a key by its check value; false if the store had one for this key id by then.
pub(super) async fn remember(connection: &mut Connection, key_id: &str, check: &[u8]) -> Outcome<bool> {
    const SQL: &str = "INSERT INTO master_keys (key_id, check_value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    Ok(connection.execute(SQL, &[&key_id, &check]).await? > 0)
}

/// The ids of the keys that the store may hold secrets under.
pub(super) struct KnownKeys;

impl Read for KnownKeys {
    type Answer = Vec<String>;

    async fn read(&self, connection: &mut Connection) -> Outcome<Vec<String>> {
        key_ids(connection).await
    }
}

async fn key_ids(connection: &mut Connection) -> Outcome<Vec<String>> {
    let (_, keys) = known(connection).await?;
    let mut key_ids: Vec<_> = keys.into_iter().map(|(key_id, _)| key_id).collect();
    // The database's own order depends on its locale.
    key_ids.sort_unstable();
    Ok(key_ids)
}

/// Looks whether the store could be opened with these keys, and remembers the first one, in a transaction that holds the
/// head of the log.
pub(super) async fn adopt_keys(
    connection: &mut Connection,
    sealing: &Sealing,
    keys: &MasterKeys,
) -> Outcome<()> {
    lock_keys(connection).await?;
    let (kind, known) = known(connection).await?;
    let kind = Kind::parse(&kind).map_err(StoreError::unavailable)?;
    if let Some((key_id, check)) = sealing.admit_adoption(keys, kind, &known)? {
        // Whoever else remembers a key holds one of the two locks too.
        remember(connection, &key_id, &check).await?;
    }
    Ok(())
}

/// What the store is to keep of a secret.
pub(super) async fn seal(
    connection: &mut Connection,
    sealing: &Sealing,
    secret: &Secret,
    config: &WebConfig,
) -> Outcome<SealedSecret> {
    let sealed = sealing.seal(secret, &Binding::of(config))?;
    admit_write(connection, sealing, sealed.key_id.as_deref()).await?;
    Ok(sealed)
}

/// The keys may have been replaced since the store was opened.
async fn admit_write(connection: &mut Connection, sealing: &Sealing, key_id: Option<&str>) -> Outcome<()> {
    const SQL: &str = "SELECT kind, (SELECT check_value FROM master_keys WHERE key_id = $1) FROM sealing";
    let row = connection.query_opt(SQL, &[&key_id]).await?;
    let row = row.ok_or_else(|| Failed::damaged("it does not say whether its secrets are sealed"))?;
    let mut row = Columns::of(&row);
    let kind = Kind::parse(row.take()?).map_err(StoreError::damaged)?;
    Ok(sealing.admit_write(kind, key_id, row.take()?)?)
}

/// Held to the end of every transaction that seals anew, and of the one that forgets keys: in between, that one would
/// not see what is being sealed under the key it forgets. "VGrk" in ASCII.
const KEYS_LOCK: i64 = 0x5647_726b;

async fn lock_keys(connection: &mut Connection) -> Outcome<()> {
    connection.execute("SELECT pg_advisory_xact_lock($1)", &[&KEYS_LOCK]).await.map(|_| ())
}

/// Seals anew what is under another key than the first, in a transaction that has begun. What a bulk end has ended is never
/// opened again and stays as it is. Each secret is written only if its record is still the one that was read.
pub(super) async fn reseal(
    connection: &mut Connection,
    sealing: &Sealing,
    after: Option<WebConfigId>,
    limit: usize,
) -> Outcome<Resealed> {
    const PAGE: &str = concat!(
        "SELECT h.schema_version, h.revision, h.entry, \
         EXISTS (SELECT FROM living_web_configs l WHERE l.id = w.id), ",
        stored_web_config!(),
        " FROM log_head h, LATERAL (SELECT * FROM web_configs w WHERE ",
        after!("1"),
        " ORDER BY w.id LIMIT $2) w ORDER BY w.id"
    );
    // One statement for the whole page: changes that want one of its rows wait for no more than that.
    const PUT: &str = "UPDATE web_configs w SET secret_format = $3, key_id = $4, secret = n.secret \
         FROM unnest($1::uuid[], $2::bigint[], $5::bytea[]) AS n (id, revision, secret) \
         WHERE w.id = n.id AND w.revision = n.revision";
    let limit = limit.clamp(1, MOST_AT_ONCE);
    let sealing = sealing.snapshot();
    let first = sealing.first_id()?;
    lock_keys(connection).await?;
    admit_write(connection, &sealing, Some(&first)).await?;
    let rows = connection.query(PAGE, &[&after.map(Uuid::from), &at_most(limit.saturating_add(1))]).await?;
    let mut done = Resealed { last: None, resealed: 0, skipped: 0, more: rows.len() > limit };
    let (mut ids, mut revisions, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows.iter().take(limit) {
        let mut row = Columns::of(row);
        row.head()?;
        let lives: bool = row.take()?;
        let id = row.clone().id()?;
        done.last = Some(id);
        if !lives {
            continue;
        }
        let (config, sealed) = match kept(row).map_err(StoreError::from) {
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
                ids.push(Uuid::from(id));
                revisions.push(to_sql(config.revision.get())?);
                secrets.push(anew.bytes);
            }
        }
    }
    if !ids.is_empty() {
        let secrets: Vec<_> = secrets.iter().map(|secret| Hidden(secret)).collect();
        let with: Parameters<'_> = &[&ids, &revisions, &SealedSecret::SEALED, &&*first, &secrets];
        done.resealed = connection.execute(PUT, with).await?;
    }
    Ok(done)
}

/// A web config, with its secret as it is kept.
fn kept(mut row: Columns<'_>) -> Outcome<(WebConfig, SealedSecret)> {
    Ok((row.web_config()?, row.sealed_secret()?))
}

/// Forgets the keys that are not the first one and that nothing living is sealed under, in a transaction that holds the
/// head of the log, which all changes lock before they seal. Nothing is sealed under one of them any more.
pub(super) async fn retire_keys(connection: &mut Connection, sealing: &Sealing) -> Outcome<Retired> {
    const FORGET: &str = "DELETE FROM master_keys WHERE key_id <> $1 \
         AND key_id NOT IN (SELECT key_id FROM living_web_configs WHERE key_id IS NOT NULL) RETURNING key_id";
    let sealing = sealing.snapshot();
    let first = sealing.first_id()?;
    // In a statement of its own: the next one sees what was committed until then.
    lock_keys(connection).await?;
    admit_write(connection, &sealing, Some(&first)).await?;
    let rows = connection.query(FORGET, &[&&*first]).await?;
    let mut retired = rows.iter().map(|row| Columns::of(row).take()).collect::<Outcome<Vec<String>>>()?;
    retired.sort_unstable();
    Ok(Retired { retired, known: key_ids(connection).await? })
}
