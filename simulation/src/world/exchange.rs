//! Modelled exchanges that outlive their request: what `cache/exchanges.rs` of core does (rule C8).

use std::time::Duration;

use super::{Cached, Event, MICROS, MILLIS, SECONDS, World};
use crate::history::{Event as Recorded, Exchange, Time, Token};
use crate::web_config::Generation;

const MAX_NAP: Time = SECONDS;

#[derive(Debug)]
pub(crate) struct Open {
    node: usize,
    life: u32,
    seq: u32,
    token: Token,
    generation: Generation,
    epoch: u64,
    begun: Time,
    ended: bool,
}

impl World {
    /// Some of the accepted requests are the beginning of something longer.
    pub(super) fn begin_exchange(&mut self, node: usize, token: Token, record: Cached) {
        if !self.rng.percent(15) {
            return;
        }
        let life = self.nodes[node].life;
        let Cached { generation, epoch, .. } = record;
        let begun = self.now;
        self.exchanges.push(Open { node, life, seq: 0, token, generation, epoch, begun, ended: false });
        let exchange = self.exchanges.len() - 1;
        self.look_again(exchange, 0);
    }

    fn look_again(&mut self, exchange: usize, delay: Time) {
        let open = &mut self.exchanges[exchange];
        open.seq += 1;
        let (node, seq) = (open.node, open.seq);
        self.later(node, delay, Event::Exchange { exchange, seq });
    }

    pub(super) fn look_at_exchange(&mut self, node: usize, exchange: usize, seq: u32) {
        let open = &self.exchanges[exchange];
        if open.seq != seq || open.ended {
            return;
        }
        let machine = &self.nodes[node].machine;
        let stands = machine.stands(open.token.web_config, open.generation, open.epoch);
        let now = self.nodes[node].read(self.now);
        let bound = Duration::from_nanos(self.bound);
        match machine.proof().filter(|proof| stands && proof.holds(now, bound)) {
            Some(proof) => {
                let left = bound.saturating_sub(now.boot.saturating_sub(proof.asked.boot));
                let nap = (left.as_nanos() as Time + MILLIS).min(MAX_NAP);
                self.look_again(exchange, nap);
            }
            None => self.end_exchange(exchange),
        }
    }

    /// A change was applied: all look.
    pub(super) fn wake_exchanges(&mut self, node: usize) {
        for exchange in 0..self.exchanges.len() {
            if self.exchanges[exchange].node == node && !self.exchanges[exchange].ended {
                self.look_again(exchange, MICROS);
            }
        }
    }

    /// Exchanges end with their process.
    pub(super) fn drop_exchanges(&mut self, node: usize) {
        for exchange in 0..self.exchanges.len() {
            if self.exchanges[exchange].node == node && !self.exchanges[exchange].ended {
                self.end_exchange(exchange);
            }
        }
    }

    fn end_exchange(&mut self, exchange: usize) {
        let ended = Some(self.now);
        self.exchanges[exchange].ended = true;
        self.record_exchange(exchange, ended);
    }

    pub(super) fn record_open_exchanges(&mut self) {
        for exchange in 0..self.exchanges.len() {
            if !self.exchanges[exchange].ended {
                self.record_exchange(exchange, None);
            }
        }
    }

    fn record_exchange(&mut self, exchange: usize, ended: Option<Time>) {
        let Open { life, token, begun, .. } = self.exchanges[exchange];
        self.history.push(Recorded::Exchange(Exchange { process: life, token, begun, ended }));
    }
}
