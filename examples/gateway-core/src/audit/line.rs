//! How an entry is written.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use voicegain_auth_console::rfc3339;
use voicegain_auth_core::audit::{Actor, AuditEntry, Deed, Given, Stage};

/// What the first line of all names as the hash of the one before it.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What every line begins with.
pub(super) const BEGINNING: &[u8] = b"{\"seq\":";

/// One line of an audit log. Its fields stand in it in this order, and those without a value do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    /// One more than that of the line before, also across files.
    pub(crate) seq: u64,
    /// The hash of the entry before.
    pub(crate) prev: String,
    /// What stands between that one and this, and is no entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) torn: Option<Torn>,
    /// In UTC, to the millisecond.
    pub(crate) time: String,
    /// The same for all entries of one change.
    pub(crate) id: String,
    pub(crate) stage: String,
    pub(crate) act: String,
    pub(crate) who: Who,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) web_config: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<Fields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) web_configs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// What was left of an entry that could not be written to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Torn {
    bytes: u64,
    sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
}

/// New values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowed_origins: Option<Vec<String>>,
    /// `new` or `imported`; the secret itself never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revived: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aud: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exp_in_sec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api: Option<String>,
}

impl Fields {
    fn of(given: &[Given]) -> Option<Self> {
        let mut fields = Self::default();
        for given in given {
            match given {
                Given::Name(name) => fields.name = Some(name.clone()),
                Given::AllowedOrigins(patterns) => fields.allowed_origins = Some(patterns.clone()),
                Given::Secret { imported } => {
                    fields.secret = Some(if *imported { "imported" } else { "new" }.to_owned());
                }
                Given::Revival => fields.revived = Some(true),
                Given::Audience(audience) => fields.aud = Some(audience.clone()),
                Given::ExpiresIn(seconds) => fields.exp_in_sec = Some(*seconds),
                Given::ApiPath(path) => fields.api = Some(path.clone()),
            }
        }
        (fields != Self::default()).then_some(fields)
    }
}

impl Line {
    /// The line that follows this place.
    pub(super) fn new(entry: &AuditEntry, after: Option<&Last>, torn: Option<Torn>) -> Self {
        let Deed { act, web_config, account_id, context_id, fields, .. } = &entry.deed;
        let (stage, effect, why) = match &entry.stage {
            Stage::Begun => ("begun", None, None),
            Stage::Done(effect) => ("done", Some(effect), None),
            Stage::Refused(why) => ("refused", None, Some(why.clone())),
            Stage::Unknown(why) => ("unknown", None, Some(why.clone())),
        };
        // What was given the beginning has said.
        let given = Fields::of(fields).filter(|_| entry.stage == Stage::Begun);
        let time = rfc3339(entry.at);
        let Actor { kind, name, client, request, .. } = &entry.actor;
        Self {
            seq: after.map_or(0, |last| last.seq) + 1,
            prev: after.map_or(NOTHING, |last| &last.hash).to_owned(),
            torn,
            time: format!("{}.{:03}Z", time.trim_end_matches('Z'), entry.at.subsec_millis()),
            id: entry.id.to_string(),
            stage: stage.to_owned(),
            act: act.as_str().to_owned(),
            who: Who {
                kind: kind.as_str().to_owned(),
                name: name.clone(),
                client: *client,
                request: request.map(|id| id.to_string()),
            },
            web_config: web_config.map(|id| id.to_string()),
            account: account_id.as_ref().map(ToString::to_string),
            context: context_id.as_ref().map(ToString::to_string),
            given,
            revision: effect.and_then(|effect| effect.revision).map(|revision| revision.get()),
            generation: effect.and_then(|effect| effect.generation).map(|generation| generation.get()),
            web_configs: effect.and_then(|effect| effect.web_configs),
            why,
        }
    }

    /// Reads a line, without its end.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

impl Torn {
    /// What there is to say of these bytes. That they end a line is not counted: whoever went on may have ended it.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        (!bytes.is_empty()).then(|| Self { bytes: bytes.len() as u64, sha256: hash(bytes) })
    }
}

/// An entry as the next one names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) seq: u64,
    /// Of its line, without the end.
    pub(crate) hash: String,
}

impl Last {
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        Line::read(line).map(|read| Self { seq: read.seq, hash: hash(line) })
    }
}

/// SHA-256, in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
