//! What the store says of how its secrets are sealed, and the secrets that go into it.

use tokio_postgres::Row;
use voicegain_auth_core::store::StoreError;
use voicegain_auth_core::{Secret, WebConfig, WebConfigId};

use super::connection::Connection;
use super::error::{Failed, Outcome};
use super::reads::{after, stored_web_config};
use super::rows::Columns;
use super::values::{Hidden, Uuid, at_most, to_sql};
use crate::sealing::{Binding, Kind, Resealed, SealedSecret, Sealing};

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

/// What the store is to keep of a secret.
pub(super) async fn seal(
    connection: &mut Connection,
    sealing: &Sealing,
    secret: &Secret,
    config: &WebConfig,
) -> Outcome<SealedSecret> {
    let sealed = sealing.seal(secret, &Binding::of(config))?;
    admit_write(connection, sealing, &sealed).await?;
    Ok(sealed)
}

/// The keys may have been replaced since the store was opened.
async fn admit_write(connection: &mut Connection, sealing: &Sealing, sealed: &SealedSecret) -> Outcome<()> {
    const SQL: &str = "SELECT kind, (SELECT check_value FROM master_keys WHERE key_id = $1) FROM sealing";
    loop {
        let row = connection.query_opt(SQL, &[&sealed.key_id]).await?;
        let row = row.ok_or_else(|| Failed::damaged("it does not say whether its secrets are sealed"))?;
        let mut row = Columns::of(&row);
        let kind = Kind::parse(row.take()?).map_err(StoreError::damaged)?;
        let new = sealing.admit_write(kind, sealed, row.take()?)?;
        let (Some(key_id), Some(check)) = (&sealed.key_id, new) else { return Ok(()) };
        if remember(connection, key_id, &check).await? {
            return Ok(());
        }
        // Another process was faster: it must have meant the same key.
    }
}

/// Seals anew what is under another key than the first, living or not, in a transaction that has begun. Each secret is
/// written only if its record is still the one that was read.
pub(super) async fn reseal(
    connection: &mut Connection,
    sealing: &Sealing,
    after: Option<WebConfigId>,
    limit: usize,
) -> Outcome<Resealed> {
    const PAGE: &str = concat!(
        "SELECT h.schema_version, h.revision, h.entry, ",
        stored_web_config!(),
        " FROM log_head h, LATERAL (SELECT * FROM web_configs w WHERE ",
        after!("1"),
        " ORDER BY w.id LIMIT $2) w ORDER BY w.id"
    );
    const PUT: &str = "UPDATE web_configs SET secret_format = $3, key_id = $4, secret = $5 \
         WHERE id = $1 AND revision = $2";
    let limit = limit.clamp(1, MOST_AT_ONCE);
    let rows = connection.query(PAGE, &[&after.map(Uuid::from), &at_most(limit.saturating_add(1))]).await?;
    let (mut last, mut resealed) = (None, 0);
    for row in rows.iter().take(limit) {
        let mut row = Columns::of(row);
        row.head()?;
        let (config, sealed) = (row.web_config()?, row.sealed_secret()?);
        last = Some(config.id);
        let Some(anew) = sealing.reseal(&sealed, &Binding::of(&config))? else { continue };
        admit_write(connection, sealing, &anew).await?;
        resealed += connection
            .execute(
                PUT,
                &[
                    &Uuid::from(config.id),
                    &to_sql(config.revision.get())?,
                    &anew.format,
                    &anew.key_id,
                    &Hidden(&anew.bytes),
                ],
            )
            .await?;
    }
    Ok(Resealed { last, resealed, more: rows.len() > limit })
}
