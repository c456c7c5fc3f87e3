//! What the keys hold: JSON, each value with the version of its form.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcd_client::KeyValue;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use voicegain_auth_core::store::{Change, EntryId, LogEntry, LogPosition, Revision, Scope, StoreError};
use voicegain_auth_core::{Day, Generation};
use zeroize::Zeroizing;

/// The form of all values that this version writes, and the only one it reads.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    value: T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("a value has version {0}, and this program knows version {VERSION} only: use the newer program")]
pub(super) struct UnknownVersion(pub(super) u32);

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&Versioned { v: VERSION, value }).map_err(StoreError::damaged)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    let Version { v } = serde_json::from_slice(bytes).map_err(StoreError::damaged)?;
    if v != VERSION {
        return Err(StoreError::damaged(UnknownVersion(v)));
    }
    let Versioned { value, .. } = serde_json::from_slice(bytes).map_err(StoreError::damaged)?;
    Ok(value)
}

/// Bytes as base64.
#[derive(Clone)]
pub(super) struct Bytes(pub(super) Zeroizing<Vec<u8>>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        // Not with the cause: it would quote what it read.
        let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| D::Error::custom("not base64"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(pub(super) EntryId);

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        let bytes = bytes.0.as_slice().try_into().map_err(|_| D::Error::custom("not 16 bytes"))?;
        Ok(Self(EntryId::from_bytes(bytes)))
    }
}

/// What the head says.
#[derive(Serialize, Deserialize)]
pub(super) struct HeadValue {
    revision: u64,
    entry: Entry,
}

impl HeadValue {
    pub(super) fn of(position: LogPosition) -> Self {
        Self { revision: position.revision.get(), entry: Entry(position.entry) }
    }

    pub(super) fn position(&self) -> LogPosition {
        LogPosition { revision: Revision::new(self.revision), entry: self.entry.0 }
    }
}

/// One log entry; its revision is in its key.
#[derive(Serialize, Deserialize)]
pub(super) struct LogValue {
    entry: Entry,
    #[serde(flatten)]
    change: ChangeValue,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
enum ChangeValue {
    /// No change, but the place where reading begins.
    Begin,
    Put {
        id: String,
        generation: u64,
        account: String,
        context: String,
    },
    Deleted {
        id: String,
        generation: u64,
    },
    EndedAccount {
        account: String,
    },
    EndedContext {
        account: String,
        context: String,
    },
}

impl LogValue {
    pub(super) fn begin(entry: EntryId) -> Self {
        Self { entry: Entry(entry), change: ChangeValue::Begin }
    }

    pub(super) fn of(entry: EntryId, change: &Change) -> Result<Self, StoreError> {
        let change = match change {
            Change::Put { id, generation, account_id, context_id } => ChangeValue::Put {
                id: id.to_string(),
                generation: generation.get(),
                account: account_id.to_string(),
                context: context_id.to_string(),
            },
            Change::Deleted { id, generation } => {
                ChangeValue::Deleted { id: id.to_string(), generation: generation.get() }
            }
            Change::Ended(Scope::Account(account)) => {
                ChangeValue::EndedAccount { account: account.to_string() }
            }
            Change::Ended(Scope::Context(account, context)) => {
                ChangeValue::EndedContext { account: account.to_string(), context: context.to_string() }
            }
            _ => return Err(StoreError::unavailable("a change of a kind that this store cannot record")),
        };
        Ok(Self { entry: Entry(entry), change })
    }

    /// The entry as the log of this position; `None` for the place where reading begins.
    fn entry(self, position: LogPosition) -> Result<Option<LogEntry>, StoreError> {
        let change = match self.change {
            ChangeValue::Begin => return Ok(None),
            ChangeValue::Put { id, generation, account, context } => Change::Put {
                id: parsed(&id)?,
                generation: Generation::new(generation),
                account_id: parsed(&account)?,
                context_id: parsed(&context)?,
            },
            ChangeValue::Deleted { id, generation } => {
                Change::Deleted { id: parsed(&id)?, generation: Generation::new(generation) }
            }
            ChangeValue::EndedAccount { account } => Change::Ended(Scope::Account(parsed(&account)?)),
            ChangeValue::EndedContext { account, context } => {
                Change::Ended(Scope::Context(parsed(&account)?, parsed(&context)?))
            }
        };
        Ok(Some(LogEntry { position, change }))
    }
}

/// Where a log entry stands, and what it says: nothing, if it is the place where reading begins.
pub(super) fn log_entry(kv: &KeyValue) -> Result<(LogPosition, Option<LogEntry>), StoreError> {
    let digits = kv.key().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let digits = str::from_utf8(digits).map_err(StoreError::damaged)?;
    let revision = Revision::new(digits.parse().map_err(StoreError::damaged)?);
    let value: LogValue = decode(kv.value())?;
    let position = LogPosition { revision, entry: value.entry.0 };
    Ok((position, value.entry(position)?))
}

/// What the index by account and context says.
#[derive(Serialize, Deserialize)]
pub(super) struct IndexValue {
    pub(super) born: u64,
}

/// What is remembered of a deleted web config.
#[derive(Serialize, Deserialize)]
pub(super) struct EndedValue {
    pub(super) generation: u64,
}

/// A bulk end.
#[derive(Serialize, Deserialize)]
pub(super) struct MarkerValue {
    pub(super) revision: u64,
}

/// The last day on which a web config was used, counted from 1970-01-01.
#[derive(Serialize, Deserialize)]
pub(super) struct UseValue {
    pub(super) day: u32,
}

impl UseValue {
    pub(super) fn day(&self) -> Result<Day, StoreError> {
        Day::new(self.day).ok_or_else(|| StoreError::damaged("there is no such day"))
    }
}

/// What the store is.
#[derive(Serialize, Deserialize)]
pub(super) struct StoreValue {
    /// `plain` or `sealed`.
    pub(super) secrets: String,
}

/// What a master key is known by.
#[derive(Serialize, Deserialize)]
pub(super) struct KeyCheckValue {
    pub(super) check: Bytes,
}

pub(super) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, StoreError>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(StoreError::damaged)
}

