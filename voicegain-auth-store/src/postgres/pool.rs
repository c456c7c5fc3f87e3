//! The connections that changes and reads take turns on.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connect::Servers;
use super::connection::Connection;
use super::error::{Cause, Outcome};

pub(super) struct Pool {
    servers: Arc<Servers>,
    places: Arc<Semaphore>,
    patience: Duration,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// Connections of an earlier generation are not used again.
    generation: u64,
    connections: Vec<Connection>,
}

impl Pool {
    pub(super) fn new(servers: Arc<Servers>, limit: usize, patience: Duration) -> Self {
        let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { servers, places, patience, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the idle connections, and those in use when they come back: they may lead to a server that is no longer
    /// the one.
    pub(super) fn renew(&self) {
        let mut idle = self.idle();
        idle.generation = idle.generation.wrapping_add(1);
        let old = mem::take(&mut idle.connections);
        drop(idle);
        drop(old);
    }

    /// Takes a connection for one piece of work. It is closed on drop unless it is given [back](Pooled::keep). Must be
    /// called on the store's own runtime.
    pub(super) async fn take(self: &Arc<Self>) -> Outcome<Pooled> {
        let place = timeout(self.patience, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Cause::PoolExhausted(self.patience).into()) };
        let (generation, idle) = {
            let mut idle = self.idle();
            let open = loop {
                match idle.connections.pop() {
                    Some(connection) if connection.is_closed() => {}
                    other => break other,
                }
            };
            (idle.generation, open)
        };
        let used_before = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.servers.connect(None).await?,
        };
        Ok(Pooled { connection, used_before, generation, pool: Arc::clone(self), _place: place })
    }
}

/// A connection out of the pool.
pub(super) struct Pooled {
    pub(super) connection: Connection,
    /// Whether it may have died since it was last used.
    pub(super) used_before: bool,
    generation: u64,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Pooled {
    /// Gives it back: it has answered all that it was asked, and no transaction is open on it.
    pub(super) fn keep(self) {
        let Self { connection, generation, pool, .. } = self;
        let mut idle = pool.idle();
        if generation == idle.generation && !connection.is_closed() {
            idle.connections.push(connection);
        }
    }

    /// Whether it was dead before it was asked, so that asking another one is no second attempt.
    pub(super) fn was_dead(&self) -> bool {
        self.used_before && self.connection.is_closed()
    }
}
