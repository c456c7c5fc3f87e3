//! Between rows and records.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use voicegain_auth_core::store::{Change, EntryId, LogEntry, LogPosition, Revision, Scope};
use voicegain_auth_core::{AccountId, ContextId, Generation, StoredWebConfig, WebConfig, WebConfigId};
use zeroize::Zeroizing;

use super::error::{Cause, Failed, Outcome};
use super::schema::VERSION;
use super::values::Uuid;
use crate::sealing::{Binding, SealedSecret, Sealing};

pub(super) const PUT: &str = "put";
pub(super) const DELETED: &str = "deleted";
pub(super) const ENDED: &str = "ended";

/// Reads a row from left to right.
#[derive(Clone)]
pub(super) struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn of(row: &'a Row) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn take<T: FromSql<'a>>(&mut self) -> Outcome<T> {
        let column = self.next;
        self.next = column.saturating_add(1);
        Ok(self.row.try_get(column)?)
    }

    pub(super) fn number(&mut self) -> Outcome<u64> {
        u64::try_from(self.take::<i64>()?).map_err(Failed::damaged)
    }

    pub(super) fn revision(&mut self) -> Outcome<Revision> {
        self.number().map(Revision::new)
    }

    pub(super) fn generation(&mut self) -> Outcome<Generation> {
        self.number().map(Generation::new)
    }

    pub(super) fn id(&mut self) -> Outcome<WebConfigId> {
        Ok(self.take::<Uuid>()?.into())
    }

    pub(super) fn entry(&mut self) -> Outcome<EntryId> {
        Ok(self.take::<Uuid>()?.into())
    }

    pub(super) fn account(&mut self) -> Outcome<AccountId> {
        self.take::<&str>()?.parse().map_err(Failed::damaged)
    }

    pub(super) fn context(&mut self) -> Outcome<ContextId> {
        self.take::<&str>()?.parse().map_err(Failed::damaged)
    }

    pub(super) fn position(&mut self) -> Outcome<LogPosition> {
        Ok(LogPosition { revision: self.revision()?, entry: self.entry()? })
    }

    /// `schema_version, revision, entry` of the head. Every statement begins with it, and so also with a look at the
    /// schema's version: a newer program may have changed that under this one.
    pub(super) fn head(&mut self) -> Outcome<LogPosition> {
        let version = self.take::<i32>()?;
        if version != VERSION {
            return Err(Cause::OtherSchema(version).into());
        }
        self.position()
    }

    /// `next` of a page: its last id, if it is full.
    pub(super) fn next(&mut self) -> Outcome<Option<WebConfigId>> {
        Ok(self.take::<Option<Uuid>>()?.map(WebConfigId::from))
    }

    /// Whether the rest of the row is there: it is not where nothing was joined to the head.
    pub(super) fn is_there(&self) -> Outcome<bool> {
        Ok(self.row.try_get::<_, Option<Uuid>>(self.next)?.is_some())
    }

    /// The columns of [`web_config!`](super::reads).
    pub(super) fn web_config(&mut self) -> Outcome<WebConfig> {
        Ok(WebConfig {
            id: self.id()?,
            account_id: self.account()?,
            context_id: self.context()?,
            name: self.take()?,
            allowed_origins: self.take()?,
            generation: self.generation()?,
            revision: self.revision()?,
            created_at: self.number()?,
            secret_created_at: self.number()?,
        })
    }

    /// `secret_format, key_id, secret`.
    pub(super) fn sealed_secret(&mut self) -> Outcome<SealedSecret> {
        Ok(SealedSecret {
            format: self.take()?,
            key_id: self.take()?,
            bytes: Zeroizing::new(self.take::<&[u8]>()?.to_vec()),
        })
    }

    /// The columns of a web config, then `secret_format, key_id, secret, entry`.
    pub(super) fn stored_web_config(&mut self, sealing: &Sealing) -> Outcome<StoredWebConfig> {
        let config = self.web_config()?;
        let sealed = self.sealed_secret()?;
        let secret = sealing.open(&sealed, &Binding::of(&config))?;
        Ok(StoredWebConfig { config, secret, entry: self.entry()? })
    }

    /// `entry, revision, kind, id, generation, account_id, context_id`.
    pub(super) fn log_entry(&mut self) -> Outcome<LogEntry> {
        let (entry, revision) = (self.entry()?, self.revision()?);
        let change = match self.take::<&str>()? {
            PUT => Change::Put {
                id: self.id()?,
                generation: self.generation()?,
                account_id: self.account()?,
                context_id: self.context()?,
            },
            DELETED => Change::Deleted { id: self.id()?, generation: self.generation()? },
            ENDED => {
                self.next = self.next.saturating_add(2);
                let account = self.account()?;
                Change::Ended(match self.take::<Option<&str>>()? {
                    None => Scope::Account(account),
                    Some(context) => Scope::Context(account, context.parse().map_err(Failed::damaged)?),
                })
            }
            _ => return Err(Failed::damaged("a log entry is of a kind that is not known here")),
        };
        Ok(LogEntry { position: LogPosition { revision, entry }, change })
    }
}
