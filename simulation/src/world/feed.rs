//! The modelled feed: what `cache/feed.rs` of core does, one step at a time.

use super::store::{LogRead, number};
use super::{Event, MILLIS, SECONDS, World};
use crate::clock::Reading;
use crate::freshness::Plan;
use crate::history::Time;
use crate::ids::WebConfigId;
use crate::store::{LivingPage, Revision};

const QUICK_LIMIT: Time = SECONDS;
const BACKOFF_MIN: Time = 50 * MILLIS;
const BACKOFF_MAX: Time = SECONDS;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Road {
    Quick,
    #[default]
    Proof,
}

#[derive(Debug, Clone, Default)]
enum At {
    /// About to read.
    #[default]
    Start,
    Reading(Option<Plan>),
    Applying(Applied),
    Publishing {
        step: u8,
        applied: Revision,
    },
    Distrusting {
        step: u8,
        and_then: Time,
    },
    Resting,
}

#[derive(Debug, Clone)]
struct Applied {
    changed: Vec<WebConfigId>,
    forgotten: usize,
    any: bool,
    more: bool,
    last: Revision,
}

#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Counts the steps, so that a timer of an earlier one means nothing.
    seq: u32,
    at: At,
    road: Road,
    asked: Option<Reading>,
    /// When the last proof was asked for, on the timers' clock.
    paced: Time,
    pace_wanted: bool,
    backoff: Time,
}

#[derive(Debug)]
pub(crate) enum FeedReply {
    Failed,
    Panicked,
    Page(LivingPage),
    Log(LogRead),
}

impl World {
    pub(super) fn heartbeat(&self) -> Time {
        (self.bound / 4).min(5 * SECONDS)
    }

    pub(super) fn start_feed(&mut self, node: usize) {
        self.nodes[node].feed.backoff = BACKOFF_MIN;
        self.feed_next(node, At::Start, 0);
    }

    /// Goes on with this after so long.
    fn feed_next(&mut self, node: usize, at: At, delay: Time) {
        let feed = &mut self.nodes[node].feed;
        feed.seq += 1;
        feed.at = at;
        let seq = feed.seq;
        self.later(node, delay, Event::Feed { seq });
    }

    pub(super) fn feed_goes_on(&mut self, node: usize, seq: u32) {
        if self.nodes[node].feed.seq != seq {
            return;
        }
        match std::mem::take(&mut self.nodes[node].feed.at) {
            At::Start => self.feed_reads(node),
            At::Reading(_) => {}
            At::Applying(applied) => self.feed_applies(node, applied),
            At::Publishing { step, applied } => self.feed_publishes(node, step, applied),
            At::Distrusting { step, and_then } => self.feed_distrusts(node, step, and_then),
            At::Resting => self.feed_rests(node),
        }
    }

    fn feed_reads(&mut self, node: usize) {
        let now = self.now;
        let process = &mut self.nodes[node];
        process.feed.asked = Some(process.read(now));
        if process.feed.road == Road::Proof {
            process.feed.paced = now;
            process.feed.pace_wanted = false;
        }
        process.feed.seq += 1;
        process.feed.at = At::Reading(None);
        let seq = process.feed.seq;
        let quick = self.nodes[node].feed.road == Road::Quick;
        let quick = quick && matches!(self.nodes[node].machine.plan(), Plan::Follow { .. });
        let limit = if quick { self.heartbeat().min(QUICK_LIMIT) } else { self.heartbeat() };
        let delay = self.hop(node);
        self.later(node, limit, Event::FeedTimeout { seq });
        self.at(now + delay, Some((node, self.nodes[node].life)), Event::FeedExecute { seq });
        let plan = self.nodes[node].machine.plan();
        self.nodes[node].feed.at = At::Reading(Some(plan));
    }

