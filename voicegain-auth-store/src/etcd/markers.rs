//! Bulk ends: which web configs have ended though their records are there.

use std::collections::HashMap;

use etcd_client::{GetResponse, KeyValue};
use voicegain_auth_core::store::Revision;
use voicegain_auth_core::{AccountId, ContextId};

use super::error::Outcome;
use super::keys::{self, Keys};
use super::record::Record;
use super::values::{self, MarkerValue};
use super::view::{Get, KEYS_AT_ONCE, OPS_AT_ONCE, Reader, View};

/// As many as are read with a record in any case. Where there are no more, no second question is needed.
const AT_ONCE: usize = 64;

/// The markers of one moment.
pub(super) struct Markers<'a> {
    keys: &'a Keys,
    /// By key; 0 where there is none.
    known: HashMap<String, u64>,
    /// How many there are, known or not.
    count: usize,
    /// Whether what is not known is not there.
    all: bool,
}

impl<'a> Markers<'a> {
    /// What is to be read together with records.
    pub(super) fn get(keys: &Keys) -> Get {
        Get::range(keys.markers(), keys::end_of(&keys.markers()), AT_ONCE)
    }

    pub(super) fn read(keys: &'a Keys, answer: &GetResponse) -> Outcome<Self> {
        let count = usize::try_from(answer.count()).unwrap_or(usize::MAX);
        let mut markers = Self { keys, known: HashMap::new(), count, all: !answer.more() };
        markers.take(answer)?;
        Ok(markers)
    }

    fn take(&mut self, answer: &GetResponse) -> Outcome<()> {
        for kv in answer.kvs() {
            self.known.insert(String::from_utf8_lossy(kv.key()).into_owned(), revision(kv)?);
        }
        Ok(())
    }

    /// Reads what else is needed to say which of these live.
    pub(super) async fn complete<'r>(
        &mut self,
        reader: Reader<'_>,
        view: &View,
        records: impl IntoIterator<Item = &'r Record> + Send,
    ) -> Outcome<()> {
        let contexts =
            records.into_iter().map(|record| (&record.config.account_id, &record.config.context_id));
        self.complete_for(reader, view, contexts.collect()).await
    }

    pub(super) async fn complete_for(
        &mut self,
        reader: Reader<'_>,
        view: &View,
        contexts: Vec<(&AccountId, &ContextId)>,
    ) -> Outcome<()> {
        if self.all {
            return Ok(());
        }
        let mut wanted: Vec<_> = contexts
            .into_iter()
            .flat_map(|(account, context)| {
                [self.keys.account_marker(account), self.keys.context_marker(account, context)]
            })
            .filter(|key| !self.known.contains_key(key))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        // For a whole page of records it may take fewer questions to ask for all markers than for those of its contexts.
        if self.count / KEYS_AT_ONCE < wanted.len() / OPS_AT_ONCE {
            let markers = self.keys.markers();
            let take = |answer: &GetResponse| self.take(answer).map(|()| true);
            reader.scan(view, markers.clone(), &keys::end_of(&markers), false, take).await?;
            self.all = true;
            return Ok(());
        }
        let gets = wanted.iter().cloned().map(Get::one).collect();
        let answers = reader.more(view, gets).await?;
        for (key, answer) in wanted.into_iter().zip(answers) {
            let ended = answer.kvs().first().map(revision).transpose()?;
            self.known.insert(key, ended.unwrap_or_default());
        }
        Ok(())
    }

    /// Whether what was born at this revision in this context has been ended since.
    pub(super) fn ended(&self, account: &AccountId, context: &ContextId, born: Revision) -> bool {
        let keys = [self.keys.account_marker(account), self.keys.context_marker(account, context)];
        keys.iter().any(|key| self.known.get(key).is_some_and(|ended| *ended > born.get()))
    }

    pub(super) fn lives(&self, record: &Record) -> bool {
        !self.ended(&record.config.account_id, &record.config.context_id, record.born)
    }
}

fn revision(kv: &KeyValue) -> Outcome<u64> {
    Ok(values::decode::<MarkerValue>(kv.value())?.revision)
}
