//! Changes: asked for by an administrator, carried out by the store, and answered, or not.

use super::store::{OWNERS, Op, number, origin_names, owner, web_config};
use super::{Event, MICROS, MILLIS, SECONDS, World};
use crate::history::{Change, Event as Recorded, Kind, Outcome, SecretName, Target, Time, Token};
use crate::store::Scope;

/// How long the administrator waits for an answer.
const PATIENCE: Time = 2 * SECONDS;

/// A change, and how far it has come.
#[derive(Debug)]
pub(crate) struct Asked {
    op: Option<Op>,
    /// Whether it is sent to the server that was the primary when it was sent, cut off or not.
    branch: usize,
    done: Option<Outcome>,
    generation: Option<u64>,
    revision: Option<u64>,
    asked: Time,
    returned: Option<Time>,
}

impl Asked {
    fn new(op: Option<Op>) -> Self {
        let (done, generation, revision, returned) = (None, None, None, None);
        Self { op, branch: 0, done, generation, revision, asked: 0, returned }
    }
}

impl World {
    /// What is there when the processes start.
    pub(super) fn create_first(&mut self) {
        for id in 0..self.ids {
            if id > 0 && self.rng.percent(15) {
                continue;
            }
            let op = self.create(id, false);
            self.asked.push(Asked::new(Some(op)));
            let change = self.asked.len() - 1;
            self.asked[change].asked = 1;
            self.execute(change);
            self.asked[change].returned = Some(1);
        }
        self.queue.clear();
    }

    pub(super) fn plan_changes(&mut self) {
        for _ in 0..self.rng.between(2, 8) {
            let at = self.now + self.rng.below(self.end * 4 / 5);
            // Some come in twos and threes, at about the same time.
            for _ in 0..self.rng.pick(&[1, 1, 1, 2, 3]) {
                self.asked.push(Asked::new(None));
                let change = self.asked.len() - 1;
                let at = at + self.rng.below(5 * MILLIS);
                self.at(at, None, Event::Ask { change });
            }
        }
    }

    fn create(&mut self, id: usize, revive: bool) -> Op {
        let secret = self.new_secret(id);
        Op::Create { id, owner: self.rng.index(OWNERS), secret, origins: self.rng.below(8) as u8, revive }
    }

    fn new_secret(&mut self, id: usize) -> SecretName {
        self.secrets += 1;
        self.tokens.push(Token { web_config: web_config(id), secret: self.secrets, minted: false });
        self.secrets
    }

    fn any_op(&mut self) -> Op {
        let id = self.rng.index(self.ids);
        match self.rng.below(100) {
            0..45 => Op::Regenerate { id, secret: self.new_secret(id) },
            45..60 => Op::SetOrigins { id, origins: self.rng.below(8) as u8 },
            60..72 => Op::Delete { id },
            72..88 => {
                let revive = self.rng.percent(85);
                self.create(id, revive)
            }
            _ => {
                let (account, context) = owner(self.rng.index(OWNERS)).clone();
                Op::End(if self.rng.percent(50) {
                    Scope::Account(account)
                } else {
                    Scope::Context(account, context)
                })
            }
        }
    }

    pub(super) fn ask(&mut self, change: usize) {
        let op = self.any_op();
        let branch = self.rng.percent(75).then_some(self.primary);
        let branch = branch.unwrap_or_else(|| self.rng.index(self.branches.len()));
        let now = self.now;
        let asked = &mut self.asked[change];
        (asked.op, asked.branch, asked.asked) = (Some(op), branch, now);
        // Lost on the way there, or late: the outcome is then unknown, and it may happen long after it was given up on.
        let delay = match self.rng.below(100) {
            0..4 => None,
            4..10 => Some(self.rng.between(SECONDS, 3 * self.bound)),
            _ => Some(self.rng.between(100 * MICROS, 30 * MILLIS)),
        };
        if let Some(delay) = delay {
            self.at(now + delay, None, Event::Execute { change });
        }
        self.at(now + PATIENCE, None, Event::Return { change });
    }

