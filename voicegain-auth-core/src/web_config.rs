//! The customer's record: what a token's `sub` points at.

use std::fmt;

use crate::ids::{AccountId, ContextId, WebConfigId};
use crate::secret::Secret;
use crate::store::{EntryId, LogPosition, Revision, StoreError};

/// How often a web config's secret has been replaced: 1 for its first secret, one more with each Regenerate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The generation of a web config's first secret.
    pub const FIRST: Self = Self(1);

    /// The generation with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, from 1.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A web config without its secret: what may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebConfig {
    /// Its id, the `sub` of its tokens.
    pub id: WebConfigId,
    /// Who pays for its calls.
    pub account_id: AccountId,
    /// The workspace it belongs to. A context may own several web configs.
    pub context_id: ContextId,
    /// A name for people.
    pub name: String,
    /// The origins that may use a long-lived token of it (rule O8), as they were written.
    pub allowed_origins: Vec<String>,
    /// The generation of its current secret.
    pub generation: Generation,
    /// The store's revision of the last change to it.
    pub revision: Revision,
    /// When it was created, in seconds since the Unix epoch.
    pub created_at: u64,
    /// When its current secret came to be, in seconds since the Unix epoch.
    pub secret_created_at: u64,
}

/// A web config with the one secret that signs, as a store loads it: one record, from one read (rule W3).
#[derive(Debug, Clone)]
pub struct StoredWebConfig {
    /// What may be shown.
    pub config: WebConfig,
    /// What may not.
    pub secret: Secret,
    /// Which log entry made it what it is; `config.revision` says where that stands.
    pub entry: EntryId,
}

impl StoredWebConfig {
    /// The log entry of its last change.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        LogPosition { revision: self.config.revision, entry: self.entry }
    }
}

/// What a web config is created from.
#[derive(Debug, Clone)]
pub struct NewWebConfig {
    /// Its id: new, or brought along by an import (rule W7).
    pub id: WebConfigId,
    /// Who pays.
    pub account_id: AccountId,
    /// The workspace.
    pub context_id: ContextId,
    /// A name for people.
    pub name: String,
    /// Origin patterns, checked before they come here.
    pub allowed_origins: Vec<String>,
    /// Its first secret.
    pub secret: Secret,
    /// Whether an id that was deleted may come back (rule W7); its generation then goes on from where it ended.
    pub revive: bool,
}

impl NewWebConfig {
    /// The web config that begins with the change at this revision, `now` in seconds since the Unix epoch. `ended` is the
    /// generation at which the last one of its id ended in this store, if there was one. None of its id may live.
    ///
    /// # Errors
    /// [`StoreError::Deleted`] if one has ended and reviving it is not asked for (rule W7).
    pub fn born(
        &self,
        ended: Option<Generation>,
        revision: Revision,
        now: u64,
    ) -> Result<WebConfig, StoreError> {
        let generation = match ended {
            None => Generation::FIRST,
            Some(last) if self.revive => last.next(),
            Some(_) => return Err(StoreError::Deleted),
        };
        Ok(WebConfig {
            id: self.id,
            account_id: self.account_id.clone(),
            context_id: self.context_id.clone(),
            name: self.name.clone(),
            allowed_origins: self.allowed_origins.clone(),
            generation,
            revision,
            created_at: now,
            secret_created_at: now,
        })
    }
}

/// A web config as another store had it, to be restored whole: tokens in use stay good, and so does the count of its
/// generations.
#[derive(Debug, Clone)]
pub struct RestoredWebConfig {
    /// The id it had there.
    pub id: WebConfigId,
    /// Who pays.
    pub account_id: AccountId,
    /// The workspace.
    pub context_id: ContextId,
    /// A name for people.
    pub name: String,
    /// Origin patterns, checked before they come here.
    pub allowed_origins: Vec<String>,
    /// The secret it had there.
    pub secret: Secret,
    /// The generation of that secret.
    pub generation: Generation,
    /// When it was created there, in seconds since the Unix epoch.
    pub created_at: u64,
    /// When its secret came to be, in seconds since the Unix epoch.
    pub secret_created_at: u64,
    /// Whether an id that was deleted in the new store may come back (rule W7), at a generation past the one it ended at.
    pub revive: bool,
}

/// As this store has it, for another one where no web config of its id has ended.
impl From<StoredWebConfig> for RestoredWebConfig {
    fn from(stored: StoredWebConfig) -> Self {
        let StoredWebConfig { config, secret, .. } = stored;
        Self {
            id: config.id,
            account_id: config.account_id,
            context_id: config.context_id,
            name: config.name,
            allowed_origins: config.allowed_origins,
            secret,
            generation: config.generation,
            created_at: config.created_at,
            secret_created_at: config.secret_created_at,
            revive: false,
        }
    }
}

impl RestoredWebConfig {
    /// The web config that begins with the change at this revision. `ended` is the generation at which the last one of its
    /// id ended in this store, if there was one. None of its id may live.
    ///
    /// # Errors
    /// [`StoreError::Deleted`] if one has ended and reviving it is not asked for (rule W7), and
    /// [`StoreError::GenerationPassed`] if it ended at this generation or a later one.
    pub fn born(&self, ended: Option<Generation>, revision: Revision) -> Result<WebConfig, StoreError> {
        match ended {
            Some(last) if self.generation <= last => return Err(StoreError::GenerationPassed),
            Some(_) if !self.revive => return Err(StoreError::Deleted),
            _ => {}
        }
        Ok(WebConfig {
            id: self.id,
            account_id: self.account_id.clone(),
            context_id: self.context_id.clone(),
            name: self.name.clone(),
            allowed_origins: self.allowed_origins.clone(),
            generation: self.generation,
            revision,
            created_at: self.created_at,
            secret_created_at: self.secret_created_at,
        })
    }
}

/// A change to a web config that keeps its secret. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebConfigPatch {
    /// A new name.
    pub name: Option<String>,
    /// New origin patterns, checked before they come here.
    pub allowed_origins: Option<Vec<String>>,
}
