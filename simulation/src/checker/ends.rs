//! What follows from the changes of one web config: when each secret began and ended, and each set of origins.

use crate::history::{Change, Kind, Outcome, Rollback, SecretName, Target, Time};

/// An end that must have happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// The change it came with; `None`: a rollback took away what it ended.
    pub(super) by: Option<u64>,
    pub(super) returned: Time,
    /// Requests first sent later than this must not get around it any more.
    pub(super) deadline: Time,
    /// From when on the store may have forgotten it.
    waived: Option<Time>,
}

impl End {
    /// Whether it binds a decision about a request sent then, made then.
    pub(super) fn binds(&self, sent: Time, decided: Time) -> bool {
        self.deadline < sent && self.waived.is_none_or(|from| decided < from)
    }

    /// From when on the store may have forgotten it; the far future if never.
    pub(super) fn binds_until(&self) -> Time {
        self.waived.unwrap_or(Time::MAX)
    }
}

/// The life of one secret.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) name: SecretName,
    pub(super) generation: Option<u64>,
    /// From when on it may count; `None` if it was never set.
    pub(super) from: Option<Time>,
    /// From when on it must count.
    certain: Option<Time>,
    /// From when on something may have ended it.
    threatened: Time,
    pub(super) ends: Vec<End>,
}

impl Life {
    /// Whether it was the newest for certain, all the while (rule C7).
    pub(super) fn is_newest(&self, sent: Time, decided: Time) -> bool {
        self.certain.is_some_and(|certain| certain <= sent) && decided < self.threatened
    }
}

/// A set of allowed origins.
#[derive(Debug)]
pub(super) struct Origins {
    from: Time,
    list: Vec<String>,
    ends: Vec<End>,
}

impl Origins {
    /// Whether a decision may follow it.
    pub(super) fn may_count(&self, sent: Time, decided: Time) -> bool {
        self.from <= decided && !self.ends.iter().any(|end| end.binds(sent, decided))
    }

    pub(super) fn allow(&self, origin: &str) -> bool {
        self.list.iter().any(|allowed| allowed == origin)
    }
}

/// What follows for one web config.
#[derive(Debug, Default)]
pub(super) struct WebConfig {
    pub(super) secrets: Vec<Life>,
    pub(super) origins: Vec<Origins>,
    /// When a process may have seen more of it than the store has: it then answers 503 (rule C3).
    doubtful: Vec<(Time, Time)>,
}

impl WebConfig {
    pub(super) fn of(own: &[&Change], bulk: &[&Change], rollbacks: &[&Rollback], bound: Time) -> Self {
        let changes = Changes { own, bulk, rollbacks, bound };
        let secrets = own.iter().filter_map(|change| changes.life(change)).collect();
        let origins = own.iter().filter_map(|change| changes.origins(change)).collect();
        Self { secrets, origins, doubtful: changes.doubtful() }
    }

    pub(super) fn secret(&self, name: SecretName) -> Option<&Life> {
        self.secrets.iter().find(|life| life.name == name)
    }

    pub(super) fn is_doubtful(&self, sent: Time, decided: Time, grace: Time) -> bool {
        self.doubtful.iter().any(|(from, to)| *from <= decided && to.saturating_add(grace) >= sent)
    }
}

/// All changes that may concern one web config.
struct Changes<'a> {
    own: &'a [&'a Change],
    bulk: &'a [&'a Change],
    rollbacks: &'a [&'a Rollback],
    bound: Time,
}

