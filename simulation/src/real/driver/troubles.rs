//! What goes wrong.

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Cut,
    Errors,
    FeedDead,
    Lagging,
    Slow,
    Deaf,
    Isolated,
    FailedOver,
    SetBack,
    Suspended,
    Frozen,
    WallAhead,
    Restarted,
    Compacted,
}

pub(super) const ANY: [Trouble; 14] = [
    Trouble::Cut,
    Trouble::Errors,
    Trouble::FeedDead,
    Trouble::Lagging,
    Trouble::Slow,
    Trouble::Deaf,
    Trouble::Isolated,
    Trouble::FailedOver,
    Trouble::SetBack,
    Trouble::Suspended,
    Trouble::Frozen,
    Trouble::WallAhead,
    Trouble::Restarted,
    Trouble::Compacted,
];

pub(super) const HARMLESS: [Trouble; 3] = [Trouble::Deaf, Trouble::WallAhead, Trouble::Compacted];
impl Play {
    pub(super) fn begin_trouble(&mut self, trouble: Trouble) {
        let index = self.rng.index(self.gateways.len());
        let now = self.clock.now();
        let lasts = match self.rng.below(10) {
            0..4 => self.rng.between(MILLIS, SECONDS),
            _ => self.rng.between(self.bound, 3 * self.bound),
        };
        let process = self.gateways[index].process;
        let mut of = Some(process);
        {
            let mut roads = self.gateways[index].road.roads();
            match trouble {
                Trouble::Cut => roads.cut = true,
                Trouble::Errors => roads.errors = true,
                Trouble::FeedDead => roads.feed_dead = true,
                Trouble::Lagging => roads.lagging = true,
                Trouble::Slow => roads.slow = true,
                Trouble::Deaf => roads.deaf = true,
                _ => {}
            }
        }
        match trouble {
            Trouble::Isolated => {
                of = None;
                self.with_model(|model| {
                    let head = model.branches[model.primary].head();
                    model.isolated.get_or_insert(head);
                });
            }
            Trouble::FailedOver | Trouble::SetBack => {
                of = None;
                self.fail_over(trouble == Trouble::SetBack);
            }
            Trouble::Suspended => return self.suspend(lasts, false),
            Trouble::Frozen => return self.suspend(lasts + SECONDS + 10 * MILLIS, true),
            Trouble::WallAhead => return self.gateways[index].clock.move_wall((lasts + SECONDS) as i64),
            Trouble::Restarted => return self.start_gateway(Some(index)),
            Trouble::Compacted => {
                let keep = self.rng.below(3) as usize;
                return self.with_model(|model| {
                    let primary = model.primary;
                    model.branches[primary].compact(keep);
                });
            }
            _ => {}
        }
        if !HARMLESS.contains(&trouble) {
            self.fault(of, now, now + lasts, what(trouble), false);
        }
        self.troubles.push((now + lasts, index, trouble));
    }

    pub(super) fn end_trouble(&mut self, index: usize, trouble: Trouble) {
        {
            let mut roads = self.gateways[index].road.roads();
            match trouble {
                Trouble::Cut => roads.cut = false,
                Trouble::Errors => roads.errors = false,
                Trouble::FeedDead => roads.feed_dead = false,
                Trouble::Lagging => roads.lagging = false,
                Trouble::Slow => roads.slow = false,
                Trouble::Deaf => roads.deaf = false,
                _ => {}
            }
        }
        match trouble {
            Trouble::Isolated => self.with_model(|model| model.isolated = None),
            Trouble::FailedOver | Trouble::SetBack => {
                let primary = self.with_model(|model| model.primary);
                for gateway in &self.gateways {
                    gateway.road.roads().branch = primary;
                }
            }
            _ => {}
        }
        self.with_model(|model| model.news.send_replace(()));
    }

    fn fail_over(&mut self, back: bool) {
        let less = if back { self.rng.between(1, 3) as usize } else { 0 };
        let lost = self.with_model(|model| {
            let old = model.primary;
            let head = model.branches[old].head();
            let at = model.isolated.take().unwrap_or(head).saturating_sub(less);
            let standby = model.branches[old].fork(at);
            model.branches.push(standby);
            model.primary = model.branches.len() - 1;
            model.branches[old].changes_after(at)
        });
        let at = self.clock.now();
        self.record(Event::Rollback(Rollback { from: at, to: at, lost }));
        let primary = self.with_model(|model| model.primary);
        for index in 0..self.gateways.len() {
            if self.rng.percent(60) {
                self.gateways[index].road.roads().branch = primary;
            }
        }
    }

    /// The machine of all processes sleeps, while the store and an administrator go on. Frozen: the boot clock does not count
    /// it, and only the wall clock shows it.
    fn suspend(&mut self, by: Time, frozen: bool) {
        let from = self.clock.now();
        let wakes = [by / 3, by - by / 3];
        self.clock.suspend(wakes[0]);
        if self.rng.percent(70) {
            let ids = self.with_model(|model| model.ids);
            let id = self.rng.index(ids);
            if let Ok(secret) = Secret::generate() {
                let secret = self.with_model(|model| {
                    model.secrets.push((id, secret));
                    model.secrets.len() as SecretName - 1
                });
                self.gateways[0].road.change_now(&Op::Regenerate { id, secret });
            }
        }
        self.clock.suspend(wakes[1]);
        let to = self.clock.now();
        for gateway in &self.gateways {
            if frozen {
                gateway.clock.move_boot(-(by as i64));
            }
            self.fault(Some(gateway.process), from, to, if frozen { "frozen" } else { "suspended" }, true);
        }
    }
}

fn what(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Cut => "cut off from the store",
        Trouble::Errors => "store errors",
        Trouble::FeedDead => "a dead feed",
        Trouble::Lagging => "a lagging replica",
        Trouble::Slow => "slow reads",
        Trouble::Isolated => "the primary is cut off from its standby",
        _ => "a failover",
    }
}
