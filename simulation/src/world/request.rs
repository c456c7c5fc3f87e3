//! A modelled request: what `cache/mod.rs` and `verifier/shell.rs` of core do, one read at a time.

use std::time::Duration;

use super::process::paired;
use super::store::{ORIGINS, number};
use super::{Cached, Event, MICROS, MILLIS, WAIT_LIMIT, World};
use crate::clock::Reading;
use crate::freshness::{Life, Proof};
use crate::history::{Answer, Decision, Event as Recorded, Time, Token};

const MAX_ROUNDS: u8 = 8;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Look,
    InVain,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// About to take its reads, from this one on.
    Reads(u8),
    ForProof {
        since: Duration,
    },
    ForRecord {
        id: usize,
    },
    Woken(Wake),
    Decided,
}

/// What the reads have found so far, in their order.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    boot: u64,
    proof: Option<Proof>,
    epoch: u64,
    record: Option<Cached>,
    now: Option<Reading>,
}

#[derive(Debug)]
pub(crate) struct Request {
    node: usize,
    seq: u32,
    at: At,
    token: Token,
    origin: Option<usize>,
    sent: Time,
    arrived: Option<Duration>,
    round: u8,
    seen: Seen,
}

impl World {
    /// A client sends a request with this token, or with any, to any process.
    pub(super) fn send(&mut self, token: Option<Token>) {
        let Some(mut token) = token.or_else(|| self.any_token()) else { return };
        token.minted = self.rng.percent(20);
        let node = self.rng.index(self.nodes.len());
        let origin = self.rng.percent(35).then(|| self.rng.index(ORIGINS.len())).filter(|_| !token.minted);
        let request = Request {
            node,
            seq: 0,
            at: At::Reads(0),
            token,
            origin,
            sent: self.now,
            arrived: None,
            round: 0,
            seen: Seen::default(),
        };
        self.requests.push(request);
        let delay = self.rng.pick(&[0, 10 * MICROS, MILLIS]);
        self.request_next(self.requests.len() - 1, At::Reads(0), delay);
    }

    fn any_token(&mut self) -> Option<Token> {
        // The newest more often than those long superseded.
        let recent = self.tokens.len().min(4);
        let from = if self.rng.percent(60) { self.tokens.len() - recent } else { 0 };
        let choices = self.tokens.get(from..)?;
        (!choices.is_empty()).then(|| self.rng.pick(choices))
    }

    fn request_next(&mut self, request: usize, at: At, delay: Time) {
        let next = &mut self.requests[request];
        next.seq += 1;
        next.at = at;
        let (node, seq) = (next.node, next.seq);
        self.later(node, delay, Event::Request { request, seq });
    }

    pub(super) fn request_goes_on(&mut self, node: usize, request: usize, seq: u32) {
        if self.requests[request].seq != seq {
            return;
        }
        match self.requests[request].at {
            At::Reads(from) => self.request_reads(node, request, from),
            At::Woken(Wake::Look) => self.request_reads(node, request, 0),
            At::Woken(Wake::InVain) => self.decided(request, Answer::Unavailable),
            At::ForProof { .. } | At::ForRecord { .. } | At::Decided => {}
        }
    }

    /// Takes the epoch, then the published proof, then the record, then the clocks, then the epoch once more.
    fn request_reads(&mut self, node: usize, request: usize, from: u8) {
        let id = number(self.requests[request].token.web_config);
        for step in from.. {
            let process = &self.nodes[node];
            let seen = &mut self.requests[request].seen;
            match step {
                0 => seen.epoch = process.published.epoch,
                1 => seen.boot = process.published.boot,
                2 => seen.proof = paired(seen.boot, process.published.offset),
                3 => seen.record = process.records[id].filter(|cached| cached.epoch == seen.epoch),
                4 => seen.now = Some(process.read(self.now)),
                5 => seen.proof = seen.proof.filter(|_| process.published.epoch == seen.epoch),
                _ => break,
            }
            if let Some(delay) = self.held_up(node) {
                return self.request_next(request, At::Reads(step + 1), delay);
            }
        }
        self.judge(node, request, id);
    }