    /// At the store.
    pub(super) fn execute_feed(&mut self, node: usize, seq: u32) {
        let process = &self.nodes[node];
        let At::Reading(Some(plan)) = process.feed.at else { return };
        let roads = process.roads;
        if process.feed.seq != seq || roads.cut > 0 && self.rng.percent(60) {
            return;
        }
        let fails = roads.errors > 0 && self.rng.percent(70) || roads.cut > 0;
        let proving = self.nodes[node].feed.road == Road::Proof && matches!(plan, Plan::Follow { .. });
        let branch = self.nodes[node].branch;
        // By the road that proves nobody answers who is isolated, restored or behind.
        let isolated = self.isolated.is_some() || branch != self.primary;
        if roads.feed_dead > 0 || proving && isolated && self.rng.percent(60) {
            return;
        }
        let reply = if fails || proving && isolated {
            if roads.errors > 0 && self.rng.percent(10) { FeedReply::Panicked } else { FeedReply::Failed }
        } else {
            let at = if proving { self.branches[branch].head() } else { self.seen_by(node) };
            let shown = &self.branches[branch];
            match plan {
                Plan::List { after } => FeedReply::Page(shown.living(after, self.page, self.ids, at)),
                Plan::Follow { after } => FeedReply::Log(shown.read_log(after, self.page, at)),
            }
        };
        let delay = self.hop(node);
        self.later(node, delay, Event::FeedReply { seq, reply: Box::new(reply) });
    }

    /// How many entries the server has that answers a read which proves nothing.
    pub(super) fn seen_by(&mut self, node: usize) -> usize {
        let head = self.branches[self.nodes[node].branch].head();
        let lagging = self.nodes[node].roads.lagging > 0 && self.rng.percent(60);
        if lagging { head.saturating_sub(self.rng.between(1, 3) as usize) } else { head }
    }

    pub(super) fn feed_timed_out(&mut self, node: usize, seq: u32) {
        if self.nodes[node].feed.seq == seq && matches!(self.nodes[node].feed.at, At::Reading(_)) {
            self.feed_failed(node);
        }
    }

    pub(super) fn feed_answered(&mut self, node: usize, seq: u32, reply: FeedReply) {
        let process = &mut self.nodes[node];
        let At::Reading(Some(plan)) = process.feed.at else { return };
        if process.feed.seq != seq {
            return;
        }
        let road = process.feed.road;
        match reply {
            FeedReply::Failed => self.feed_failed(node),
            FeedReply::Panicked => {
                process.machine.distrust();
                process.feed.road = Road::Proof;
                self.feed_next(node, At::Distrusting { step: 1, and_then: BACKOFF_MAX }, 0);
            }
            FeedReply::Page(page) => {
                process.machine.listed(&page);
                process.feed.road = Road::Proof;
                self.feed_next(node, At::Start, 0);
            }
            FeedReply::Log(LogRead::Entries { entries, more }) => {
                let after = match plan {
                    Plan::Follow { after } => after.revision,
                    Plan::List { .. } => Revision::new(0),
                };
                let changed = process.machine.apply(&entries);
                let last = entries.last().map_or(after, |entry| entry.position.revision);
                let applied = Applied { changed, forgotten: 0, any: !entries.is_empty(), more, last };
                self.feed_applies(node, applied);
            }
            FeedReply::Log(_) if road == Road::Quick => {
                process.feed.road = Road::Proof;
                let delay = (process.feed.paced + self.proof_interval).saturating_sub(self.now);
                self.feed_next(node, At::Start, delay);
            }
            FeedReply::Log(_) => {
                process.machine.distrust();
                self.feed_next(node, At::Distrusting { step: 1, and_then: BACKOFF_MIN }, 0);
            }
        }
    }

    /// Forgets what has changed, and only then goes on to publish.
    fn feed_applies(&mut self, node: usize, mut applied: Applied) {
        loop {
            if let Some(delay) = self.held_up(node) {
                return self.feed_next(node, At::Applying(applied), delay);
            }
            let Some(id) = applied.changed.get(applied.forgotten) else { break };
            self.forget_unless_current(node, *id);
            applied.forgotten += 1;
        }
        if applied.any {
            self.wake_exchanges(node);
        }
        let process = &mut self.nodes[node];
        if applied.more || process.feed.road == Road::Quick {
            process.status.applied = applied.last;
            if applied.more {
                process.feed.road = Road::Quick;
                process.feed.pace_wanted = true;
                self.status_changed(node);
                return self.feed_next(node, At::Start, 0);
            }
            self.status_changed(node);
            return self.feed_rests(node);
        }
        self.feed_publishes(node, 0, applied.last);
    }

    fn forget_unless_current(&mut self, node: usize, id: WebConfigId) {
        let process = &mut self.nodes[node];
        let machine = &process.machine;
        if let Some(cached) = process.records.get_mut(number(id)) {
            *cached = cached.filter(|cached| machine.is_current(id, cached.position));
        }
    }

