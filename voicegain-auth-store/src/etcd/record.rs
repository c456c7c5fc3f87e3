//! Web configs as they are kept.

use etcd_client::KeyValue;
use serde::{Deserialize, Serialize};
use voicegain_auth_core::store::{EntryId, LogPosition, Revision, StoreError};
use voicegain_auth_core::{Generation, WebConfig, WebConfigId};

use super::keys;
use super::values::{Bytes, Entry, decode, encode, parsed};
use crate::sealing::SealedSecret;

/// A web config with its secret, and what the log and the markers need to know.
#[derive(Clone, Serialize, Deserialize)]
struct RecordValue {
    account: String,
    context: String,
    name: String,
    allowed_origins: Vec<String>,
    generation: u64,
    revision: u64,
    entry: Entry,
    born: u64,
    created_at: u64,
    secret_created_at: u64,
    secret_format: i16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    secret: Bytes,
}

/// A record as it was read or is to be written.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) config: WebConfig,
    pub(super) entry: EntryId,
    /// The revision at which it was created or revived.
    pub(super) born: Revision,
    pub(super) secret: SealedSecret,
    /// etcd's revision of it, to compare with when it is replaced; 0 if it has not been written.
    pub(super) mod_revision: i64,
}

impl Record {
    pub(super) fn position(&self) -> LogPosition {
        LogPosition { revision: self.config.revision, entry: self.entry }
    }

    pub(super) fn read(kv: &KeyValue) -> Result<Self, StoreError> {
        let id = keys::id_of(kv.key()).ok_or_else(|| StoreError::damaged("a record's key has no id"))?;
        let value: RecordValue = decode(kv.value())?;
        let config = WebConfig {
            id,
            account_id: parsed(&value.account)?,
            context_id: parsed(&value.context)?,
            name: value.name,
            allowed_origins: value.allowed_origins,
            generation: Generation::new(value.generation),
            revision: Revision::new(value.revision),
            created_at: value.created_at,
            secret_created_at: value.secret_created_at,
        };
        let secret =
            SealedSecret { format: value.secret_format, key_id: value.key_id, bytes: value.secret.0 };
        Ok(Self {
            config,
            entry: value.entry.0,
            born: Revision::new(value.born),
            secret,
            mod_revision: kv.mod_revision(),
        })
    }

    /// The one that was asked for, if it is there.
    pub(super) fn of(id: WebConfigId, kv: Option<&KeyValue>) -> Result<Option<Self>, StoreError> {
        let record = kv.map(Self::read).transpose()?;
        if record.as_ref().is_some_and(|record| record.config.id != id) {
            return Err(StoreError::damaged("etcd answered with another web config"));
        }
        Ok(record)
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, StoreError> {
        let config = &self.config;
        encode(&RecordValue {
            account: config.account_id.to_string(),
            context: config.context_id.to_string(),
            name: config.name.clone(),
            allowed_origins: config.allowed_origins.clone(),
            generation: config.generation.get(),
            revision: config.revision.get(),
            entry: Entry(self.entry),
            born: self.born.get(),
            created_at: config.created_at,
            secret_created_at: config.secret_created_at,
            secret_format: self.secret.format,
            key_id: self.secret.key_id.clone(),
            secret: Bytes(self.secret.bytes.clone()),
        })
    }
}
