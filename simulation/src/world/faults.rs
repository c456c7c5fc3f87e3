//! What goes wrong: with the network, the store, the processes and their clocks.

use super::process::Node;
use super::{Event, MILLIS, SECONDS, World};
use crate::history::{Event as Recorded, Fault, Rollback, Time};

/// A fault, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Trouble {
    kind: Kind,
    node: usize,
    life: u32,
    begun: Time,
    to: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cut,
    Errors,
    FeedDead,
    Lagging,
    Slow,
    /// Stopped, or suspended: the boot clock counts both.
    Stopped,
    /// Frozen with the machine under it: the wall clock alone shows it afterwards.
    Frozen,
    Restarted,
    Isolated,
    /// To a standby that has all that was answered.
    FailedOver,
    /// To one that has not, or to a backup.
    SetBack,
    // None of these is an excuse for a 503.
    Deaf,
    WallAhead,
    WallBack,
    Compacted,
    Evicted,
}

const ANY: [Kind; 16] = [
    Kind::Cut,
    Kind::Errors,
    Kind::FeedDead,
    Kind::Lagging,
    Kind::Slow,
    Kind::Stopped,
    Kind::Frozen,
    Kind::Restarted,
    Kind::Isolated,
    Kind::FailedOver,
    Kind::SetBack,
    Kind::Deaf,
    Kind::WallAhead,
    Kind::WallBack,
    Kind::Compacted,
    Kind::Evicted,
];

/// Those that a process must get over without a 503.
const HARMLESS: [Kind; 5] = [Kind::Deaf, Kind::WallAhead, Kind::WallBack, Kind::Compacted, Kind::Evicted];

impl World {
    pub(super) fn plan_troubles(&mut self) {
        let harmless = self.rng.percent(25);
        // A wall clock that is set back can hide a pause that only it would show; which is outside of the promise.
        let without = if self.rng.percent(50) { Kind::Frozen } else { Kind::WallBack };
        for _ in 0..self.rng.below(7) {
            let kind = if harmless { self.rng.pick(&HARMLESS) } else { self.rng.pick(&ANY) };
            if kind == without {
                continue;
            }
            let begun = self.now + self.rng.below(self.end * 9 / 10);
            let lasts = match self.rng.below(10) {
                0..3 => self.rng.between(MILLIS, SECONDS),
                3..6 => self.rng.between(SECONDS, self.bound),
                _ => self.rng.between(self.bound, 3 * self.bound),
            };
            // One that would not show on the clocks by more than their slack is outside of the promise.
            let lasts = if kind == Kind::Frozen { lasts + SECONDS + 10 * MILLIS } else { lasts };
            let node = self.rng.index(self.nodes.len());
            self.troubles.push(Trouble { kind, node, life: 0, begun, to: begun + lasts });
            let trouble = self.troubles.len() - 1;
            self.at(begun, None, Event::Begin { trouble });
        }
    }

    /// Starts a process, or starts one again.
    pub(super) fn start_node(&mut self, again: Option<usize>) {
        self.lives += 1;
        // Never near zero: a reading of zero means that there is none.
        let boot = self.rng.between(SECONDS, 1000 * SECONDS) as i64;
        let wall = 1_700_000_000 * SECONDS as i64 + self.rng.below(3 * SECONDS) as i64;
        let started = Node::new(self.lives, self.primary, boot, wall);
        let node = match again {
            Some(node) => {
                self.drop_exchanges(node);
                self.drop_requests(node);
                // What lies between it and the store stays as it was; its clocks are the machine's.
                let before = std::mem::replace(&mut self.nodes[node], started);
                self.nodes[node].roads = before.roads;
                self.nodes[node].boot_offset = before.boot_offset;
                self.nodes[node].wall_offset = before.wall_offset;
                node
            }
            None => {
                self.nodes.push(started);
                self.nodes.len() - 1
            }
        };
        self.fault(Some(node), self.now, self.now + 500 * MILLIS, "start");
        // What was in force before is so still.
        let (now, life) = (self.now, self.lives);
        let (mut to, mut any) = (now, false);
        for trouble in &self.troubles {
            let lasting = trouble.node == node && trouble.begun <= now && trouble.to > now;
            if lasting && !HARMLESS.contains(&trouble.kind) {
                (to, any) = (to.max(trouble.to), true);
            }
        }
        if any {
            let what = "a fault from before the start".into();
            let fault = Fault { process: Some(life), from: now, to, what, stopped: false };
            self.history.push(Recorded::Fault(fault));
        }
        self.start_feed(node);
    }

