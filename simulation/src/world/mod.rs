//! The first level: processes around the real freshness machine, on a model store, in virtual time.
//!
//! Everything is one queue of events and one seeded source of choices, so that a seed is a schedule. The modelled process does
//! what `cache/feed.rs`, `cache/load.rs`, `cache/wait.rs` and `verifier/shell.rs` of core do, step by step and in their
//! order, and may be held up between any two steps as threads are; the second level runs those files themselves.

mod changes;
mod exchange;
mod faults;
mod feed;
mod look_up;
mod process;
mod request;
pub(crate) mod rng;
pub(crate) mod store;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use self::changes::Asked;
use self::exchange::Open;
use self::faults::Trouble;
use self::feed::FeedReply;
use self::process::Node;
pub(crate) use self::process::{Cached, IDS, loaded};
use self::request::Request;
use self::rng::Rng;
use self::store::{Branch, Row};
use crate::checker::Promise;
use crate::history::{Event as Recorded, Fault, History, SecretName, Time, Token};
use crate::store::Revision;

pub(crate) const MICROS: Time = 1_000;
pub(crate) const MILLIS: Time = 1_000_000;
pub(crate) const SECONDS: Time = 1_000_000_000;

/// `SecretCacheBuilder::wait_limit`'s default.
pub(crate) const WAIT_LIMIT: Time = 3 * SECONDS;
/// How long the last consequences of a fault may last on top of the bound: a look-up that hangs (10 s), the pause after it
/// (1 s), and the wait of a request.
pub(crate) const GRACE: Time = 15 * SECONDS;

/// What came of one schedule.
#[derive(Debug)]
pub struct Run {
    /// All that happened.
    pub history: History,
    /// What had been promised.
    pub promise: Promise,
    /// How many events there were.
    pub events: u64,
}

/// Runs the schedule of a seed.
#[must_use]
pub fn run(seed: u64) -> Run {
    let mut world = World::new(seed);
    world.begin();
    world.run();
    world.finish()
}

#[derive(Debug)]
enum Event {
    /// A step of the feed that the process goes on with, if it is still at that step.
    Feed {
        seq: u32,
    },
    FeedTimeout {
        seq: u32,
    },
    FeedExecute {
        seq: u32,
    },
    FeedReply {
        seq: u32,
        reply: Box<FeedReply>,
    },
    Hint,
    LookUp {
        id: usize,
        seq: u32,
    },
    LookUpTimeout {
        id: usize,
        seq: u32,
    },
    Load {
        id: usize,
        seq: u32,
    },
    Loaded {
        id: usize,
        seq: u32,
        reply: Option<(Revision, Option<Row>)>,
    },
    Request {
        request: usize,
        seq: u32,
    },
    RequestTimeout {
        request: usize,
        seq: u32,
    },
    Exchange {
        exchange: usize,
        seq: u32,
    },
    /// What is outside of the processes: clients, and what goes wrong.
    Send {
        token: Option<Token>,
    },
    Ask {
        change: usize,
    },
    Execute {
        change: usize,
    },
    Return {
        change: usize,
    },
    Begin {
        trouble: usize,
    },
    End {
        trouble: usize,
    },
}

struct Queued {
    at: Time,
    /// Earlier ones first, among those of the same time.
    order: u32,
    /// Which process it happens in, and in which of its lives.
    of: Option<(usize, u32)>,
    event: Event,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

struct World {
    rng: Rng,
    now: Time,
    queue: BinaryHeap<Queued>,
    order: u32,
    events: u64,

    bound: Time,
    proof_interval: Time,
    /// How many entries a read of the log answers at most, and how many web configs a page of a listing has.
    page: usize,
    ids: usize,
    end: Time,

    branches: Vec<Branch>,
    primary: usize,
    /// The primary is cut off from its standby, which has so many entries.
    isolated: Option<usize>,

    nodes: Vec<Node>,
    lives: u32,
    requests: Vec<Request>,
    exchanges: Vec<Open>,
    asked: Vec<Asked>,
    troubles: Vec<Trouble>,
    secrets: SecretName,
    /// Every secret that was asked to be set, and of which web config.
    tokens: Vec<Token>,
    history: History,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let bound = rng.pick(&[2, 2, 2, 3, 4, 6, 8, 30]) * SECONDS;
        let branches = vec![Branch::new(&mut rng)];
        let rounds = rng.between(3, 6);
        Self {
            now: SECONDS,
            queue: BinaryHeap::with_capacity(256),
            order: 0,
            events: 0,
            bound,
            proof_interval: rng.pick(&[0, 100, 100]) * MILLIS,
            page: rng.pick(&[1, 2, 2, 3, 1000]),
            ids: rng.between(1, IDS as u64) as usize,
            end: rounds * bound + rng.between(1, 5) * SECONDS,
            branches,
            primary: 0,
            isolated: None,
            nodes: Vec::new(),
            lives: 0,
            requests: Vec::with_capacity(128),
            exchanges: Vec::new(),
            asked: Vec::new(),
            troubles: Vec::new(),
            secrets: 0,
            tokens: Vec::new(),
            history: History { events: Vec::with_capacity(256) },
            rng,
        }
    }

