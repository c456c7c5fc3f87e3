use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    open: AtomicUsize,
    held: AtomicUsize,
}

impl Record {
    pub(super) fn new(judge: Judge) -> Self {
        Self { judge, seen: Mutex::default(), open: AtomicUsize::new(0), held: AtomicUsize::new(0) }
    }

    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn hold(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn let_go(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many requests there are that are not answered, and whose connection is open.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many connections there are from the gateway, in use and kept for later.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A head has come.
    pub(super) fn begun(&self, connection: u64, request: &Request) {
        self.wrong(connection, request, self.judge.of_head(request));
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
