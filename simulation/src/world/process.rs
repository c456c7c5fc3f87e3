//! One modelled process: the very freshness machine, and around it what core keeps around it.

use std::time::Duration;

use super::feed::Feed;
use super::look_up::LookUp;
use super::store::{OriginSet, Row};
use crate::clock::Reading;
use crate::freshness::{Freshness, Loaded, Proof};
use crate::history::{SecretName, Time};
use crate::store::{LogPosition, Revision};
use crate::web_config::Generation;

/// How many web configs a world has at most.
pub(crate) const IDS: usize = 4;

/// What is cached of a web config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cached {
    pub(crate) secret: SecretName,
    pub(crate) generation: Generation,
    pub(crate) origins: OriginSet,
    pub(crate) position: LogPosition,
    pub(crate) epoch: u64,
}

impl Cached {
    pub(crate) fn new(row: &Row, epoch: u64) -> Self {
        Self {
            secret: row.secret,
            generation: Generation::new(row.generation),
            origins: row.origins,
            position: row.position,
            epoch,
        }
    }
}

/// What a look-up tells the machine of a row.
pub(crate) fn loaded(row: &Row) -> Loaded {
    Loaded {
        position: row.position,
        generation: Generation::new(row.generation),
        fingerprint: row.secret.to_be_bytes(),
    }
}

/// As core publishes it: two numbers, written one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Published {
    pub(crate) boot: u64,
    pub(crate) offset: i64,
    pub(crate) epoch: u64,
}

pub(crate) fn paired(boot: u64, offset: i64) -> Option<Proof> {
    let wall = boot.checked_add_signed(offset)?;
    let asked = Reading { boot: Duration::from_nanos(boot), wall: Duration::from_nanos(wall) };
    (boot != 0).then_some(Proof { asked })
}

/// What waiters watch, on the boot clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Status {
    pub(crate) proved: Duration,
    pub(crate) failed: Duration,
    pub(crate) applied: Revision,
}

/// What keeps a process from its store. Each counts the faults in force.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Roads {
    pub(crate) cut: u8,
    pub(crate) errors: u8,
    pub(crate) feed_dead: u8,
    pub(crate) deaf: u8,
    pub(crate) lagging: u8,
    pub(crate) slow: u8,
}

#[derive(Debug)]
pub(crate) struct Node {
    /// Which life of it this is, unique in the history.
    pub(crate) life: u32,
    pub(crate) machine: Freshness,
    pub(crate) records: [Option<Cached>; IDS],
    pub(crate) published: Published,
    pub(crate) status: Status,
    /// `Notify`: whether somebody wants a proof.
    pub(crate) wanted: bool,
    /// Whether a hint of a change has come that nothing was done about yet.
    pub(crate) hinted: bool,
    pub(crate) feed: Feed,
    pub(crate) look_ups: [LookUp; IDS],
    pub(crate) roads: Roads,
    /// Which branch of the store it is connected to.
    pub(crate) branch: usize,
    /// Nothing of it runs before.
    pub(crate) stopped_until: Time,
    /// By how much the clocks are ahead of the world's.
    pub(crate) boot_offset: i64,
    pub(crate) wall_offset: i64,
}

impl Node {
    pub(crate) fn new(life: u32, branch: usize, boot_offset: i64, wall_offset: i64) -> Self {
        let machine = Freshness::new();
        Self {
            life,
            published: Published { epoch: machine.epoch(), ..Published::default() },
            machine,
            records: [None; IDS],
            status: Status::default(),
            wanted: false,
            hinted: false,
            feed: Feed::default(),
            look_ups: [LookUp::None; IDS],
            roads: Roads::default(),
            branch,
            stopped_until: 0,
            boot_offset,
            wall_offset,
        }
    }

    /// Both clocks, when the world's says `now`.
    pub(crate) fn read(&self, now: Time) -> Reading {
        let nanos = |offset| Duration::from_nanos(now.saturating_add_signed(offset));
        Reading { boot: nanos(self.boot_offset), wall: nanos(self.wall_offset) }
    }
}
