//! A model of a store that can fail over, be isolated, be restored and be compacted. Both levels run on it.

use std::sync::LazyLock;

use voicegain_auth_core::{AccountId, ContextId, Generation, WebConfigId};

use super::rng::Rng;
use crate::history::SecretName;
use crate::store::{Change, EntryId, Living, LivingPage, LogEntry, LogPosition, Revision, Scope};

/// The answer to a read of the log.
#[derive(Debug)]
pub(crate) enum LogRead {
    Entries { entries: Vec<LogEntry>, more: bool },
    Gone,
}

/// How many contexts there are: two of one account, one of another.
pub(crate) const OWNERS: usize = 3;

static CONTEXTS: LazyLock<Vec<(AccountId, ContextId)>> = LazyLock::new(|| {
    let names = [("account-a", "context-1"), ("account-a", "context-2"), ("account-b", "context-3")];
    names
        .iter()
        .filter_map(|(account, context)| Some((account.parse().ok()?, context.parse().ok()?)))
        .collect()
});

/// The account and context with this number.
pub(crate) fn owner(number: usize) -> &'static (AccountId, ContextId) {
    &CONTEXTS[number % OWNERS]
}

pub(crate) fn web_config(number: usize) -> WebConfigId {
    WebConfigId::from_bytes([number as u8 + 1; 16])
}

pub(crate) fn number(id: WebConfigId) -> usize {
    usize::from(id.as_bytes()[0]).wrapping_sub(1)
}

/// A set of the origins 0 to 2, as bits.
pub(crate) type OriginSet = u8;

pub(crate) const ORIGINS: [&str; 3] = ["https://a.example", "https://b.example", "https://c.example"];

pub(crate) fn origin_names(set: OriginSet) -> Vec<String> {
    let chosen = ORIGINS.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0);
    chosen.map(|(_, origin)| (*origin).to_owned()).collect()
}

/// What a web config is, as of one log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) owner: usize,
    pub(crate) generation: u64,
    pub(crate) secret: SecretName,
    pub(crate) origins: OriginSet,
    pub(crate) position: LogPosition,
}

/// What can be asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Create { id: usize, owner: usize, secret: SecretName, origins: OriginSet, revive: bool },
    Regenerate { id: usize, secret: SecretName },
    SetOrigins { id: usize, origins: OriginSet },
    Delete { id: usize },
    End(Scope),
}

/// Why an operation changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    NotFound,
    AlreadyExists,
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Logged {
    entry: LogEntry,
    row: Option<Row>,
    /// The history's number of the change.
    change: u64,
}

/// One line of a store's life. A failover or a restore begins a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Branch {
    base: EntryId,
    log: Vec<Logged>,
    /// How many entries have been compacted away.
    compacted: usize,
}

