//! What the store says of itself: whether it is sealed, and which master keys it knows.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetResponse, Txn, TxnOp};
use tokio::time::Instant;
use voicegain_auth_core::store::StoreError;
use zeroize::Zeroizing;

use super::connection::Answer;
use super::error::{Cause, Outcome};
use super::keys::{self, Keys};
use super::store::Shared;
use super::values::{self, Bytes, KeyCheckValue, StoreValue};
use super::view::{Get, Reader};
use crate::sealing::{Kind, MasterKeys, SealedSecret, Sealing, SealingMismatch};

/// Far more master keys than a store ever sees.
const LIMIT: usize = 10_000;

pub(super) struct Meta {
    pub(super) kind: Result<Kind, SealingMismatch>,
    /// Key ids with their check values.
    pub(super) checks: Vec<(String, Check)>,
}

/// What a master key is known by.
pub(super) struct Check {
    check: Zeroizing<Vec<u8>>,
    /// As it is kept.
    raw: Vec<u8>,
    /// etcd's revision by which it came to be. Where it was forgotten and came back it is another one.
    created: i64,
    /// etcd's revision of the last secret that was sealed under the key.
    pub(super) used: i64,
}

impl AsRef<[u8]> for Check {
    fn as_ref(&self) -> &[u8] {
        &self.check
    }
}

impl Meta {
    pub(super) fn get(keys: &Keys) -> Get {
        Get::range(keys.meta(), keys::end_of(&keys.meta()), LIMIT)
    }

    /// `None` if there is no store.
    pub(super) fn read(keys: &Keys, answer: &GetResponse) -> Result<Option<Self>, StoreError> {
        let (mut kind, mut checks) = (None, Vec::new());
        let (store, prefix) = (keys.store(), keys.key_checks());
        for kv in answer.kvs() {
            let key = String::from_utf8_lossy(kv.key());
            if *key == store {
                kind = Some(Kind::parse(&values::decode::<StoreValue>(kv.value())?.secrets));
            } else if let Some(key_id) = key.strip_prefix(&prefix) {
                let KeyCheckValue { check } = values::decode(kv.value())?;
                let check = Check {
                    check: check.0,
                    raw: kv.value().to_vec(),
                    created: kv.create_revision(),
                    used: kv.mod_revision(),
                };
                checks.push((key_id.to_owned(), check));
            }
        }
        Ok(kind.map(|kind| Self { kind, checks }))
    }

    /// The same where there has been a store.
    pub(super) fn existing(keys: &Keys, answer: &GetResponse) -> Result<Self, StoreError> {
        let meta = Self::read(keys, answer)?;
        meta.ok_or_else(|| StoreError::damaged("what the store says of itself has been deleted"))
    }

    /// In their order, which is that of etcd's keys.
    pub(super) fn key_ids(&self) -> Vec<String> {
        self.checks.iter().map(|(key_id, _)| key_id.clone()).collect()
    }

    /// What has to be in the transaction that seals something under this key; nothing in a plain store.
    ///
    /// The key's check value is there when that happens, and is written then. So whoever forgets a key
    /// ([`retire_keys`](super::reseal::retire_keys)) either makes the transaction fail or sees that the key is in use.
    pub(super) fn admit_write(
        &self,
        keys: &Keys,
        sealing: &Sealing,
        key_id: Option<&str>,
    ) -> Result<Option<(Compare, TxnOp)>, StoreError> {
        let kind = self.kind.as_ref().map_err(|mismatch| StoreError::unavailable(mismatch.clone()))?;
        let known = self.checks.iter().find(|(known, _)| Some(known.as_str()) == key_id);
        let known = known.map(|(_, check)| check);
        sealing.admit_write(*kind, key_id, known.map(AsRef::as_ref))?;
        Ok(key_id.zip(known).map(|(key_id, known)| {
            let key = keys.key_check(key_id);
            let there = Compare::create_revision(key.clone(), CompareOp::Equal, known.created);
            (there, TxnOp::put(key, known.raw.clone(), None))
        }))
    }
}

/// What has to be in the transaction that writes this secret, so that the store knows its key.
pub(super) fn admit_write(
    keys: &Keys,
    answer: &GetResponse,
    sealing: &Sealing,
    sealed: &SealedSecret,
) -> Outcome<Option<(Compare, TxnOp)>> {
    Ok(Meta::existing(keys, answer)?.admit_write(keys, sealing, sealed.key_id.as_deref())?)
}

/// Remembers a key, if none is remembered under its id.
pub(super) fn remember(keys: &Keys, key_id: &str, check: Vec<u8>) -> Result<(Compare, TxnOp), StoreError> {
    let key = keys.key_check(key_id);
    let value = values::encode(&KeyCheckValue { check: Bytes(Zeroizing::new(check)) })?;
    let absent = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
    Ok((absent, TxnOp::put(key, value, None)))
}

/// The ids of the keys that the store may hold secrets under.
pub(super) async fn key_ids(reader: Reader<'_>) -> Result<Vec<String>, StoreError> {
    let (_, [answer]) = reader.again(|| reader.begin([Meta::get(reader.keys)])).await?;
    Ok(Meta::existing(reader.keys, &answer)?.key_ids())
}

/// Puts these keys to use if the store could be opened with them, and remembers the first one. That counts only if no key
/// has been remembered meanwhile.
pub(super) async fn adopt(shared: Arc<Shared>, keys: MasterKeys) -> Result<(), StoreError> {
    shared.sealing.may_adopt(&keys)?;
    let reader = shared.reader();
    while !remember_first(&shared, reader, &keys).await? {
        if Instant::now() >= reader.until {
            return Err(StoreError::unavailable(Cause::Contended));
        }
    }
    shared.sealing.adopt(&keys)
}

/// Whether the first of these keys is remembered now; otherwise to be tried again.
async fn remember_first(shared: &Shared, reader: Reader<'_>, next: &MasterKeys) -> Result<bool, StoreError> {
    let keys = reader.keys;
    let (view, [answer]) = reader.again(|| reader.begin_proved([Meta::get(keys)])).await?;
    let Meta { kind, checks } = Meta::existing(keys, &answer)?;
    let kind = kind.map_err(StoreError::unavailable)?;
    let Some((key_id, check)) = shared.sealing.admit_adoption(next, kind, &checks)? else { return Ok(true) };
    let (absent, put) = remember(keys, &key_id, check)?;
    let no_newer = Compare::create_revision(keys.meta(), CompareOp::Less, view.revision.saturating_add(1))
        .with_range(keys::end_of(&keys.meta()));
    let txn = Txn::new().when([absent, no_newer]).and_then([put]);
    match shared.connection.txn(txn, reader.until).await {
        // If it was an earlier copy that succeeded, reading again shows it.
        Ok(Answer { response, .. }) => Ok(response.succeeded()),
        Err(given_up) => Err(given_up.into()),
    }
}
