//! All that may happen next in a small world.

use super::*;

impl Small {
    /// What the store, an administrator and an operator do.
    pub(super) fn outside(&self, pristine: &Freshness, steps: &mut Vec<Step>) {
        if self.left.changes > 0 {
            // Never used before, on any branch.
            let secret = 100 + self.truth.len() as u64;
            let (account, _) = owner(0).clone();
            for op in [
                Op::Regenerate { id: 0, secret },
                Op::Delete { id: 0 },
                Op::Create { id: 0, owner: 0, secret, origins: 0, revive: true },
                Op::End(Scope::Account(account)),
            ] {
                let mut next = self.clone();
                let last = next.branches.len() - 1;
                if next.branches[last].execute(&op, 0, &mut Rng::new(secret)).is_ok() {
                    next.left.changes -= 1;
                    next.note_truth();
                    steps.push((format!("{op:?}"), Ok(next)));
                }
            }
        }
        let head = self.primary().head();
        for at in (head - 1)..=head {
            if self.left.failovers > 0 {
                let next = self.with(|next| {
                    let standby = next.primary().fork(at);
                    next.branches.push(standby);
                    next.left.failovers -= 1;
                    next.note_truth();
                });
                steps.push((format!("failover with {at} of {head}"), next));
            }
        }
        if self.left.compactions > 0 {
            let next = self.with(|next| {
                let last = next.branches.len() - 1;
                next.branches[last].compact(0);
                next.left.compactions -= 1;
            });
            steps.push(("compaction".into(), next));
        }
        if self.left.restarts > 0 {
            let next = self.with(|next| {
                next.left.restarts -= 1;
                next.machine = pristine.clone();
                next.records = [None; IDS];
                (next.proof, next.epoch) = (None, pristine.epoch());
                (next.feed, next.look_up, next.reader) = (Feed::Idle, LookUp::None, Reader::None);
            });
            steps.push(("restart".into(), next));
        }
    }

    pub(super) fn feed(&self, steps: &mut Vec<Step>) {
        let mut go =
            |name: String, next: &dyn Fn(&mut Self)| steps.push((name, self.with(|small| next(small))));
        match &self.feed {
            Feed::Idle => {
                let plan = self.machine.plan();
                let asked = self.now();
                for quick in [false, true] {
                    if !quick || matches!(plan, Plan::Follow { .. }) {
                        let feed = Feed::Asked { quick, asked, plan };
                        go(format!("feed asks, quick: {quick}"), &|next| next.feed = feed.clone());
                    }
                }
            }
            Feed::Asked { quick, asked, plan } => {
                let proving = !*quick && matches!(plan, Plan::Follow { .. });
                for (server, branch, at) in self.servers() {
                    if proving && server != Server::Primary {
                        continue;
                    }
                    let feed = match *plan {
                        Plan::List { after } => Feed::Page(branch.living(after, self.left.page, IDS, at)),
                        Plan::Follow { after } => match branch.read_log(after, self.left.page, at) {
                            LogRead::Gone => Feed::Gone { quick: *quick },
                            LogRead::Entries { entries: read, more } => {
                                Feed::Log { quick: *quick, asked: *asked, read, more }
                            }
                        },
                    };
                    go(format!("{server:?} answers the feed"), &|next| {
                        next.old &= !(proving && next.branches.len() > 1);
                        next.feed = feed.clone();
                    });
                }
                if self.left.failures > 0 {
                    go("the read fails".into(), &|next| {
                        next.left.failures -= 1;
                        let anew = next.machine.failed();
                        next.feed = if anew { Feed::Distrusting } else { Feed::Idle };
                    });
                }
            }
            Feed::Page(page) => go("the page is taken".into(), &|next| {
                next.machine.listed(page);
                next.feed = Feed::Idle;
            }),
            Feed::Log { quick, asked, read, more } => go("the entries are applied".into(), &|next| {
                let changed = next.machine.apply(read);
                let proves = (!*quick && !*more).then_some(*asked);
                next.feed = Feed::Forgetting { proves, changed };
            }),
            Feed::Gone { quick: true } => go("the feed doubts".into(), &|next| next.feed = Feed::Idle),
            Feed::Gone { quick: false } => go("the machine distrusts".into(), &|next| {
                next.machine.distrust();
                next.feed = Feed::Distrusting;
            }),
            Feed::Forgetting { proves, changed } => match changed.split_last() {
                Some((id, rest)) => go(format!("{id} is forgotten"), &|next| {
                    let machine = &next.machine;
                    let cached = &mut next.records[number(*id)];
                    *cached = cached.filter(|cached| machine.is_current(*id, cached.position));
                    next.feed = Feed::Forgetting { proves: *proves, changed: rest.to_vec() };
                }),
                None => go("the proof is published".into(), &|next| {
                    next.feed = Feed::Idle;
                    if let Some(asked) = *proves {
                        let boot = Duration::from_secs(1 + asked as u64);
                        match next.machine.prove(Reading { boot, wall: boot }) {
                            Some(_) => next.proof = Some(asked),
                            None => {
                                next.machine.distrust();
                                next.feed = Feed::Distrusting;
                            }
                        }
                    }
                }),
            },
            Feed::Distrusting => go("the process distrusts".into(), &|next| {
                (next.proof, next.epoch) = (None, next.machine.epoch());
                next.records = [None; IDS];
                next.feed = Feed::Idle;
            }),
        }
    }