impl Branch {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { base: entry_id(rng), log: Vec::new(), compacted: 0 }
    }

    /// How many entries there are, which is also the head's revision.
    pub(crate) fn head(&self) -> usize {
        self.log.len()
    }

    /// How many entries have been compacted away.
    pub(crate) fn compacted(&self) -> usize {
        self.compacted
    }

    pub(crate) fn position(&self, at: usize) -> LogPosition {
        let entry = at.checked_sub(1).map_or(self.base, |index| self.log[index].entry.position.entry);
        LogPosition { revision: Revision::new(at as u64), entry }
    }

    /// The web config as a server shows it that has the first `at` entries.
    pub(crate) fn row(&self, id: usize, at: usize) -> Option<&Row> {
        let mut ended: Vec<&Scope> = Vec::new();
        for logged in self.log[..at].iter().rev() {
            match &logged.entry.change {
                Change::Ended(scope) => ended.push(scope),
                Change::Put { id: of, account_id, context_id, .. } if number(*of) == id => {
                    let covered = ended.iter().any(|scope| scope.covers(account_id, context_id));
                    return logged.row.as_ref().filter(|_| !covered);
                }
                Change::Deleted { id: of, .. } if number(*of) == id => return None,
                _ => {}
            }
        }
        None
    }

    /// The last generation there was, of one that lives or of one that has ended.
    fn last_generation(&self, id: usize) -> Option<u64> {
        self.log.iter().rev().find_map(|logged| match &logged.entry.change {
            Change::Put { id: of, generation, .. } | Change::Deleted { id: of, generation } => {
                (number(*of) == id).then(|| generation.get())
            }
            _ => None,
        })
    }

    /// Does what is asked, and answers the revision and, where there is one, the generation.
    pub(crate) fn execute(
        &mut self,
        op: &Op,
        change: u64,
        rng: &mut Rng,
    ) -> Result<(u64, Option<u64>), Refused> {
        let at = self.head();
        let position = LogPosition { revision: Revision::new(at as u64 + 1), entry: entry_id(rng) };
        let living = |id: usize| self.row(id, at).copied().ok_or(Refused::NotFound);
        let (id, row) = match *op {
            Op::Create { id, owner, secret, origins, revive } => {
                let generation = match (living(id), self.last_generation(id)) {
                    (Ok(_), _) => return Err(Refused::AlreadyExists),
                    (Err(_), Some(last)) if revive => last + 1,
                    (Err(_), Some(_)) => return Err(Refused::Deleted),
                    (Err(_), None) => 1,
                };
                (id, Some(Row { owner, generation, secret, origins, position }))
            }
            Op::Regenerate { id, secret } => {
                let row = living(id)?;
                (id, Some(Row { generation: row.generation + 1, secret, position, ..row }))
            }
            Op::SetOrigins { id, origins } => (id, Some(Row { origins, position, ..living(id)? })),
            Op::Delete { id } => {
                let generation = Generation::new(living(id)?.generation);
                let change =
                    self.logged(position, Change::Deleted { id: web_config(id), generation }, change);
                self.log.push(change);
                return Ok((position.revision.get(), None));
            }
            Op::End(ref scope) => {
                let change = self.logged(position, Change::Ended(scope.clone()), change);
                self.log.push(change);
                return Ok((position.revision.get(), None));
            }
        };
        let generation = row.map(|row| row.generation);
        let (account_id, context_id) = owner(row.map_or(0, |row| row.owner)).clone();
        let put = Change::Put {
            id: web_config(id),
            generation: Generation::new(generation.unwrap_or_default()),
            account_id,
            context_id,
        };
        let logged = Logged { row, ..self.logged(position, put, change) };
        self.log.push(logged);
        Ok((position.revision.get(), generation))
    }

    fn logged(&self, position: LogPosition, change: Change, number: u64) -> Logged {
        Logged { entry: LogEntry { position, change }, row: None, change: number }
    }

    /// One page of what lives.
    pub(crate) fn living(
        &self,
        after: Option<WebConfigId>,
        limit: usize,
        ids: usize,
        at: usize,
    ) -> LivingPage {
        let first = after.map_or(0, |after| number(after) + 1);
        // As a store that steps over what has ended: a page may hold fewer than the limit, even none.
        let end = (first + limit).min(ids);
        let living = (first..end).filter_map(|id| Some((id, self.row(id, at)?))).map(|(id, row)| {
            let (account_id, context_id) = owner(row.owner).clone();
            let generation = Generation::new(row.generation);
            Living { id: web_config(id), position: row.position, generation, account_id, context_id }
        });
        let living = living.collect();
        LivingPage { head: self.position(at), living, next: (end < ids).then(|| web_config(end - 1)) }
    }

    /// The log after an entry, as a server shows it that has the first `at` entries.
    pub(crate) fn read_log(&self, after: LogPosition, limit: usize, at: usize) -> LogRead {
        let from = after.revision.get() as usize;
        if from > at || from < self.compacted || self.position(from) != after {
            return LogRead::Gone;
        }
        let to = at.min(from + limit);
        let entries = self.log[from..to].iter().map(|logged| logged.entry.clone()).collect();
        LogRead::Entries { entries, more: to < at }
    }

    /// Forgets all but the last `keep` entries of the log.
    pub(crate) fn compact(&mut self, keep: usize) {
        self.compacted = self.compacted.max(self.head().saturating_sub(keep));
    }

    /// Another server with the first `at` entries, which goes on from there.
    pub(crate) fn fork(&self, at: usize) -> Self {
        Self { base: self.base, log: self.log[..at].to_vec(), compacted: self.compacted.min(at) }
    }

    /// The changes after the first `at` entries.
    pub(crate) fn changes_after(&self, at: usize) -> Vec<u64> {
        self.log[at..].iter().map(|logged| logged.change).collect()
    }
}

fn entry_id(rng: &mut Rng) -> EntryId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&rng.next().to_be_bytes());
    EntryId::from_bytes(bytes)
}