    fn judge(&mut self, node: usize, request: usize, id: usize) {
        let process = &self.nodes[node];
        let Request { token, origin, ref mut arrived, seen, .. } = self.requests[request];
        let Some(now) = seen.now else { return };
        let arrived = *arrived.get_or_insert(now.boot);
        let bound = Duration::from_nanos(self.bound);
        let Some(proof) = seen.proof.filter(|proof| proof.holds(now, bound)) else {
            return self.wait_for_proof(node, request, now.boot);
        };
        match seen.record {
            Some(record) if record.secret == token.secret => {
                let allowed = origin.is_none_or(|origin| record.origins & (1 << origin) != 0);
                if allowed {
                    self.begin_exchange(node, token, record);
                }
                let answer = if allowed { Answer::Accepted } else { Answer::OriginNotAllowed };
                return self.decided(request, answer);
            }
            Some(_) => {}
            None => match process.machine.life(token.web_config, seen.epoch) {
                Life::Lives => return self.wait_for_record(node, request, id),
                Life::Unknown => return self.wait_for_proof(node, request, now.boot),
                Life::NotThere => {}
            },
        }
        if proof.asked.boot < arrived {
            return self.wait_for_proof(node, request, arrived);
        }
        self.decided(request, Answer::InvalidToken);
    }

    fn is_over(&mut self, request: usize) -> bool {
        let request = &mut self.requests[request];
        request.round += 1;
        request.round > MAX_ROUNDS
    }

    fn wait_for_proof(&mut self, node: usize, request: usize, since: Duration) {
        if self.is_over(request) {
            return self.decided(request, Answer::Unavailable);
        }
        self.requests[request].at = At::ForProof { since };
        self.requests[request].seq += 1;
        let seq = self.requests[request].seq;
        self.later(node, WAIT_LIMIT, Event::RequestTimeout { request, seq });
        self.want_proof(node);
        self.proof_settled(node, request);
    }

    fn wait_for_record(&mut self, node: usize, request: usize, id: usize) {
        if self.is_over(request) || !self.join_look_up(node, id) {
            return self.decided(request, Answer::Unavailable);
        }
        self.requests[request].at = At::ForRecord { id };
        self.requests[request].seq += 1;
        let seq = self.requests[request].seq;
        self.later(node, WAIT_LIMIT, Event::RequestTimeout { request, seq });
    }

    pub(super) fn request_timed_out(&mut self, _node: usize, request: usize, seq: u32) {
        if self.requests[request].seq == seq {
            self.decided(request, Answer::Unavailable);
        }
    }

    /// Whoever waits for the feed looks at its status.
    pub(super) fn status_changed(&mut self, node: usize) {
        for request in 0..self.requests.len() {
            if self.requests[request].node == node {
                self.proof_settled(node, request);
            }
        }
        for id in 0..self.ids {
            self.look_up_catches_up(node, id);
        }
    }

    fn proof_settled(&mut self, node: usize, request: usize) {
        let At::ForProof { since } = self.requests[request].at else { return };
        let status = self.nodes[node].status;
        let wake = if status.proved >= since && !status.proved.is_zero() {
            Wake::Look
        } else if status.failed >= since && !status.failed.is_zero() {
            Wake::InVain
        } else {
            return;
        };
        let delay = self.held_up(node).unwrap_or(MICROS);
        self.request_next(request, At::Woken(wake), delay);
    }

    /// A look-up has ended.
    pub(super) fn record_settled(&mut self, node: usize, id: usize, wake: Wake) {
        for request in 0..self.requests.len() {
            let waiting = &self.requests[request];
            if waiting.node == node && matches!(waiting.at, At::ForRecord { id: of } if of == id) {
                let delay = self.held_up(node).unwrap_or(MICROS);
                self.request_next(request, At::Woken(wake), delay);
            }
        }
    }

    /// Requests that die with their process are not answered.
    pub(super) fn drop_requests(&mut self, node: usize) {
        for request in &mut self.requests {
            if request.node == node {
                request.at = At::Decided;
                request.seq += 1;
            }
        }
    }

    fn decided(&mut self, request: usize, answer: Answer) {
        let decided = self.now;
        let request = &mut self.requests[request];
        request.at = At::Decided;
        request.seq += 1;
        let decision = Decision {
            process: self.nodes[request.node].life,
            sent: request.sent,
            decided,
            token: request.token,
            origin: request.origin.map(|origin| ORIGINS[origin].into()),
            answer,
        };
        self.history.push(Recorded::Decision(decision));
    }
}
