//! The modelled look-ups: what `cache/load.rs` of core does.

use std::time::Duration;

use super::request::Wake;
use super::store::{Row, web_config};
use super::{Cached, Event, MICROS, SECONDS, World, loaded};
use crate::freshness::{LoadTicket, Verdict};
use crate::history::Time;
use crate::store::Revision;

const PAUSE: Duration = Duration::from_secs(1);
const LOAD_LIMIT: Time = 10 * SECONDS;

/// The one look-up of a web config.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LookUp {
    None,
    Running {
        seq: u32,
        at: At,
    },
    /// When it failed, on the boot clock.
    Failed(Duration),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Start,
    Loading(LoadTicket),
    CatchingUp { after: Revision, since: Duration },
    Over,
}

impl World {
    /// Joins the look-up, or begins one; answers whether there is one now.
    pub(super) fn join_look_up(&mut self, node: usize, id: usize) -> bool {
        let now = self.nodes[node].read(self.now).boot;
        match self.nodes[node].look_ups[id] {
            LookUp::Running { .. } => return true,
            LookUp::Failed(at) if now.saturating_sub(at) < PAUSE => return false,
            LookUp::Failed(_) | LookUp::None => {}
        }
        self.order += 1;
        let seq = self.order;
        self.nodes[node].look_ups[id] = LookUp::Running { seq, at: At::Start };
        let delay = self.held_up(node).unwrap_or(MICROS);
        self.later(node, delay, Event::LookUp { id, seq });
        self.later(node, LOAD_LIMIT, Event::LookUpTimeout { id, seq });
        true
    }

    fn running(&self, node: usize, id: usize, seq: u32) -> Option<At> {
        match self.nodes[node].look_ups[id] {
            LookUp::Running { seq: running, at } if running == seq => Some(at),
            _ => None,
        }
    }

    pub(super) fn look_up_goes_on(&mut self, node: usize, id: usize, seq: u32) {
        match self.running(node, id, seq) {
            Some(At::Start) => match self.nodes[node].machine.begin_load() {
                None => self.look_up_ends(node, id, Wake::Look),
                Some(ticket) => {
                    self.nodes[node].look_ups[id] = LookUp::Running { seq, at: At::Loading(ticket) };
                    let delay = self.hop(node);
                    self.later(node, delay, Event::Load { id, seq });
                }
            },
            Some(At::Over) => self.look_up_ends(node, id, Wake::Look),
            _ => {}
        }
    }

    /// At the store.
    pub(super) fn execute_load(&mut self, node: usize, id: usize, seq: u32) {
        let roads = self.nodes[node].roads;
        if self.running(node, id, seq).is_none() || roads.cut > 0 && self.rng.percent(60) {
            return;
        }
        let fails = roads.cut > 0 || roads.errors > 0 && self.rng.percent(70);
        let at = self.seen_by(node);
        let row = self.branches[self.nodes[node].branch].row(id, at).copied();
        let reply = (!fails).then_some((Revision::new(at as u64), row));
        let delay = self.hop(node);
        self.later(node, delay, Event::Loaded { id, seq, reply });
    }

    pub(super) fn loaded(
        &mut self,
        node: usize,
        id: usize,
        seq: u32,
        reply: Option<(Revision, Option<Row>)>,
    ) {
        let Some(At::Loading(ticket)) = self.running(node, id, seq) else { return };
        let Some((head, row)) = reply else {
            return self.look_up_ends(node, id, Wake::InVain);
        };
        // Judged and put in one step: core does both under the lock of this key.
        let process = &mut self.nodes[node];
        let verdict = process.machine.judge(ticket, web_config(id), head, row.as_ref().map(loaded));
        match (verdict, row) {
            (Verdict::Keep { epoch }, Some(row)) => {
                process.records[id] = Some(Cached::new(&row, epoch));
                self.look_up_is_over(node, id, seq);
            }
            (Verdict::Keep { .. } | Verdict::Absent, _) => self.look_up_is_over(node, id, seq),
            (Verdict::Again { after }, _) => {
                let since = process.read(self.now).boot;
                let at = At::CatchingUp { after, since };
                process.look_ups[id] = LookUp::Running { seq, at };
                self.want_proof(node);
                self.look_up_catches_up(node, id);
            }
            (Verdict::Behind | Verdict::WentBack, _) => self.look_up_ends(node, id, Wake::InVain),
        }
    }

    /// Ends a look-up that waits for the feed, if it need not any more.
    pub(super) fn look_up_catches_up(&mut self, node: usize, id: usize) {
        let status = self.nodes[node].status;
        if let LookUp::Running { seq, at: At::CatchingUp { after, since } } = self.nodes[node].look_ups[id]
            && (status.applied >= after || status.proved >= since || status.failed >= since)
        {
            self.look_up_is_over(node, id, seq);
        }
    }

    fn look_up_is_over(&mut self, node: usize, id: usize, seq: u32) {
        self.nodes[node].look_ups[id] = LookUp::Running { seq, at: At::Over };
        let delay = self.held_up(node).unwrap_or(MICROS);
        self.later(node, delay, Event::LookUp { id, seq });
    }

    pub(super) fn look_up_timed_out(&mut self, node: usize, id: usize, seq: u32) {
        if self.running(node, id, seq).is_some() {
            self.look_up_ends(node, id, Wake::InVain);
        }
    }

    fn look_up_ends(&mut self, node: usize, id: usize, wake: Wake) {
        let now = self.nodes[node].read(self.now).boot;
        self.nodes[node].look_ups[id] = match wake {
            Wake::Look => LookUp::None,
            Wake::InVain => LookUp::Failed(now),
        };
        self.record_settled(node, id, wake);
    }
}
