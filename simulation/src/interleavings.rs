//! Every order of events of a small world, breadth first: one process, two web configs, one look-up under way, one reader.
//!
//! The world has a primary, a server that lags behind it by one change, and after a failover or a restore the old primary,
//! which still answers what proves nothing. What must hold whenever a reader has taken the epoch, then a proof, then a record:
//! the record was the primary's at some moment after the proof was asked for; and where there is no record and the id counts
//! as unknown, it did not live at some moment since.

mod steps;

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use twox_hash::XxHash3_128;

use crate::clock::Reading;
use crate::freshness::{Freshness, Life, LoadTicket, Plan, Verdict};
use crate::ids::WebConfigId;
use crate::store::{LivingPage, LogPosition, Revision, Scope};
use crate::world::rng::Rng;
use crate::world::store::{Branch, LogRead, Op, Row, number, owner, web_config};
use crate::world::{Cached, loaded};

const IDS: usize = 2;

/// How much may happen in a small world.
#[derive(Debug, Clone, Copy)]
struct Limits {
    changes: usize,
    failovers: usize,
    compactions: usize,
    restarts: usize,
    /// How often a read may fail.
    failures: usize,
    epochs: u64,
    page: usize,
}

/// The first explores changes in depth; the others what comes of failovers, of compaction, of restarts.
const WORLDS: [(&str, Limits); 4] = [
    (
        "changes",
        Limits { changes: 2, failovers: 0, compactions: 0, restarts: 0, failures: 0, epochs: 1, page: 2 },
    ),
    (
        "a failover",
        Limits { changes: 1, failovers: 1, compactions: 0, restarts: 0, failures: 0, epochs: 2, page: 1 },
    ),
    (
        "compaction",
        Limits { changes: 1, failovers: 0, compactions: 1, restarts: 0, failures: 1, epochs: 2, page: 1 },
    ),
    (
        "a restart",
        Limits { changes: 1, failovers: 0, compactions: 0, restarts: 1, failures: 0, epochs: 1, page: 2 },
    ),
];

#[derive(Debug, Clone)]
enum Feed {
    Idle,
    Asked {
        quick: bool,
        asked: usize,
        plan: Plan,
    },
    Page(LivingPage),
    Log {
        quick: bool,
        asked: usize,
        read: Vec<crate::store::LogEntry>,
        more: bool,
    },
    Gone {
        quick: bool,
    },
    Forgetting {
        proves: Option<usize>,
        changed: Vec<WebConfigId>,
    },
    /// The machine has begun a new epoch, the rest of the process not yet.
    Distrusting,
}

#[derive(Debug, Clone, Copy)]
enum LookUp {
    None,
    Begun { id: usize, ticket: LoadTicket },
    Read { id: usize, ticket: LoadTicket, head: usize, row: Option<Row> },
}

#[derive(Debug, Clone, Copy)]
enum Reader {
    None,
    Epoch(u64),
    Proof(u64, usize),
}

#[derive(Debug, Clone)]
struct Small {
    machine: Freshness,
    records: [Option<Cached>; IDS],
    /// When the published proof was asked for, as a number of what was true.
    proof: Option<usize>,
    epoch: u64,
    feed: Feed,
    look_up: LookUp,
    reader: Reader,
    branches: Vec<Branch>,
    /// Whether the old primary is still reached. Once the new one has given a proof, it is not: `ChangeFeed` asks of a store that
    /// what proves nothing is answered by the server that answered the last proof, or by one that cannot hold what it lost.
    old: bool,
    /// What was the primary's, from its beginning until now.
    truth: Vec<[Option<LogPosition>; IDS]>,
    left: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Primary,
    Lagging,
    Old,
}

/// Goes through all worlds; answers what there is to say, and whether there are findings.
#[must_use]
pub fn report() -> (String, bool) {
    let mut text = "all interleavings of small worlds\n".to_owned();
    let mut failed = false;
    // The two that take longest side by side, and beside each of them a short one.
    let [changes, failover, compaction, restart] = WORLDS;
    let explored = thread::scope(|scope| {
        let halves = [[changes, failover], [compaction, restart]]
            .map(|half| scope.spawn(move || half.map(|(name, limits)| (name, timed(limits)))));
        halves.map(|half| half.join().expect("a world that panics is a finding"))
    });
    for (name, (explored, seconds)) in explored.into_iter().flatten() {
        let (states, transitions) = (explored.states, explored.transitions);
        let _ = writeln!(text, "  {name}: {states} states, {transitions} transitions, {seconds:.1} s");
        if let Some(finding) = explored.finding {
            failed = true;
            let _ = writeln!(text, "    finding: {finding}");
        }
    }
    (text, failed)
}

