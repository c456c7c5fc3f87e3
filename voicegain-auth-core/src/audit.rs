//! Who changed what, and when: what an [`AuditLog`] is told of every change of a web config, before it is made and after it.
//!
//! None of it holds a secret or a token: there is no field that could.

mod actor;
mod deed;

use std::fmt;
use std::time::Duration;

pub use self::actor::{Actor, ActorKind};
pub use self::deed::{Act, Deed, Given};
use crate::store::{BoxError, Revision};
use crate::web_config::{Generation, WebConfig};

/// Where it is written down who changed what. Given to an issuer by [`Issuer::audited`](crate::Issuer::audited).
///
/// Every change is told of twice, under the same id: as [`Stage::Begun`] before the store is asked for it, and with what became
/// of it afterwards. One that has begun and has no end was cut short: whether it was made is to be looked up in the store.
pub trait AuditLog: Send + Sync + 'static {
    /// Writes an entry down. Once this returns it survives a crash. It may block: it is called on a thread that may, and on
    /// several at once.
    ///
    /// # Errors
    /// If that is not so. What was about to begin is then not done; what was done stays done.
    fn write(&self, entry: &AuditEntry) -> Result<(), BoxError>;
}

/// What is written down at one moment of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Which change it belongs to.
    pub id: AuditId,
    /// When, as time since the Unix epoch, as the wall clock has it.
    pub at: Duration,
    /// Who makes it.
    pub actor: Actor,
    /// What it is.
    pub deed: Deed,
    /// How far it has come.
    pub stage: Stage,
}

impl AuditEntry {
    /// A change that is about to be made.
    pub fn begun(id: AuditId, at: Duration, actor: Actor, deed: Deed) -> Self {
        Self { id, at, actor, deed, stage: Stage::Begun }
    }
}

/// The random id that the entries of one change have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditId(u128);

impl AuditId {
    /// Makes a new one from the operating system's randomness.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

/// 32 hexadecimal digits in lower case.
impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// How far a change has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "whoever writes it down must know of every one")]
pub enum Stage {
    /// It is about to be made.
    Begun,
    /// It has been made.
    Done(Effect),
    /// It was not made, and this is why.
    Refused(String),
    /// It may have been made or not (rule M1), and this is why.
    Unknown(String),
}

/// What a change has come to, as far as there is something to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effect {
    /// The store's revision of it.
    pub revision: Option<Revision>,
    /// The web config's generation now.
    pub generation: Option<Generation>,
    /// How many web configs it has reached, if it was not for one.
    pub web_configs: Option<u64>,
}

impl Effect {
    /// That a web config now is like this.
    #[must_use]
    pub const fn of(config: &WebConfig) -> Self {
        Self { revision: Some(config.revision), generation: Some(config.generation), web_configs: None }
    }

    /// That it took this revision.
    #[must_use]
    pub const fn at(revision: Revision) -> Self {
        Self { revision: Some(revision), generation: None, web_configs: None }
    }

    /// That it has reached so many.
    #[must_use]
    pub const fn on(self, web_configs: u64) -> Self {
        Self { web_configs: Some(web_configs), ..self }
    }
}