    pub(super) fn look_up(&self, steps: &mut Vec<Step>) {
        match self.look_up {
            LookUp::None => {
                let Some(ticket) = self.machine.begin_load() else { return };
                for id in 0..IDS {
                    let next = self.with(|next| next.look_up = LookUp::Begun { id, ticket });
                    steps.push((format!("a look-up of {id} begins"), next));
                }
            }
            LookUp::Begun { id, ticket } => {
                for (server, branch, head) in self.servers() {
                    let row = branch.row(id, head).copied();
                    let next = self.with(|next| next.look_up = LookUp::Read { id, ticket, head, row });
                    steps.push((format!("{server:?} answers the look-up"), next));
                }
            }
            LookUp::Read { id, ticket, head, row } => {
                let next = self.with(|next| {
                    next.look_up = LookUp::None;
                    let head = Revision::new(head as u64);
                    let found = row.as_ref().map(loaded);
                    let verdict = next.machine.judge(ticket, web_config(id), head, found);
                    if let (Verdict::Keep { epoch }, Some(row)) = (verdict, row) {
                        next.records[id] = Some(Cached::new(&row, epoch));
                    }
                });
                steps.push(("the look-up is judged".into(), next));
            }
        }
    }

    /// A request: the epoch, then the proof, then the record; and what must hold then.
    pub(super) fn read(&self, steps: &mut Vec<Step>) {
        match self.reader {
            Reader::None => {
                let next = self.with(|next| next.reader = Reader::Epoch(next.epoch));
                steps.push(("a reader takes the epoch".into(), next));
            }
            Reader::Epoch(epoch) => {
                if let Some(proof) = self.proof {
                    let next = self.with(|next| next.reader = Reader::Proof(epoch, proof));
                    steps.push(("it takes the proof".into(), next));
                }
            }
            Reader::Proof(epoch, proof) => {
                if self.epoch != epoch {
                    // It looks at the epoch once more, and has no proof then.
                    let next = self.with(|next| next.reader = Reader::None);
                    steps.push(("the epoch is another".into(), next));
                    return;
                }
                for id in 0..IDS {
                    let record = self.records[id].filter(|cached| cached.epoch == epoch);
                    let mut since = self.truth[proof..].iter().map(|truth| truth[id]);
                    let right = match record {
                        Some(record) => since.any(|position| position == Some(record.position)),
                        None if self.machine.life(web_config(id), epoch) == Life::NotThere => {
                            since.any(|position| position.is_none())
                        }
                        None => true,
                    };
                    let what =
                        if record.is_some() { "an old record counts" } else { "one that lives does not" };
                    let next = self.with(|next| next.reader = Reader::None);
                    let outcome = if right { next } else { Err(format!("{what}: web config {id}")) };
                    steps.push((format!("it takes the record of {id}"), outcome));
                }
            }
        }
    }
}
