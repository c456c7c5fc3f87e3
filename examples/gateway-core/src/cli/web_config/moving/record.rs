//! One web config on its way from one store to another.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use voicegain_auth_core::RestoredWebConfig;

/// One line of the file. The secret is base64, of what it is or of what it is sealed as.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) account_id: String,
    pub(super) context_id: String,
    pub(super) name: String,
    pub(super) allowed_origins: Vec<String>,
    pub(super) generation: u64,
    pub(super) created_at: u64,
    pub(super) secret_created_at: u64,
    pub(super) secret: String,
}

impl Record {
    /// With a stand-in for the secret.
    pub(super) fn of(config: &RestoredWebConfig, secret: String) -> Self {
        Self {
            id: config.id.to_string(),
            account_id: config.account_id.to_string(),
            context_id: config.context_id.to_string(),
            name: config.name.clone(),
            allowed_origins: config.allowed_origins.clone(),
            generation: config.generation.get(),
            created_at: config.created_at,
            secret_created_at: config.secret_created_at,
            secret,
        }
    }
}

/// In what two of the same id differ, as a person would say it; revisions are each store's own.
pub(super) fn differences(one: &RestoredWebConfig, other: &RestoredWebConfig) -> Vec<&'static str> {
    let same = [
        ("account", one.account_id == other.account_id),
        ("context", one.context_id == other.context_id),
        ("name", one.name == other.name),
        ("allowed origins", one.allowed_origins == other.allowed_origins),
        ("generation", one.generation == other.generation),
        ("secret", one.secret == other.secret),
        ("time of creation", one.created_at == other.created_at),
        ("time of the secret's creation", one.secret_created_at == other.secret_created_at),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
}

/// A digest over all there is of these, in the order of their ids; of a secret goes into it what it hashes to.
#[derive(Default)]
pub(super) struct Contents(Sha256);

impl Contents {
    pub(super) fn of<'a>(configs: impl IntoIterator<Item = &'a RestoredWebConfig>) -> String {
        let mut contents = Self::default();
        for config in configs {
            contents.add(config);
        }
        hex(&contents.0.finalize())
    }

    fn add(&mut self, config: &RestoredWebConfig) {
        let record = Record::of(config, hex(&Sha256::digest(config.secret.expose())));
        // A record is no map with keys that JSON cannot have, and nothing refuses the bytes.
        if let Ok(line) = serde_json::to_vec(&record) {
            self.0.update(line);
        }
        self.0.update(b"\n");
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