    fn begin(&mut self) {
        self.create_first();
        for _ in 0..self.rng.between(1, 3) {
            self.start_node(None);
        }
        self.plan_changes();
        self.plan_troubles();
        for _ in 0..self.rng.between(10, 40) {
            let at = self.now + self.rng.below(self.end);
            self.at(at, None, Event::Send { token: None });
        }
    }

    fn run(&mut self) {
        let end = self.now + self.end;
        while let Some(Queued { at, of, event, .. }) = self.queue.pop() {
            if at > end {
                break;
            }
            self.now = at;
            if let Some((node, life)) = of {
                let process = &self.nodes[node];
                if process.life != life {
                    continue;
                }
                // What it has sent before it was stopped is under way.
                let sent = matches!(event, Event::FeedExecute { .. } | Event::Load { .. });
                if process.stopped_until > at && !sent {
                    // All that was due meanwhile comes at once when it goes on, in any order.
                    let later = process.stopped_until + self.rng.below(50 * MICROS);
                    self.at(later, of, event);
                    continue;
                }
                self.events += 1;
                self.happen(node, event);
            } else {
                self.events += 1;
                self.happen_outside(event);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, node: usize, event: Event) {
        match event {
            Event::Feed { seq } => self.feed_goes_on(node, seq),
            Event::FeedTimeout { seq } => self.feed_timed_out(node, seq),
            Event::FeedReply { seq, reply } => self.feed_answered(node, seq, *reply),
            Event::Hint => self.hinted(node),
            Event::LookUp { id, seq } => self.look_up_goes_on(node, id, seq),
            Event::LookUpTimeout { id, seq } => self.look_up_timed_out(node, id, seq),
            Event::Loaded { id, seq, reply } => self.loaded(node, id, seq, reply),
            Event::Request { request, seq } => self.request_goes_on(node, request, seq),
            Event::RequestTimeout { request, seq } => self.request_timed_out(node, request, seq),
            Event::Exchange { exchange, seq } => self.look_at_exchange(node, exchange, seq),
            Event::FeedExecute { seq } => self.execute_feed(node, seq),
            Event::Load { id, seq } => self.execute_load(node, id, seq),
            outside => self.happen_outside(outside),
        }
    }

    fn happen_outside(&mut self, event: Event) {
        match event {
            Event::Send { token } => self.send(token),
            Event::Ask { change } => self.ask(change),
            Event::Execute { change } => self.execute(change),
            Event::Return { change } => self.returned(change),
            Event::Begin { trouble } => self.trouble_begins(trouble),
            Event::End { trouble } => self.trouble_ends(trouble),
            _ => {}
        }
    }

    fn finish(mut self) -> Run {
        self.close_history();
        self.history.push(Recorded::End { at: self.now });
        let promise = Promise { bound: self.bound, grace: GRACE, exchange_slack: SECONDS + 300 * MILLIS };
        Run { history: self.history, promise, events: self.events }
    }

    fn at(&mut self, at: Time, of: Option<(usize, u32)>, event: Event) {
        self.order += 1;
        self.queue.push(Queued { at, order: self.order, of, event });
    }

    /// Something in a process, after so long.
    fn later(&mut self, node: usize, delay: Time, event: Event) {
        let of = Some((node, self.nodes[node].life));
        self.at(self.now + delay, of, event);
    }

    /// How long a message is under way; `None`: it is lost.
    fn hop(&mut self, node: usize) -> Time {
        let slow = self.nodes[node].roads.slow > 0;
        match self.rng.below(100) {
            0..60 => self.rng.between(100 * MICROS, MILLIS),
            60..95 if !slow => self.rng.between(MILLIS, 20 * MILLIS),
            _ if !slow => self.rng.between(20 * MILLIS, 200 * MILLIS),
            60..90 => self.rng.between(200 * MILLIS, 2 * SECONDS),
            _ => self.rng.between(SECONDS, 12 * SECONDS),
        }
    }

    /// How long a thread is held up between two steps: `None`, not at all.
    fn held_up(&mut self, node: usize) -> Option<Time> {
        match self.rng.below(10_000) {
            0..9_000 => None,
            9_000..9_700 => Some(self.rng.between(1, 100) * MICROS),
            9_700..9_996 => Some(self.rng.between(1, 40) * MILLIS),
            _ => {
                let delay = self.rng.between(MILLIS, self.bound * 3 / 2);
                // Whoever waits for this thread may be told to come later.
                self.fault(Some(node), self.now, self.now + delay, "a thread was held up");
                Some(delay)
            }
        }
    }

    fn fault(&mut self, node: Option<usize>, from: Time, to: Time, what: &'static str) {
        let process = node.map(|node| self.nodes[node].life);
        self.history.push(Recorded::Fault(Fault { process, from, to, what: what.into(), stopped: false }));
    }

    fn primary(&mut self) -> &mut Branch {
        &mut self.branches[self.primary]
    }
}
