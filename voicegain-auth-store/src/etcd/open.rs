//! Opening: look first, make a store only where there is nothing.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use tokio::runtime::Handle;
use tokio::time::Instant;
use voicegain_auth_core::store::{EntryId, LogPosition, Revision, StoreError};

use super::connection::{Connection, GivenUp};
use super::error::{Cause, OpenError};
use super::keys::{self, Keys};
use super::meta::{self, Meta};
use super::store::EtcdStore;
use super::tls;
use super::url::Location;
use super::values::{self, HeadValue, LogValue, StoreValue};
use super::view::{Get, answers};
use crate::sealing::{Sealing, SealingMismatch};

/// How long opening may take.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn open(
    location: Location,
    log_capacity: u32,
    sealing: Sealing,
) -> Result<EtcdStore, OpenError> {
    let runtime = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
    let tls = location.tls.as_ref().map(tls::options).transpose()?;
    let connection = Connection::new(location.endpoints, location.credentials.as_ref(), tls);
    let opening = Opening { connection, keys: Keys::new(location.prefix), until: Instant::now() + LIMIT };
    match opening.run(&sealing).await {
        Ok(()) => Ok(EtcdStore::start(runtime, opening.connection, opening.keys, sealing, log_capacity)),
        Err(Refused::Store(error)) => {
            Err(OpenError::of(error, opening.keys.prefix(), opening.connection.endpoints()))
        }
        Err(Refused::NotAStore) => Err(OpenError::NotAStore { prefix: opening.keys.prefix().to_owned() }),
        Err(Refused::Sealing(source)) => {
            Err(OpenError::Sealing { prefix: opening.keys.prefix().to_owned(), source })
        }
    }
}

enum Refused {
    Store(StoreError),
    NotAStore,
    Sealing(SealingMismatch),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SealingMismatch> for Refused {
    fn from(mismatch: SealingMismatch) -> Self {
        Self::Sealing(mismatch)
    }
}

impl From<GivenUp> for Refused {
    fn from(given_up: GivenUp) -> Self {
        Self::Store(StoreError::unavailable(given_up.cause))
    }
}

struct Opening {
    connection: Connection,
    keys: Keys,
    until: Instant,
}

impl Opening {
    async fn run(&self, sealing: &Sealing) -> Result<(), Refused> {
        // Other processes may be at it too; each round begins with what they have left.
        loop {
            let new = match self.found().await? {
                None => self.make(sealing)?,
                Some(meta) => match sealing.admit(meta.kind?, &meta.checks)? {
                    None => return Ok(()),
                    Some((key_id, check)) => self.remember(&key_id, check)?,
                },
            };
            if self.connection.txn(new, self.until).await?.response.succeeded() {
                return Ok(());
            }
        }
    }

    /// What the store says of itself, and whether there is one.
    async fn found(&self) -> Result<Option<Meta>, Refused> {
        let keys = &self.keys;
        let anything = Get::range(keys.all(), keys::end_of(&keys.all()), 1).keys_only();
        let gets = [Get::one(keys.head()), Meta::get(keys), anything];
        // By the members' log, so that no member opens a store that the others do not have.
        let ops: Vec<_> =
            gets.into_iter().map(Get::now).chain([TxnOp::delete(keys.nothing(), None)]).collect();
        let answer = self.connection.txn(Txn::new().and_then(ops), self.until).await?;
        let found: Vec<_> = answers(&answer.response).into();
        let [head, meta, anything] = found.as_slice() else {
            return Err(StoreError::damaged("etcd answered something else than was asked").into());
        };
        let meta = Meta::read(keys, meta)?;
        match (meta, head.kvs().first()) {
            (Some(meta), Some(head)) => {
                values::decode::<HeadValue>(head.value())?;
                Ok(Some(meta))
            }
            (None, None) if anything.kvs().is_empty() => Ok(None),
            (None, None) => Err(Refused::NotAStore),
            _ => Err(StoreError::damaged("a part of the store's keys has been deleted").into()),
        }
    }

    /// Makes an empty store, where there still is nothing.
    fn make(&self, sealing: &Sealing) -> Result<Txn, Refused> {
        let keys = &self.keys;
        let entry = EntryId::generate().map_err(|_| StoreError::unavailable(Cause::NoRandomness))?;
        let begin = LogPosition { revision: Revision::new(0), entry };
        let kind = sealing.kind();
        let mut compares = vec![
            Compare::create_revision(keys.store(), CompareOp::Equal, 0),
            Compare::create_revision(keys.head(), CompareOp::Equal, 0),
        ];
        let mut ops = vec![
            TxnOp::put(
                keys.store(),
                values::encode(&StoreValue { secrets: kind.as_str().to_owned() })?,
                None,
            ),
            TxnOp::put(keys.head(), values::encode(&HeadValue::of(begin))?, None),
            TxnOp::put(keys.log_entry(begin.revision), values::encode(&LogValue::begin(entry))?, None),
        ];
        let none: [(&str, &[u8]); 0] = [];
        if let Some((key_id, check)) = sealing.admit(kind, &none)? {
            let (absent, put) = meta::remember(keys, &key_id, check)?;
            compares.push(absent);
            ops.push(put);
        }
        Ok(Txn::new().when(compares).and_then(ops))
    }

    fn remember(&self, key_id: &str, check: Vec<u8>) -> Result<Txn, Refused> {
        let (absent, put) = meta::remember(&self.keys, key_id, check)?;
        Ok(Txn::new().when([absent]).and_then([put]))
    }
}
