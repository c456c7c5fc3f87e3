//! Changes, as the store carries them out and the history tells them.

use super::*;
use crate::history::{Change, Event, Kind, Outcome, Target, Time};

/// A change that is under way, for the history: dropped without an answer, its outcome is unknown.
struct Begun {
    model: Arc<Mutex<Model>>,
    id: u64,
    asked: Time,
    target: Target,
    kind: Kind,
    generation: Option<u64>,
    revision: Option<u64>,
    answer: Option<(Time, Outcome)>,
}

impl Begun {
    fn end(mut self, now: Time, outcome: Outcome) {
        self.answer = Some((now, outcome));
    }

    /// It has happened, whatever is answered.
    fn happened(&mut self, done: Result<(u64, Option<u64>), Refused>) {
        if let Ok((revision, generation)) = done {
            (self.revision, self.generation) = (Some(revision), generation);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Self { id, asked, generation: now, .. } = *self;
        let mut kind = self.kind.clone();
        if let Kind::Create { generation, .. } | Kind::Regenerate { generation, .. } = &mut kind {
            *generation = now;
        }
        let outcome = self.answer.map_or(Outcome::Unknown, |(_, outcome)| outcome);
        let returned = self.answer.map(|(returned, _)| returned);
        let revision = self.revision.filter(|_| outcome == Outcome::Done);
        let target = self.target.clone();
        let change = Change { id, target, kind, asked, returned, outcome, revision };
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        model.history.push(Event::Change(change));
    }
}
impl Road {
    fn begin(&self, op: &Op) -> Begun {
        let one = |id| Target::WebConfig(web_config(id));
        let generation = None;
        let (target, kind) = match op {
            Op::Create { id, owner: of, secret, origins, .. } => {
                let (account, context) = owner(*of);
                let (account, context) = (account.to_string(), context.to_string());
                let origins = origin_names(*origins);
                (one(*id), Kind::Create { account, context, secret: *secret, generation, origins })
            }
            Op::Regenerate { id, secret } => (one(*id), Kind::Regenerate { secret: *secret, generation }),
            Op::SetOrigins { id, origins } => {
                (one(*id), Kind::SetOrigins { origins: origin_names(*origins) })
            }
            Op::Delete { id } => (one(*id), Kind::Delete),
            Op::End(Scope::Account(account)) => (Target::Account(account.to_string()), Kind::End),
            Op::End(Scope::Context(account, context)) => {
                (Target::Context(account.to_string(), context.to_string()), Kind::End)
            }
        };
        let asked = self.clock.now();
        let id = {
            let mut model = self.model();
            model.changes += 1;
            model.changes
        };
        let (revision, answer, model) = (None, None, Arc::clone(&self.model));
        Begun { model, id, asked, target, kind, generation, revision, answer }
    }

    /// Carries a change out, now.
    fn carry_out(&self, op: &Op, change: u64) -> (bool, Result<(u64, Option<u64>), Refused>) {
        let mut model = self.model();
        let branch = self.roads().branch;
        let alone = branch != model.primary || model.isolated.is_some();
        let mut rng = Rng::new(model.seed.wrapping_add(change));
        let Model { branches, news, .. } = &mut *model;
        let done = branches[branch].execute(op, change, &mut rng);
        news.send_replace(());
        (alone, done)
    }

    /// Changes without a network between: what an administrator elsewhere does.
    pub(in crate::real) fn change_now(&self, op: &Op) {
        let mut begun = self.begin(op);
        let (alone, done) = self.carry_out(op, begun.id);
        begun.happened(done);
        let outcome = match done {
            Err(_) => Outcome::Failed,
            Ok(_) if alone => Outcome::Unknown,
            Ok(_) => Outcome::Done,
        };
        begun.end(self.clock.now(), outcome);
    }

    pub(super) async fn change(&self, op: Op) -> Result<(Revision, Option<u64>), StoreError> {
        let mut begun = self.begin(&op);
        let rng = &mut self.choices(CHANGES + begun.id);
        if let Err(error) = self.hop(rng, false).await {
            // Lost on its way there.
            begun.end(self.clock.now(), Outcome::Failed);
            return Err(error);
        }
        let lost = rng.percent(6);
        let (alone, done) = self.carry_out(&op, begun.id);
        begun.happened(done);
        let back = self.hop(rng, false).await;
        match done {
            Err(refused) => {
                begun.end(self.clock.now(), Outcome::Failed);
                Err(match refused {
                    Refused::NotFound => StoreError::NotFound,
                    Refused::AlreadyExists => StoreError::AlreadyExists,
                    Refused::Deleted => StoreError::Deleted,
                })
            }
            Ok(_) if alone || lost || back.is_err() => {
                begun.end(self.clock.now(), Outcome::Unknown);
                Err(StoreError::outcome_unknown("given up on"))
            }
            Ok((revision, generation)) => {
                begun.end(self.clock.now(), Outcome::Done);
                Ok((Revision::new(revision), generation))
            }
        }
    }
}
