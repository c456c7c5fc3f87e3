//! Which contexts there are, for people who choose among them.

use std::collections::BTreeMap;

use super::Freshness;
use crate::ids::{AccountId, ContextId};

/// Which contexts to list.
#[derive(Debug, Clone, Default)]
pub struct ContextQuery {
    /// Only those of this account.
    pub account_id: Option<AccountId>,
    /// Only those whose own or whose account's id contains this, in any letter case.
    pub contains: String,
    /// Only those behind this one, in the order of account and context ids.
    pub after: Option<(AccountId, ContextId)>,
    /// At most so many.
    pub limit: usize,
}

/// A context that owns at least one living web config.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextSummary {
    /// Who pays.
    pub account_id: AccountId,
    /// The context.
    pub context_id: ContextId,
    /// How many of its web configs live.
    pub web_configs: usize,
}

impl ContextQuery {
    fn takes(&self, account_id: &AccountId, context_id: &ContextId) -> bool {
        let has = |id: &str| {
            id.as_bytes()
                .windows(self.contains.len())
                .any(|part| part.eq_ignore_ascii_case(self.contains.as_bytes()))
        };
        self.account_id.as_ref().is_none_or(|wanted| wanted == account_id)
            && self
                .after
                .as_ref()
                .is_none_or(|(account, context)| (account, context) < (account_id, context_id))
            && (self.contains.is_empty() || has(context_id.as_str()) || has(account_id.as_str()))
    }
}

impl Freshness {
    /// The first contexts that are asked for, in order. Walks all that is known, as a bulk end does.
    pub(crate) fn contexts(&self, query: &ContextQuery) -> Vec<ContextSummary> {
        let mut wanted = BTreeMap::new();
        for (ids, owner) in &self.owners.0 {
            if query.takes(&ids.0, &ids.1) {
                wanted.insert(*owner, (ids, 0_usize));
            }
        }
        let living = self.known.values().filter(|known| known.epoch == self.epoch && known.living);
        for known in living {
            if let Some((_, count)) = wanted.get_mut(&known.owner) {
                *count = count.saturating_add(1);
            }
        }
        let mut found: Vec<_> = wanted.into_values().filter(|(_, count)| *count > 0).collect();
        found.sort_unstable_by_key(|(ids, _)| *ids);
        found.truncate(query.limit);
        let summary = |((account_id, context_id), web_configs): (&(AccountId, ContextId), usize)| {
            ContextSummary { account_id: account_id.clone(), context_id: context_id.clone(), web_configs }
        };
        found.into_iter().map(summary).collect()
    }
}
