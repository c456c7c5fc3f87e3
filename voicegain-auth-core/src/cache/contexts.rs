//! Which contexts there are, for people who choose among them.

use crate::freshness::Freshness;
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
    /// The first that are asked for, in order.
    pub(super) fn find(&self, machine: &Freshness) -> Vec<ContextSummary> {
        let mut found: Vec<_> = machine
            .contexts()
            .filter(|(account, context, living)| *living > 0 && self.takes(account, context))
            .collect();
        found.sort_unstable();
        found.truncate(self.limit);
        let summary = |(account, context, web_configs): (&AccountId, &ContextId, usize)| ContextSummary {
            account_id: account.clone(),
            context_id: context.clone(),
            web_configs,
        };
        found.into_iter().map(summary).collect()
    }

    fn takes(&self, account_id: &AccountId, context_id: &ContextId) -> bool {
        let part = self.contains.as_bytes();
        let has =
            |id: &str| id.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
        self.account_id.as_ref().is_none_or(|wanted| wanted == account_id)
            && self
                .after
                .as_ref()
                .is_none_or(|(account, context)| (account, context) < (account_id, context_id))
            && (part.is_empty() || has(context_id.as_str()) || has(account_id.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use crate::testing::until;

    fn names(found: &[ContextSummary]) -> String {
        found.iter().map(|it| format!("{}/{} {}; ", it.account_id, it.context_id, it.web_configs)).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn contexts_are_those_that_own_something_that_lives() {
        let world = World::new().await;
        let gone = world.create_in("acc", "gone").await;
        for (account, context) in [("acc", "beta"), ("acc", "alpha"), ("acc", "beta"), ("other", "alpha")] {
            world.create_in(account, context).await;
        }
        world.issuer.delete(gone.config.id).await.unwrap();
        until("the feed has caught up", || world.cache.status().living == 4).await;
        let all = || ContextQuery { limit: 9, ..ContextQuery::default() };
        let found = |query: ContextQuery| names(&world.cache.contexts(&query));
        assert_eq!(found(all()), "acc/alpha 1; acc/beta 2; other/alpha 1; ");
        assert_eq!(found(ContextQuery { limit: 2, ..all() }), "acc/alpha 1; acc/beta 2; ");
        let after = Some(("acc".parse().unwrap(), "alpha".parse().unwrap()));
        assert_eq!(found(ContextQuery { after, ..all() }), "acc/beta 2; other/alpha 1; ");
        let account_id = Some("other".parse().unwrap());
        assert_eq!(found(ContextQuery { account_id, ..all() }), "other/alpha 1; ");
        for (contains, expected) in
            [("ET", "acc/beta 2; "), ("OTH", "other/alpha 1; "), ("x ", ""), ("é", "")]
        {
            assert_eq!(found(ContextQuery { contains: contains.into(), ..all() }), expected);
        }
    }
}