    pub(super) fn trouble_begins(&mut self, trouble: usize) {
        let Trouble { kind, node, begun, to, .. } = self.troubles[trouble];
        self.troubles[trouble].life = self.nodes[node].life;
        let now = self.now;
        let process = &mut self.nodes[node];
        let what = match kind {
            Kind::Cut => count(&mut process.roads.cut, "cut off from the store"),
            Kind::Errors => count(&mut process.roads.errors, "store errors"),
            Kind::FeedDead => count(&mut process.roads.feed_dead, "a dead feed"),
            Kind::Lagging => count(&mut process.roads.lagging, "a lagging replica"),
            Kind::Slow => count(&mut process.roads.slow, "slow reads"),
            Kind::Deaf => {
                process.roads.deaf += 1;
                None
            }
            Kind::Stopped | Kind::Frozen => {
                process.stopped_until = process.stopped_until.max(to);
                if kind == Kind::Frozen {
                    process.boot_offset -= (to - now) as i64;
                }
                let process = Some(process.life);
                let what = if kind == Kind::Stopped { "stopped" } else { "frozen" }.into();
                let fault = Fault { process, from: begun, to, what, stopped: true };
                self.history.push(Recorded::Fault(fault));
                return;
            }
            Kind::WallAhead => {
                process.wall_offset += self.rng.between(900 * MILLIS, 3 * SECONDS) as i64;
                return;
            }
            Kind::WallBack => {
                process.wall_offset -= self.rng.between(MILLIS, 60 * SECONDS) as i64;
                return;
            }
            Kind::Evicted => return process.records = [None; super::IDS],
            Kind::Compacted => {
                let keep = self.rng.below(3) as usize;
                return self.primary().compact(keep);
            }
            Kind::Restarted => return self.start_node(Some(node)),
            Kind::Isolated => {
                let head = self.branches[self.primary].head();
                self.isolated.get_or_insert(head);
                Some("the primary is cut off from its standby")
            }
            Kind::FailedOver => return self.fail_over(false, trouble),
            Kind::SetBack => return self.fail_over(true, trouble),
        };
        if let Some(what) = what {
            let of = (kind != Kind::Isolated).then_some(node);
            self.fault(of, begun, to, what);
        }
        self.at(to, None, Event::End { trouble });
    }

    pub(super) fn trouble_ends(&mut self, trouble: usize) {
        let Trouble { kind, node, .. } = self.troubles[trouble];
        let primary = self.primary;
        let roads = &mut self.nodes[node].roads;
        match kind {
            Kind::Cut => roads.cut -= 1,
            Kind::Errors => roads.errors -= 1,
            Kind::FeedDead => roads.feed_dead -= 1,
            Kind::Lagging => roads.lagging -= 1,
            Kind::Slow => roads.slow -= 1,
            Kind::Deaf => roads.deaf -= 1,
            Kind::Isolated => self.isolated = None,
            // Whoever is still connected to the old primary finds the new one.
            Kind::FailedOver | Kind::SetBack => {
                for process in &mut self.nodes {
                    process.branch = primary;
                }
            }
            _ => {}
        }
    }

    /// Another server takes over, with all that was answered or with less.
    fn fail_over(&mut self, back: bool, trouble: usize) {
        let old = self.primary;
        let head = self.branches[old].head();
        let mut at = self.isolated.take().unwrap_or(head);
        if back {
            at = at.saturating_sub(self.rng.between(1, 4) as usize);
        }
        let lost = self.branches[old].changes_after(at);
        let standby = self.branches[old].fork(at);
        self.branches.push(standby);
        self.primary = self.branches.len() - 1;
        let (from, to) = (self.now, self.troubles[trouble].to);
        self.history.push(Recorded::Rollback(Rollback { from, to: from, lost }));
        self.fault(None, from, to, "a failover");
        for node in 0..self.nodes.len() {
            // Some find it at once; the others go on talking to the old one.
            if self.rng.percent(60) {
                self.nodes[node].branch = self.primary;
            }
        }
        self.at(to, None, Event::End { trouble });
    }
}

fn count(faults: &mut u8, what: &'static str) -> Option<&'static str> {
    *faults += 1;
    Some(what)
}