impl Changes<'_> {
    fn life(&self, set: &Change) -> Option<Life> {
        let (name, generation) = secret_of(set)?;
        let happened = set.outcome != Outcome::Failed;
        Some(Life {
            name,
            generation,
            from: happened.then_some(set.asked),
            certain: set.returned.filter(|_| set.outcome == Outcome::Done),
            threatened: self.threatened(set),
            ends: self.ends(set, ends_secret),
        })
    }

    fn origins(&self, set: &Change) -> Option<Origins> {
        let list = origins_of(set)?;
        let ends = self.ends(set, |change| origins_of(change).is_some());
        (set.outcome != Outcome::Failed).then(|| Origins { from: set.asked, list: list.to_vec(), ends })
    }

    /// What has ended for certain what this change has set.
    fn ends(&self, set: &Change, ending: impl Fn(&Change) -> bool) -> Vec<End> {
        let later = self.changes().filter(|change| {
            change.id != set.id
                && change.outcome == Outcome::Done
                && ending(change)
                && self.before(set, change)
                && self.covers(change, set, true)
        });
        let mut ends: Vec<End> = later
            .filter_map(|change| {
                let returned = change.returned?;
                let waived = self.lost(change).map(|(_, rollback)| rollback.from);
                Some(End { by: Some(change.id), returned, deadline: returned + self.bound, waived })
            })
            .collect();
        if let Some((_, rollback)) = self.lost(set) {
            let (returned, deadline) = (rollback.to, rollback.to + self.bound);
            ends.push(End { by: None, returned, deadline, waived: None });
        }
        ends
    }

    /// From when on the secret that this change has set may have been ended.
    fn threatened(&self, set: &Change) -> Time {
        let others = self.changes().filter(|change| {
            change.id != set.id
                && change.outcome != Outcome::Failed
                && ends_secret(change)
                && !self.before(change, set)
                && self.covers(change, set, false)
        });
        let lost = self.lost(set).map(|(_, rollback)| rollback.from);
        others.map(|change| change.asked).chain(lost).min().unwrap_or(Time::MAX)
    }

    /// When a process may have seen what the store has lost.
    fn doubtful(&self) -> Vec<(Time, Time)> {
        let Some(first) = self.rollbacks.iter().map(|rollback| rollback.from).min() else {
            return Vec::new();
        };
        let concerns = |change: &&Change| {
            let covers = change.kind != Kind::End || self.creates().any(|create| may_cover(change, create));
            ends_secret(change) && covers
        };
        let mut doubtful = Vec::new();
        for change in self.changes().filter(concerns) {
            if change.outcome == Outcome::Unknown || change.returned.is_none() {
                doubtful.push((change.asked.min(first), Time::MAX));
            } else if let Some((_, rollback)) = self.lost(change) {
                doubtful.push((rollback.from, self.past_the_highest(rollback)));
            }
        }
        doubtful
    }

    /// When a generation past all that there were before this rollback was there.
    fn past_the_highest(&self, rollback: &Rollback) -> Time {
        let of = |change: &&&Change| change.asked < rollback.to;
        let highest = self.own.iter().filter(of).filter_map(|change| secret_of(change)?.1).max();
        let later = self.own.iter().filter(|change| {
            change.asked >= rollback.to
                && change.outcome == Outcome::Done
                && self.lost(change).is_none()
                && secret_of(change).is_some_and(|(_, generation)| generation > highest)
        });
        later.filter_map(|change| change.returned).min().unwrap_or(Time::MAX)
    }

    fn changes(&self) -> impl Iterator<Item = &Change> {
        self.own.iter().chain(self.bulk).copied()
    }

    fn creates(&self) -> impl Iterator<Item = &Change> {
        let happened = |change: &&Change| {
            matches!(change.kind, Kind::Create { .. }) && change.outcome != Outcome::Failed
        };
        self.own.iter().copied().filter(happened)
    }

    /// Whether a bulk end ends what this change has set: for certain, or perhaps. Any other change does.
    fn covers(&self, change: &Change, set: &Change, certainly: bool) -> bool {
        if change.kind != Kind::End {
            return true;
        }
        // Whose it was follows from the last create before, unless that was lost.
        let is_last = |create: &&Change| {
            let newer = |other: &Change| {
                self.lost(other).is_none()
                    && self.before(create, other)
                    && (other.id == set.id || self.before(other, set))
            };
            !self.before(set, create) && !self.creates().any(newer)
        };
        let mut creates = self.creates().filter(is_last).peekable();
        let some = creates.peek().is_some();
        let mut covered = creates.map(|create| may_cover(change, create));
        if certainly { some && covered.all(|covered| covered) } else { covered.any(|covered| covered) }
    }

    /// Whether one change has happened before another for certain.
    fn before(&self, one: &Change, other: &Change) -> bool {
        let lost = |change| self.lost(change).map(|(index, _)| index);
        match (one.revision, other.revision) {
            // Revisions of different branches say nothing.
            (Some(one_at), Some(other_at)) if lost(one) == lost(other) => one_at < other_at,
            _ => one.outcome == Outcome::Done && one.returned.is_some_and(|returned| returned <= other.asked),
        }
    }

    fn lost(&self, change: &Change) -> Option<(usize, &Rollback)> {
        let mut rollbacks = self.rollbacks.iter().enumerate();
        let found = rollbacks.find(|(_, rollback)| rollback.lost.contains(&change.id));
        found.map(|(index, rollback)| (index, *rollback))
    }
}

fn secret_of(change: &Change) -> Option<(SecretName, Option<u64>)> {
    match change.kind {
        Kind::Create { secret, generation, .. } | Kind::Regenerate { secret, generation } => {
            Some((secret, generation))
        }
        Kind::SetOrigins { .. } | Kind::Delete | Kind::End => None,
    }
}

fn origins_of(change: &Change) -> Option<&[String]> {
    match &change.kind {
        Kind::Create { origins, .. } | Kind::SetOrigins { origins } => Some(origins),
        Kind::Regenerate { .. } | Kind::Delete | Kind::End => None,
    }
}

/// Whether the secret before it counts no more after this change. A create is proof that it had been ended.
fn ends_secret(change: &Change) -> bool {
    !matches!(change.kind, Kind::SetOrigins { .. })
}

fn may_cover(end: &Change, create: &Change) -> bool {
    let Kind::Create { account, context, .. } = &create.kind else { return false };
    match &end.target {
        Target::WebConfig(_) => true,
        Target::Account(of) => of == account,
        Target::Context(of, context_of) => of == account && context_of == context,
    }
}