    fn feed_publishes(&mut self, node: usize, mut step: u8, applied: Revision) {
        loop {
            let process = &mut self.nodes[node];
            let Some(asked) = process.feed.asked else { return };
            match step {
                0 => {
                    if process.machine.prove(asked).is_none() {
                        process.machine.distrust();
                        return self.feed_next(node, At::Distrusting { step: 1, and_then: BACKOFF_MIN }, 0);
                    }
                }
                1 => process.published.offset = nanos(asked.wall) - nanos(asked.boot),
                2 => process.published.boot = nanos(asked.boot).unsigned_abs(),
                _ => {
                    process.status.applied = applied;
                    process.status.proved = asked.boot;
                    process.feed.backoff = BACKOFF_MIN;
                    self.status_changed(node);
                    return self.feed_rests(node);
                }
            }
            step += 1;
            if let Some(delay) = self.held_up(node) {
                return self.feed_next(node, At::Publishing { step, applied }, delay);
            }
        }
    }

    /// The machine has begun a new epoch; the rest of the process follows step by step.
    fn feed_distrusts(&mut self, node: usize, mut step: u8, and_then: Time) {
        loop {
            let process = &mut self.nodes[node];
            match step {
                1 => process.published.boot = 0,
                2 => process.published.epoch = process.machine.epoch(),
                3 => process.records = [None; super::IDS],
                _ => {
                    self.wake_exchanges(node);
                    return self.feed_next(node, At::Start, and_then);
                }
            }
            step += 1;
            if let Some(delay) = self.held_up(node) {
                return self.feed_next(node, At::Distrusting { step, and_then }, delay);
            }
        }
    }

    fn feed_failed(&mut self, node: usize) {
        let (interval, road) = (self.proof_interval, self.nodes[node].feed.road);
        let process = &mut self.nodes[node];
        let anew = process.machine.failed();
        if road == Road::Proof {
            process.status.failed = process.feed.asked.map_or(process.status.failed, |asked| asked.boot);
        }
        let delay = match road {
            Road::Quick => {
                process.feed.road = Road::Proof;
                0
            }
            Road::Proof => {
                let delay = process.feed.backoff.max(interval);
                process.feed.backoff = (process.feed.backoff * 2).min(BACKOFF_MAX);
                process.feed.pace_wanted = true;
                // Where nothing can be proved, changes may still be heard of.
                process.feed.road = if interval == 0 { Road::Proof } else { Road::Quick };
                delay
            }
        };
        self.status_changed(node);
        let next = if anew { At::Distrusting { step: 1, and_then: delay } } else { At::Start };
        self.feed_next(node, next, if anew { 0 } else { delay });
    }

    /// `Pace::rest`: waits for a reason to read.
    fn feed_rests(&mut self, node: usize) {
        let heartbeat = self.heartbeat();
        let interval = self.proof_interval;
        let now = self.now;
        let process = &mut self.nodes[node];
        if process.wanted && !process.feed.pace_wanted {
            process.wanted = false;
            process.feed.pace_wanted = true;
        }
        let due = process.feed.paced + if process.feed.pace_wanted { interval } else { heartbeat };
        if due <= now {
            process.feed.road = Road::Proof;
            return self.feed_next(node, At::Start, 0);
        }
        if std::mem::take(&mut process.hinted) {
            process.feed.road = if interval == 0 { Road::Proof } else { Road::Quick };
            return self.feed_next(node, At::Start, 0);
        }
        self.feed_next(node, At::Resting, due - now);
    }

    /// Somebody wants a proof.
    pub(super) fn want_proof(&mut self, node: usize) {
        self.nodes[node].wanted = true;
        self.feed_stirs(node);
    }

    pub(super) fn hinted(&mut self, node: usize) {
        if self.nodes[node].roads.deaf == 0 {
            self.nodes[node].hinted = true;
            self.feed_stirs(node);
        }
    }

    fn feed_stirs(&mut self, node: usize) {
        if matches!(self.nodes[node].feed.at, At::Resting) {
            let delay = self.rng.below(20) * super::MICROS;
            self.feed_next(node, At::Resting, delay);
        }
    }

    /// Tells all feeds that the log has grown, as far as the news gets through.
    pub(super) fn announce(&mut self, branch: usize) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].branch != branch {
                continue;
            }
            // Lost, doubled, late.
            for _ in 0..self.rng.pick(&[0, 1, 1, 1, 1, 1, 2]) {
                let delay = self.hop(node);
                self.later(node, delay, Event::Hint);
            }
        }
    }
}

fn nanos(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
