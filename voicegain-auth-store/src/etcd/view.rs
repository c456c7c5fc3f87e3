//! Reading several things as they were at one moment.

use std::collections::VecDeque;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, GetOptions, GetResponse, Txn, TxnOp, TxnOpResponse, TxnResponse};
use tokio::time::Instant;
use voicegain_auth_core::store::{EntryId, LogPosition, Revision, StoreError};

use super::connection::{Answer, Connection, GivenUp};
use super::error::{Cause, Failed, Outcome};
use super::keys::Keys;
use super::values::{self, HeadValue};

/// How many operations a transaction has at most; etcd takes 128 unless told otherwise.
pub(super) const OPS_AT_ONCE: usize = 64;
/// How many keys are read at once: a page of 1,000 and the one that tells whether there are more.
pub(super) const KEYS_AT_ONCE: usize = 1_024;

/// A range of keys to read.
#[derive(Debug, Clone)]
pub(super) struct Get {
    key: String,
    options: GetOptions,
}

impl Get {
    pub(super) fn one(key: String) -> Self {
        Self { key, options: GetOptions::new() }
    }

    /// The keys from this one to before that one, at most so many.
    pub(super) fn range(from: String, to: String, limit: usize) -> Self {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Self { key: from, options: GetOptions::new().with_range(to).with_limit(limit) }
    }

    pub(super) fn keys_only(mut self) -> Self {
        self.options = self.options.with_keys_only();
        self
    }

    fn at(self, revision: i64) -> TxnOp {
        TxnOp::get(self.key, Some(self.options.with_revision(revision)))
    }

    pub(super) fn now(self) -> TxnOp {
        TxnOp::get(self.key, Some(self.options))
    }
}

/// One moment of the store.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The log's head then.
    pub(super) head: LogPosition,
    /// What the head's key held then. No other moment of any store had the same there, unless only secrets
    /// were sealed anew, or uses noted, in between.
    raw: Vec<u8>,
    /// etcd's revision of that moment.
    pub(super) revision: i64,
}

impl View {
    /// Holds as long as nothing has changed since, also in a cluster that was restored meanwhile.
    pub(super) fn unchanged(&self, keys: &Keys) -> Compare {
        Compare::value(keys.head(), CompareOp::Equal, self.raw.clone())
    }

    /// The position of a change that follows.
    pub(super) fn next(&self) -> Outcome<LogPosition> {
        let entry = EntryId::generate().map_err(|_| Cause::NoRandomness)?;
        Ok(LogPosition { revision: Revision::new(self.head.revision.get().saturating_add(1)), entry })
    }
}

/// Reads for one request, until its time is over.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) connection: &'a Connection,
    pub(super) keys: &'a Keys,
    pub(super) until: Instant,
}

impl<'a> Reader<'a> {
    pub(super) fn new(connection: &'a Connection, keys: &'a Keys, limit: Duration) -> Self {
        Self { connection, keys, until: Instant::now() + limit }
    }

    /// Reads again for as long as there is time, where what was read is of no moment any more.
    pub(super) async fn again<T, R>(&self, mut read: impl FnMut() -> R + Send) -> Result<T, StoreError>
    where
        R: Future<Output = Outcome<T>> + Send,
    {
        loop {
            match read().await {
                Err(Failed::Again(_)) if Instant::now() < self.until => {}
                outcome => return outcome.map_err(StoreError::from),
            }
        }
    }

    async fn ask(&self, txn: Txn) -> Outcome<TxnResponse> {
        match self.connection.txn(txn, self.until).await {
            Ok(Answer { response, .. }) => Ok(response),
            Err(GivenUp { cause, .. }) => Err(cause.into()),
        }
    }

    /// Reads the head, and these, by a linearizable read.
    pub(super) async fn begin<const N: usize>(&self, gets: [Get; N]) -> Outcome<(View, [GetResponse; N])> {
        let ops: Vec<_> = [self.head()].into_iter().chain(gets).map(Get::now).collect();
        let response = self.ask(Txn::new().and_then(ops)).await?;
        self.viewed(&response)
    }