fn timed(limits: Limits) -> (Explored, f64) {
    let begun = Instant::now();
    let explored = explore(limits);
    (explored, begun.elapsed().as_secs_f64())
}

/// How much of a small world there was.
#[derive(Debug)]
struct Explored {
    states: usize,
    transitions: u64,
    finding: Option<String>,
}

fn explore(limits: Limits) -> Explored {
    let root = Small::new(limits);
    let pristine = root.machine.clone();
    let mut room = Vec::new();
    let mut seen = HashSet::from([root.key(&mut room)]);
    // How each state was come by, so that a finding can be told from its beginning.
    let mut ways: Vec<(usize, String)> = vec![(0, "the beginning".into())];
    let mut queue = VecDeque::from([(0, root)]);
    let mut transitions = 0;
    while let Some((at, state)) = queue.pop_front() {
        for (step, outcome) in state.steps(&pristine) {
            transitions += 1;
            let next = match outcome {
                Ok(next) => next,
                Err(finding) => {
                    let mut story = vec![step];
                    let mut from = at;
                    while from != 0 {
                        story.push(ways[from].1.clone());
                        from = ways[from].0;
                    }
                    story.reverse();
                    let finding = Some(format!("{finding}, after {}", story.join("; ")));
                    return Explored { states: seen.len(), transitions, finding };
                }
            };
            if next.machine.epoch() <= limits.epochs && seen.insert(next.key(&mut room)) {
                ways.push((at, step));
                queue.push_back((ways.len() - 1, next));
            }
        }
    }
    Explored { states: seen.len(), transitions, finding: None }
}

type Step = (String, Result<Small, String>);

impl Small {
    fn new(left: Limits) -> Self {
        let mut branch = Branch::new(&mut Rng::new(1));
        for id in 0..IDS {
            let op = Op::Create { id, owner: 0, secret: id as u64, origins: 0, revive: false };
            let _ = branch.execute(&op, 0, &mut Rng::new(10 + id as u64));
        }
        let machine = Freshness::new();
        let mut small = Self {
            epoch: machine.epoch(),
            machine,
            records: [None; IDS],
            proof: None,
            feed: Feed::Idle,
            look_up: LookUp::None,
            reader: Reader::None,
            branches: vec![branch],
            old: true,
            truth: Vec::new(),
            left,
        };
        small.note_truth();
        small
    }

    /// What tells states apart: all of it, the log's entries by their ids alone. `all` is room that is used again and again.
    fn key(&self, all: &mut Vec<u8>) -> u128 {
        let Self { machine, records, proof, epoch, feed, look_up, reader, branches, old, truth, left } = self;
        all.clear();
        write!(all, "{machine:?}{records:?}{proof:?}{epoch}{feed:?}{look_up:?}{reader:?}{old}{left:?}")
            .expect("memory takes all of it");
        let mut add = |revision: u64, entry: &[u8; 16]| {
            all.extend_from_slice(&revision.to_ne_bytes());
            all.extend_from_slice(entry);
        };
        for branch in branches {
            for at in branch.compacted()..=branch.head() {
                add(at as u64, branch.position(at).entry.as_bytes());
            }
        }
        for position in truth.iter().flatten().flatten() {
            add(position.revision.get(), position.entry.as_bytes());
        }
        XxHash3_128::oneshot(all)
    }

    fn primary(&self) -> &Branch {
        &self.branches[self.branches.len() - 1]
    }

    fn note_truth(&mut self) {
        let primary = self.primary();
        let head = primary.head();
        let now = std::array::from_fn(|id| primary.row(id, head).map(|row| row.position));
        self.truth.push(now);
    }

    fn now(&self) -> usize {
        self.truth.len() - 1
    }

    /// The servers that answer what proves nothing, and what they have.
    fn servers(&self) -> Vec<(Server, &Branch, usize)> {
        let head = self.primary().head();
        let mut servers =
            vec![(Server::Primary, self.primary(), head), (Server::Lagging, self.primary(), head - 1)];
        if let [.., old, _] = &self.branches[..]
            && self.old
        {
            servers.push((Server::Old, old, old.head()));
        }
        servers
    }

    fn steps(&self, pristine: &Freshness) -> Vec<Step> {
        let mut steps = Vec::new();
        self.outside(pristine, &mut steps);
        self.feed(&mut steps);
        self.look_up(&mut steps);
        self.read(&mut steps);
        steps
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Result<Self, String> {
        let mut next = self.clone();
        change(&mut next);
        Ok(next)
    }
}
