//! Many connections that are held open, and what they cost.

mod one;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::process;

use super::case::describe;
use super::{Outcome, Stage};
use one::{Held, Turn};

/// How many connections are being opened at once.
const OPENING: usize = 200;
/// How long it may take until all are open, and answered where they must be.
const ALL_READY: Duration = Duration::from_secs(60);
/// How long the gateway may take to let go of connections that are closed.
const LET_GO: Duration = Duration::from_secs(10);
/// What the good client may hold besides.
const OTHERS: usize = 32;

/// What a connection of a crowd is to get.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// This status, or `SETTINGS`, before the next connection takes its turn.
    Must(&'static str),
    /// It need not be answered, for this reason.
    NeedNot(&'static str),
}

/// What each connection of a crowd does.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    pub(super) connections: usize,
    /// Sent at once.
    pub(super) first: Vec<u8>,
    /// Sent again and again, with this pause.
    pub(super) drip: Option<(Vec<u8>, Duration)>,
    /// How long all are held at least once all are ready.
    pub(super) hold: Duration,
    /// Whether what comes back is read.
    pub(super) reads: bool,
    pub(super) answer: Answer,
    /// Whether the gateway is to hold all of them at once.
    pub(super) stays: bool,
}

impl Crowd {
    pub(super) async fn run(self, stage: Stage<'_>) -> Outcome {
        let addr = stage.subject.addr;
        let pid = stage.subject.pid();
        let memory = || pid.and_then(process::resident);
        let before = memory();
        // The connections of clients alone: those to the upstream are known from its other end.
        let held =
            || Some(pid.and_then(process::open_files)?.saturating_sub(stage.subject.upstream.record.open()));
        let held_before = held();
        let (end, ended) = watch::channel(false);
        let (ready, mut are_ready) = watch::channel(0_usize);
        let ready = Arc::new(ready);
        let turns = Arc::new(Semaphore::new(OPENING));
        let begun = Instant::now();
        let mut all = JoinSet::new();
        for _ in 0..self.connections {
            let turn = Turn::take(turns.clone(), ready.clone());
            all.spawn(self.clone().hold(addr, turn, ended.clone()));
        }
        let mut findings = Vec::new();
        let everyone = are_ready.wait_for(|count| *count == self.connections);
        if timeout(ALL_READY, everyone).await.is_err() {
            let count = *ready.borrow();
            findings
                .push(format!("{count} of {} connections were ready after {ALL_READY:?}", self.connections));
        }
        let took = begun.elapsed();
        sleep(self.hold.max(stage.lasts)).await;
        let (now, at_once) =
            (memory(), held().zip(held_before).map(|(now, before)| now.saturating_sub(before)));
        let _ = end.send(true);
        let mut one_by_one = Vec::new();
        while let Some(one) = all.join_next().await {
            one_by_one.push(one.unwrap_or_default());
        }
        findings.extend(self.check(&one_by_one, at_once, took));
        let limit = LET_GO.max(stage.let_go);
        findings
            .extend(let_go(limit, addr.port(), one_by_one.iter().filter_map(|one| one.port).collect()).await);
        let seen = stage.seen().await;
        findings.extend(seen.problems.clone());
        let sent = format!(
            "{} connections within {:.1} s, {} bytes each, held {:?}",
            self.connections,
            took.as_secs_f64(),
            self.first.len(),
            self.hold.max(stage.lasts)
        );
        let mut client = one::summary(&one_by_one, self.answer);
        if let Some(at_once) = at_once.filter(|_| self.stays) {
            client += &format!(", {at_once} held at once");
        }
        if let Some((before, now)) = before.zip(now) {
            let each = now.saturating_sub(before) as f64 / self.connections.max(1) as f64;
            client += &format!(", {:.1} KiB each", each / 1024.0);
        }
        let kept = match stage.subject.upstream.record.open() {
            kept @ 200.. => format!("; {kept} connections are kept"),
            _ => String::new(),
        };
        Outcome { sent, client, upstream: describe(&seen) + &kept, findings, ..Outcome::default() }
    }

    /// A crowd that is smaller than it was meant to be proves less.
    fn check(&self, held: &[Held], at_once: Option<usize>, took: Duration) -> Vec<String> {
        let mut findings = Vec::new();
        let count = |what: &dyn Fn(&Held) -> bool| held.iter().filter(|one| what(one)).count();
        let wanted = self.connections;
        let opened = count(&|one| one.problem.is_none());
        if opened < wanted {
            let why = held.iter().find_map(|one| one.problem.clone()).unwrap_or_default();
            findings.push(format!("{opened} of {wanted} connections were opened: {why}"));
        }
        if let Answer::Must(what) = self.answer {
            let answered = count(&|one| one.answer.as_deref() == Some(what));
            if answered < wanted {
                findings.push(format!("{answered} of {wanted} connections were answered {what}"));
            }
        }
        if self.stays {
            let closed = count(&|one| one.closed);
            if closed > 0 {
                findings.push(format!(
                    "{closed} of {wanted} connections were closed while they were held: it took {took:.0?} to have all of them"
                ));
            }
            if let Some(at_once) = at_once.filter(|at_once| at_once + OTHERS < wanted) {
                findings.push(format!("the gateway held {at_once} of {wanted} connections at once"));
            }
        }
        findings
    }
}

/// Waits until nothing is left of the crowd, whose ports these are, at the gateway.
async fn let_go(limit: Duration, port: u16, crowd: HashSet<u16>) -> Option<String> {
    let begun = Instant::now();
    loop {
        let held = process::held(port, &crowd);
        if held == 0 {
            return None;
        }
        if begun.elapsed() > limit {
            return Some(format!("{held} connections are held {limit:?} after their clients have gone"));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(held: &[Held], at_once: usize) -> usize {
        let answer = Answer::Must("200");
        let hold = Duration::ZERO;
        let crowd =
            Crowd { connections: 100, first: Vec::new(), drip: None, hold, reads: true, answer, stays: true };
        crowd.check(held, Some(at_once), hold).len()
    }

    #[test]
    fn a_crowd_that_is_too_small_is_a_finding() {
        let good = || Held { answer: Some("200".to_owned()), ..Held::default() };
        let with = |other: Held| -> Vec<Held> { (0..99).map(|_| good()).chain([other]).collect() };
        assert_eq!(found(&with(good()), 100), 0);
        assert_eq!(found(&with(Held { problem: Some("refused".to_owned()), ..good() }), 100), 1);
        assert_eq!(found(&with(Held::default()), 100), 1);
        assert_eq!(found(&with(Held { answer: Some("503".to_owned()), ..Held::default() }), 100), 1);
        assert_eq!(found(&with(Held { closed: true, ..good() }), 100), 1);
        assert_eq!(found(&with(good()), 60), 1);
    }
}