    /// The same by a transaction that goes through the members' log: an isolated member cannot answer it, nor
    /// one that was paused and does not know it (rule C4). It deletes a key that is not there, which leaves no
    /// revision behind.
    pub(super) async fn begin_proved<const N: usize>(
        &self,
        gets: [Get; N],
    ) -> Outcome<(View, [GetResponse; N])> {
        let mut ops: Vec<_> = [self.head()].into_iter().chain(gets).map(Get::now).collect();
        ops.push(TxnOp::delete(self.keys.nothing(), None));
        let response = self.ask(Txn::new().and_then(ops)).await?;
        self.viewed(&response)
    }

    fn head(&self) -> Get {
        Get::one(self.keys.head())
    }

    fn viewed<const N: usize>(&self, response: &TxnResponse) -> Outcome<(View, [GetResponse; N])> {
        let mut answers = answers(response);
        let head = answers.pop_front().ok_or_else(unasked)?;
        let revision = response.header().map(|header| header.revision()).ok_or_else(unasked)?;
        let raw = head.kvs().first().map(|kv| kv.value().to_vec()).ok_or_else(no_head)?;
        let head = values::decode::<HeadValue>(&raw)?.position();
        let answers = Vec::from(answers).try_into().map_err(|_| unasked())?;
        Ok((View { head, raw, revision }, answers))
    }

    /// Reads more of the same moment, if that can still be had.
    pub(super) async fn more(&self, view: &View, gets: Vec<Get>) -> Outcome<Vec<GetResponse>> {
        let mut all = Vec::with_capacity(gets.len());
        let mut gets = gets.into_iter().peekable();
        while gets.peek().is_some() {
            let batch = gets.by_ref().take(OPS_AT_ONCE);
            let ops: Vec<_> =
                [self.head()].into_iter().chain(batch).map(|get| get.at(view.revision)).collect();
            let asked = ops.len();
            let mut answers = answers(&self.ask(Txn::new().and_then(ops)).await?);
            if answers.len() != asked {
                return Err(unasked());
            }
            // After a restore another past may stand at the same revision.
            let head = answers.pop_front();
            let raw = head.as_ref().and_then(|head| head.kvs().first()).map(|kv| kv.value());
            if raw != Some(view.raw.as_slice()) {
                return Err(Cause::Moved.into());
            }
            all.extend(answers);
        }
        Ok(all)
    }

    /// Reads a whole range of the same moment, page by page, and gives each page to `take` until that says to
    /// stop.
    pub(super) async fn scan(
        &self,
        view: &View,
        mut from: String,
        to: &str,
        keys_only: bool,
        mut take: impl FnMut(&GetResponse) -> Outcome<bool> + Send,
    ) -> Outcome<()> {
        loop {
            let get = Get::range(from, to.to_owned(), KEYS_AT_ONCE);
            let get = if keys_only { get.keys_only() } else { get };
            let answers = self.more(view, vec![get]).await?;
            let answer = answers.first().ok_or_else(unasked)?;
            if !take(answer)? || !answer.more() {
                return Ok(());
            }
            from = next_key(answer)?;
        }
    }
}

/// Where reading goes on after this page.
pub(super) fn next_key(page: &GetResponse) -> Outcome<String> {
    let last = page.kvs().last().ok_or_else(unasked)?;
    let key = last.key_str().map_err(|error| StoreError::damaged(error.to_string()))?;
    Ok(super::keys::after(key))
}

pub(super) fn answers(response: &TxnResponse) -> VecDeque<GetResponse> {
    response
        .op_responses()
        .into_iter()
        .filter_map(|answer| match answer {
            TxnOpResponse::Get(get) => Some(get),
            _ => None,
        })
        .collect()
}

fn unasked() -> Failed {
    StoreError::damaged("etcd answered something else than was asked").into()
}

fn no_head() -> Failed {
    StoreError::damaged("the store's head is missing: its keys have been deleted").into()
}
