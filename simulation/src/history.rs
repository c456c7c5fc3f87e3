//! What happened, as seen from outside: all that the checker knows.
//!
//! A simulated world and a run on real servers record the same history, one JSON object a line. All times are of one clock
//! that never goes back, in nanoseconds from any start.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use voicegain_auth_core::WebConfigId;

/// Nanoseconds on the history's one clock.
pub type Time = u64;

/// A secret, named by whoever records: one number for each secret that was ever asked to be set, also in vain.
pub type SecretName = u64;

/// One life of one process: a process that is started again is another.
pub type Process = u32;

/// One thing that happened. The order of events in a history means nothing; their times do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A change was asked for.
    Change(Change),
    /// A request was decided.
    Decision(Decision),
    /// An exchange that outlived its request.
    Exchange(Exchange),
    /// The store lost something that had been changed, or may have: a restore, or a failover.
    Rollback(Rollback),
    /// Something was wrong, so that requests may have been told to come later.
    Fault(Fault),
    /// Until when the world was watched. The last such event counts.
    End {
        /// When.
        at: Time,
    },
}

/// A change of web configs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its number, unique in the history.
    pub id: u64,
    /// What was to change.
    pub target: Target,
    /// How.
    pub kind: Kind,
    /// When it was first asked for: not after anything of it happened.
    pub asked: Time,
    /// When the answer was there, or it was given up on; `None` if it was never heard of again.
    pub returned: Option<Time>,
    /// What the answer said.
    pub outcome: Outcome,
    /// The store's revision of it, if it is known: changes that are not lost happened in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// What a change changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One web config.
    WebConfig(#[serde(with = "as_text")] WebConfigId),
    /// All of an account.
    Account(String),
    /// All of one context of an account.
    Context(String, String),
}

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Creates it, or revives it.
    Create {
        /// Whose it is from then on.
        account: String,
        /// In which context.
        context: String,
        /// The secret it gets.
        secret: SecretName,
        /// The generation of that, if it is known.
        generation: Option<u64>,
        /// Its allowed origins.
        origins: Vec<String>,
    },
    /// Replaces the secret.
    Regenerate {
        /// The secret it gets.
        secret: SecretName,
        /// The generation of that, if it is known.
        generation: Option<u64>,
    },
    /// Replaces the allowed origins.
    SetOrigins {
        /// By these.
        origins: Vec<String>,
    },
    /// Deletes it.
    Delete,
    /// A bulk end.
    End,
}

/// How a change ended, as far as whoever asked for it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has happened.
    Done,
    /// It may have happened, or may happen yet, or never.
    Unknown,
    /// Nothing was changed.
    Failed,
}

/// A token that was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Whose.
    #[serde(with = "as_text")]
    pub web_config: WebConfigId,
    /// The secret that signed it. Of a minted one: the secret of the token that it was minted with, since it must not
    /// outlive that (rule W3).
    pub secret: SecretName,
    /// Whether it is a short-lived one that was minted.
    pub minted: bool,
}

/// A decision about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// By which process.
    pub process: Process,
    /// When the request was first sent.
    pub sent: Time,
    /// When the decision was there.
    pub decided: Time,
    /// What it presented.
    pub token: Token,
    /// Its `Origin`, if it mattered: a long-lived token's that only `allowedOrigins` can let in (rule O8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Cow<'static, str>>,
    /// What it was told.
    pub answer: Answer,
}

/// What a request was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was let in.
    Accepted,
    /// `invalid_token`.
    InvalidToken,
    /// `origin_not_allowed`.
    OriginNotAllowed,
    /// `temporarily_unavailable`.
    Unavailable,
    /// Anything that says nothing about the promise, as an expired token or a connection that broke.
    Other,
}

/// An exchange that outlived its request (rule C8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// By which process.
    pub process: Process,
    /// What authorised it.
    pub token: Token,
    /// When it was let in.
    pub begun: Time,
    /// When it was ended; `None` if it was alive at the end of the history.
    pub ended: Option<Time>,
}

/// The store went back in time, or to another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// When it began.
    pub from: Time,
    /// When it was complete.
    pub to: Time,
    /// The changes that had been answered and are lost with it. Those of unknown outcome may be, without being named.
    pub lost: Vec<u64>,
}

/// Something that went wrong, as an excuse for a 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which process felt it; `None`: all.
    pub process: Option<Process>,
    /// When it began.
    pub from: Time,
    /// When it was over.
    pub to: Time,
    /// What it was, in words.
    pub what: Cow<'static, str>,
    /// Whether the process ran nothing at all meanwhile.
    #[serde(default)]
    pub stopped: bool,
}

/// All that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// In any order.
    pub events: Vec<Event>,
}

impl History {
    /// Adds one event.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Writes one event a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        for event in &self.events {
            serde_json::to_writer(&mut to, event)?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads what [`write`](Self::write) has written.
    ///
    /// # Errors
    /// If it cannot be read, or is something else.
    pub fn read(from: impl BufRead) -> io::Result<Self> {
        let mut events = Vec::new();
        for line in from.lines() {
            events.push(serde_json::from_str(&line?)?);
        }
        Ok(Self { events })
    }
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use voicegain_auth_core::WebConfigId;

    pub(super) fn serialize<S: Serializer>(id: &WebConfigId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WebConfigId, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}