    pub(super) fn execute(&mut self, change: usize) {
        let asked = &self.asked[change];
        let (branch, Some(op)) = (asked.branch, asked.op.clone()) else { return };
        // A server that is no primary any more, or cut off from its standby, commits, but cannot say so.
        let alone = branch != self.primary || self.isolated.is_some();
        if alone && self.rng.percent(30) {
            return;
        }
        let result = self.branches[branch].execute(&op, change as u64, &mut self.rng);
        let in_time = self.asked[change].returned.is_none();
        let asked = &mut self.asked[change];
        match result {
            Ok((revision, generation)) => {
                asked.generation = generation;
                if !alone && in_time {
                    (asked.done, asked.revision) = (Some(Outcome::Done), Some(revision));
                }
                self.announce(branch);
            }
            Err(_) => asked.done = Some(Outcome::Failed).filter(|_| in_time),
        }
        // The answer may get lost, or come when nobody waits for it any more.
        let delay = match self.rng.below(100) {
            0..5 => PATIENCE * 2,
            5..15 => self.rng.between(MILLIS, 500 * MILLIS),
            _ => self.rng.between(100 * MICROS, 20 * MILLIS),
        };
        if !alone {
            self.at(self.now + delay, None, Event::Return { change });
        }
    }

    /// The answer is there, or the administrator has given up.
    pub(super) fn returned(&mut self, change: usize) {
        let now = self.now;
        let asked = &mut self.asked[change];
        if asked.returned.is_some() {
            return;
        }
        asked.returned = Some(now);
        if now >= asked.asked + PATIENCE {
            (asked.done, asked.revision) = (None, None);
        }
        let Some(op) = asked.op.clone() else { return };
        let ids: Vec<usize> = match op {
            Op::Create { id, .. } | Op::Regenerate { id, .. } => vec![id],
            Op::SetOrigins { id, .. } | Op::Delete { id } => vec![id],
            Op::End(_) => (0..self.ids).collect(),
        };
        // Now the tokens before and after are tried, around the moments that matter.
        for id in ids {
            let own = self.tokens.iter().filter(|token| number(token.web_config) == id);
            let last: Vec<Token> = own.rev().take(3).copied().collect();
            for token in last {
                for _ in 0..self.rng.between(0, 2) {
                    let after = match self.rng.below(8) {
                        0..3 => self.rng.below(20 * MILLIS),
                        3 => self.bound / 2,
                        4 => self.bound.saturating_sub(self.rng.below(20 * MILLIS)),
                        5..7 => self.bound + 1 + self.rng.below(50 * MILLIS),
                        _ => self.bound + self.rng.below(2 * self.bound),
                    };
                    self.at(now + after, None, Event::Send { token: Some(token) });
                }
            }
        }
    }

    /// Tells the history of the changes, now that it is known what became of each.
    pub(super) fn close_history(&mut self) {
        self.record_open_exchanges();
        for (change, asked) in std::mem::take(&mut self.asked).into_iter().enumerate() {
            let Some(op) = asked.op else { continue };
            let generation = asked.generation;
            let one = |id| Target::WebConfig(web_config(id));
            let (target, kind) = match op {
                Op::Create { id, owner: of, secret, origins, .. } => {
                    let (account, context) = owner(of);
                    let (account, context) = (account.to_string(), context.to_string());
                    let origins = origin_names(origins);
                    (one(id), Kind::Create { account, context, secret, generation, origins })
                }
                Op::Regenerate { id, secret } => (one(id), Kind::Regenerate { secret, generation }),
                Op::SetOrigins { id, origins } => {
                    (one(id), Kind::SetOrigins { origins: origin_names(origins) })
                }
                Op::Delete { id } => (one(id), Kind::Delete),
                Op::End(Scope::Account(account)) => (Target::Account(account.to_string()), Kind::End),
                Op::End(Scope::Context(account, context)) => {
                    (Target::Context(account.to_string(), context.to_string()), Kind::End)
                }
            };
            self.history.push(Recorded::Change(Change {
                id: change as u64,
                target,
                kind,
                asked: asked.asked,
                returned: asked.returned,
                outcome: asked.done.filter(|_| asked.returned.is_some()).unwrap_or(Outcome::Unknown),
                revision: asked.revision,
            }));
        }
    }
}
