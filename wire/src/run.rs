//! One attack after the other, with the good client beside them.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::attacks::{Attack, Family, Outcome, Stage, Watch, left_behind};
use crate::good::{Good, Service};
use crate::judge::contains;
use crate::memory::{self, Memory};
use crate::subject::Subject;

/// How long an attack may take: longer, and the gateway hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// What the watch over clients that are given up on is called.
pub const TIME_LIMITS: &str = "time limits";

/// What came of one attack.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// What kind it is.
    pub family: Family,
    /// What was sent and seen, and what is not as it should be.
    pub outcome: Outcome,
    /// How the good client fared.
    pub service: Service,
    /// What the gateway held.
    pub memory: Option<Memory>,
    /// How long it took.
    pub took: Duration,
}

/// How attacks are done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether the subject speaks HTTP/2.
    pub http2: bool,
    /// At the large scale.
    pub full: bool,
    /// How many files this process may open.
    pub open_files: u64,
    /// Whether slow clients are watched beside the attacks until they are given up on.
    pub watch: bool,
    /// How long a flood and a crowd go on at least: for a shorter time the good client says little.
    pub lasts: Duration,
    /// How long a good request may take, all but one of a hundred; `None` judges them by failures alone.
    pub slow: Option<Duration>,
    /// The most memory the gateway may hold in the whole run, in bytes.
    pub memory: Option<u64>,
    /// How often each attack is done besides, to see what is left behind.
    pub again: usize,
}

/// Does the attacks.
///
/// # Errors
/// If the subject does not serve its good client even before the first.
pub async fn run(subject: &mut Subject, attacks: &[Attack], options: Options) -> Result<Vec<Line>, String> {
    let good = Good::start(subject, options.http2);
    // So that all that is made once is made.
    for _ in 0..20 {
        good.settle().await;
    }
    let before = good.take();
    if before.count() == 0 || !before.failures.is_empty() {
        return Err(format!("the good client is not served: {:?}", before.failures));
    }
    let watch = options.watch.then(|| Watch::start(subject, options.full));
    subject.upstream.record.take();
    let mut lines = Vec::new();
    'all: for attack in attacks {
        let first = lines.len();
        for _ in 0..=options.again {
            lines.push(once(subject, attack, &good, options).await);
            if !is_alive(subject) {
                break 'all;
            }
        }
        let peaks: Vec<u64> =
            lines[first..].iter().filter_map(|line: &Line| line.memory).map(|it| it.peak).collect();
        if let Some(line) = lines.last_mut() {
            line.outcome.findings.extend(memory::growth(&peaks));
        }
    }
    if let Some(watch) = watch {
        let begun = Instant::now();
        let mut outcome = watch.end().await;
        let service = good.take();
        if service.count() > 0 {
            outcome.findings.extend(service.findings(options.slow));
        }
        let (name, family) = (TIME_LIMITS.to_owned(), Family::Slow);
        lines.push(Line { name, family, outcome, service, memory: None, took: begun.elapsed() });
    }
    // What came too late for the last attack to be told of.
    let late = subject.upstream.record.take().problems;
    if let Some(line) = lines.last_mut() {
        line.outcome.findings.extend(late);
    }
    Ok(lines)
}

async fn once(subject: &mut Subject, attack: &Attack, good: &Good, options: Options) -> Line {
    let Options { http2, full, open_files, lasts, .. } = options;
    let begun = Instant::now();
    let pid = subject.pid();
    let memory = pid.and_then(Memory::begin);
    let record = &subject.upstream.record;
    record.forget_most();
    let before = (record.under_way(), record.open());
    let stage = Stage { subject, good, http2, full, open_files, lasts, before, let_go: attack.let_go };
    let mut outcome = timeout(LIMIT, attack.run(stage)).await.unwrap_or_else(|_| Outcome {
        findings: vec![format!("not over after {LIMIT:?}")],
        ..Outcome::default()
    });
    outcome.findings.extend(left_behind(stage).await);
    let service = good.take();
    outcome.findings.extend(service.findings(options.slow));
    let memory = memory.zip(pid).map(|(memory, pid)| memory.now(pid));
    outcome.findings.extend(memory.into_iter().flat_map(|it| it.findings(attack.bound, options.memory)));
    outcome.findings.extend(written(subject));
    if !is_alive(subject) {
        let log = subject.process.as_ref().map(|process| process.log()).unwrap_or_default();
        outcome.findings.push(format!("the gateway has ended: {log}"));
    }
    let (name, family) = (attack.name.clone(), attack.family);
    Line { name, family, outcome, service, memory, took: begun.elapsed() }
}

/// What the gateway's log must not hold. A panic that ends a task alone is seen nowhere else.
fn written(subject: &mut Subject) -> Vec<String> {
    let Some(process) = subject.process.as_mut() else { return Vec::new() };
    let log = process.written();
    let mut findings = Vec::new();
    if contains(&log, b"panicked at") {
        findings.push(format!("a panic: {}", String::from_utf8_lossy(&log)));
    }
    if subject.tokens.all().iter().any(|token| contains(&log, token.as_bytes())) {
        findings.push("a token in the log".to_owned());
    }
    findings
}

/// Whoever has no process lives as long as this one.
fn is_alive(subject: &mut Subject) -> bool {
    subject.process.as_mut().is_none_or(|process| process.is_alive())
}