#[cfg(test)]
mod tests {
    use voicegain_auth_core::WebConfigId;

    use super::*;

    fn entry() -> EntryId {
        EntryId::from_bytes([7; 16])
    }

    fn text<T: Serialize>(value: &T) -> String {
        String::from_utf8(encode(value).unwrap()).unwrap()
    }

    /// What is written once is read by every later version.
    #[test]
    fn the_forms_stay_as_they_are() {
        let head = LogPosition { revision: Revision::new(5), entry: entry() };
        let expected = r#"{"v":1,"revision":5,"entry":"BwcHBwcHBwcHBwcHBwcHBw=="}"#;
        assert_eq!(text(&HeadValue::of(head)), expected);
        assert_eq!(decode::<HeadValue>(expected.as_bytes()).unwrap().position(), head);
        let expected = r#"{"v":1,"entry":"BwcHBwcHBwcHBwcHBwcHBw==","change":"begin"}"#;
        assert_eq!(text(&LogValue::begin(entry())), expected);
        assert_eq!(text(&IndexValue { born: 3 }), r#"{"v":1,"born":3}"#);
        assert_eq!(text(&EndedValue { generation: 3 }), r#"{"v":1,"generation":3}"#);
        assert_eq!(text(&MarkerValue { revision: 3 }), r#"{"v":1,"revision":3}"#);
        assert_eq!(text(&UseValue { day: 3 }), r#"{"v":1,"day":3}"#);
        assert_eq!(text(&StoreValue { secrets: "plain".to_owned() }), r#"{"v":1,"secrets":"plain"}"#);
    }

    #[test]
    fn changes_are_read_as_they_were_written() {
        let id: WebConfigId = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729".parse().unwrap();
        let (account_id, context_id) = ("a/b".parse().unwrap(), "%".parse().unwrap());
        let generation = Generation::new(u64::MAX);
        let changes = [
            (
                Change::Deleted { id, generation },
                r#""change":"deleted","id":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","generation":18446744073709551615}"#,
            ),
            (
                Change::Ended(Scope::Context(account_id, context_id)),
                r#""change":"ended_context","account":"a/b","context":"%"}"#,
            ),
            (
                Change::Ended(Scope::Account("a".parse().unwrap())),
                r#""change":"ended_account","account":"a"}"#,
            ),
            (
                Change::Put {
                    id,
                    generation: Generation::FIRST,
                    account_id: "a".parse().unwrap(),
                    context_id: "c".parse().unwrap(),
                },
                r#""change":"put","id":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","generation":1,"account":"a","context":"c"}"#,
            ),
        ];
        for (change, expected) in changes {
            let written = text(&LogValue::of(entry(), &change).unwrap());
            assert_eq!(written, format!(r#"{{"v":1,"entry":"BwcHBwcHBwcHBwcHBwcHBw==",{expected}"#));
            let position = LogPosition { revision: Revision::new(1), entry: entry() };
            let read: LogValue = decode(written.as_bytes()).unwrap();
            assert_eq!(read.entry(position).unwrap(), Some(LogEntry { position, change }));
        }
    }

    #[test]
    fn another_version_is_refused_before_anything_else_is_read() {
        for other in [r#"{"v":2}"#, r#"{"v":0,"born":1}"#, r#"{"v":2,"born":"x"}"#] {
            let Err(StoreError::Damaged(error)) = decode::<IndexValue>(other.as_bytes()) else {
                panic!("{other}");
            };
            assert!(error.is::<UnknownVersion>(), "{error}");
        }
        for broken in ["", "{}", "null", r#"{"v":1}"#, r#"{"v":1,"born":-1}"#, r#"{"born":1}"#] {
            assert!(
                matches!(decode::<IndexValue>(broken.as_bytes()), Err(StoreError::Damaged(_))),
                "{broken}"
            );
        }
        decode::<IndexValue>(br#"{"v":1,"born":1,"more":true}"#).unwrap();
    }
}
