use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::judge::Judge;
use crate::strict::Request;

/// How many requests are kept until somebody asks for them: a flood sends more than anyone reads.
const KEPT: usize = 512;
/// How many problems are kept.
const PROBLEMS: usize = 20;

/// A request that has arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The number of its connection.
    pub connection: u64,
    /// The request.
    pub request: Request,
}

/// What was seen since the last look.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How many requests, the good client's not counted.
    pub total: u64,
    /// The first of them.
    pub arrived: Vec<Arrived>,
    /// The first of those whose head has come and the end of whose body has not, each with what has come of it.
    pub begun: Vec<Arrived>,
    /// What was wrong with any, the good client's included.
    pub problems: Vec<String>,
    /// What came through tunnels.
    pub tunnelled: Vec<u8>,
}

/// What an upstream has seen.
#[derive(Debug)]
pub struct Record {
    judge: Judge,
    seen: Mutex<Seen>,
    open: Level,
    under_way: Level,
    unread: Notify,
}

/// How many there are now, and how many there were at most.
#[derive(Debug, Default)]
struct Level {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Level {
    fn up(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    fn down(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }
}

/// A request whose head has come and whose answer has not gone, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Record>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.down();
    }
}

impl Record {
    pub(super) fn new(judge: Judge) -> Self {
        Self {
            judge,
            seen: Mutex::default(),
            open: Level::default(),
            under_way: Level::default(),
            unread: Notify::new(),
        }
    }

    pub(super) fn opened(&self) {
        self.open.up();
    }

    pub(super) fn closed(&self) {
        self.open.down();
    }

    pub(super) async fn unread_ends(&self) {
        self.unread.notified().await;
    }

    /// Ends the connections on which nothing is read.
    pub fn end_unread(&self) {
        self.unread.notify_waiters();
    }

    /// How many requests are under way, the good client's not counted: a tunnel is while it is open.
    pub fn under_way(&self) -> usize {
        self.under_way.now()
    }

    /// How many connections there are from the gateway, in use and kept for later.
    pub fn open(&self) -> usize {
        self.open.now()
    }

    /// The most requests that were under way since [`forget_most`](Self::forget_most).
    pub fn most_under_way(&self) -> usize {
        self.under_way.most.load(Ordering::Relaxed)
    }

    /// The most connections since [`forget_most`](Self::forget_most).
    pub fn most_open(&self) -> usize {
        self.open.most.load(Ordering::Relaxed)
    }

    /// What is counted at most is counted anew.
    pub fn forget_most(&self) {
        for level in [&self.open, &self.under_way] {
            level.most.store(level.now(), Ordering::Relaxed);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A head has come.
    pub(super) fn begun(self: &Arc<Self>, connection: u64, request: &Request) -> Option<UnderWay> {
        self.wrong(connection, request, self.judge.of_head(request));
        (!self.judge.is_good(request)).then(|| {
            self.under_way.up();
            UnderWay(self.clone())
        })
    }

    /// Of its body not all has come. Who asked for it may have gone, so it counts as it stands, and once.
    pub(super) fn unfinished(&self, connection: u64, request: Request, is_new: bool) {
        if self.judge.is_good(&request) {
            return;
        }
        let begun = &mut self.seen().begun;
        if let Some(before) = begun.iter_mut().find(|it| it.connection == connection) {
            before.request = request;
        } else if is_new && begun.len() < KEPT {
            begun.push(Arrived { connection, request });
        }
    }

    /// No more of it will come.
    pub(super) fn cut_off(&self, connection: u64, request: &Request) {
        self.wrong(connection, request, self.judge.of_trailers(request));
    }

    /// All of it has come.
    pub(super) fn arrived(&self, connection: u64, request: Request) {
        self.wrong(connection, &request, self.judge.of_trailers(&request));
        if self.judge.is_good(&request) {
            return;
        }
        let mut seen = self.seen();
        seen.begun.retain(|it| it.connection != connection);
        seen.total += 1;
        if seen.arrived.len() < KEPT {
            seen.arrived.push(Arrived { connection, request });
        }
    }

    fn wrong(&self, connection: u64, request: &Request, problems: Vec<String>) {
        for problem in problems {
            let head = request.raw_head.escape_ascii();
            self.problem(format!("connection {connection}: {problem}: `{head}`"));
        }
    }

    pub(super) fn tunnelled(&self, bytes: &[u8]) {
        self.seen().tunnelled.extend_from_slice(bytes);
    }

    pub(super) fn problem(&self, problem: String) {
        let mut seen = self.seen();
        if seen.problems.len() < PROBLEMS {
            seen.problems.push(problem);
        }
    }

    /// What was seen since the last time.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen())
    }
}
