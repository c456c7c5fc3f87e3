//! What the store says of itself: whether it is sealed, and which master keys it knows.

use etcd_client::{Compare, CompareOp, GetResponse, TxnOp};
use voicegain_auth_core::store::StoreError;
use zeroize::Zeroizing;

use super::error::Outcome;
use super::keys::{self, Keys};
use super::values::{self, Bytes, KeyCheckValue, StoreValue};
use super::view::Get;
use crate::sealing::{Kind, SealedSecret, Sealing, SealingMismatch};

/// Far more master keys than a store ever sees.
const LIMIT: usize = 10_000;

pub(super) struct Meta {
    pub(super) kind: Result<Kind, SealingMismatch>,
    /// Key ids with their check values.
    pub(super) checks: Vec<(String, Zeroizing<Vec<u8>>)>,
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
                checks.push((key_id.to_owned(), check.0));
            }
        }
        Ok(kind.map(|kind| Self { kind, checks }))
    }

    fn check(&self, key_id: Option<&str>) -> Option<&[u8]> {
        let (_, check) = self.checks.iter().find(|(known, _)| Some(known.as_str()) == key_id)?;
        Some(check)
    }
}

/// What has to be in the transaction that writes this secret, so that the store knows its key.
pub(super) fn admit_write(
    keys: &Keys,
    answer: &GetResponse,
    sealing: &Sealing,
    sealed: &SealedSecret,
) -> Outcome<Option<(Compare, TxnOp)>> {
    let meta = Meta::read(keys, answer)?
        .ok_or_else(|| StoreError::damaged("what the store says of itself has been deleted"))?;
    let kind = meta.kind.as_ref().map_err(|mismatch| StoreError::unavailable(mismatch.clone()))?;
    let known = meta.check(sealed.key_id.as_deref());
    let check = sealing.admit_write(*kind, sealed, known).map_err(StoreError::from)?;
    Ok(match (&sealed.key_id, check) {
        (Some(key_id), Some(check)) => Some(remember(keys, key_id, check)?),
        _ => None,
    })
}

/// Remembers a key, if none is remembered under its id.
pub(super) fn remember(keys: &Keys, key_id: &str, check: Vec<u8>) -> Result<(Compare, TxnOp), StoreError> {
    let key = keys.key_check(key_id);
    let value = values::encode(&KeyCheckValue { check: Bytes(Zeroizing::new(check)) })?;
    let absent = Compare::create_revision(key.clone(), CompareOp::Equal, 0);
    Ok((absent, TxnOp::put(key, value, None)))
}
