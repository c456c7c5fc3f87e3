//! One attack after the other, with the good client beside them.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::attacks::{Attack, Family, Outcome, Stage, Watch};
use crate::good::{Good, Service};
use crate::process;
use crate::subject::Subject;

/// How long an attack may take: longer, and the gateway hangs.
const LIMIT: Duration = Duration::from_secs(120);

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
    /// The most memory the gateway held, and what it held before, in bytes.
    pub memory: Option<(u64, u64)>,
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
}

/// Does the attacks.
///
/// # Errors
/// If the subject does not serve its good client even before the first.
pub async fn run(subject: &mut Subject, attacks: &[Attack], options: Options) -> Result<Vec<Line>, String> {
    let Options { http2, full, open_files, watch } = options;
    let good = Good::start(subject, http2);
    let watch = watch.then(|| Watch::start(subject.addr));
    // So that all that is made once is made.
    for _ in 0..20 {
        good.settle().await;
    }
    let before = good.take();
    if before.count == 0 || !before.failures.is_empty() {
        return Err(format!("the good client is not served: {:?}", before.failures));
    }
    subject.upstream.record.take();
    let mut lines = Vec::new();
    for attack in attacks {
        let begun = Instant::now();
        let pid = subject.process.as_ref().and_then(process::Process::pid);
        let start = pid.and_then(process::resident);
        pid.inspect(|pid| process::forget_peak(*pid));
        let held = subject.upstream.record.held();
        let stage = Stage { subject, good: &good, http2, full, open_files, held };
        let mut outcome = timeout(LIMIT, attack.run(stage)).await.unwrap_or_else(|_| Outcome {
            findings: vec![format!("not over after {LIMIT:?}")],
            ..Outcome::default()
        });
        let service = good.take();
        let failed = service.failures.len();
        if let Some(first) = service.failures.first() {
            outcome.findings.push(format!("{failed} good requests failed, {first}"));
        }
        let memory = pid.and_then(process::peak).zip(start);
        if let Some((peak, start)) = memory
            && peak > start + attack.bound
        {
            let more = (peak - start) >> 20;
            outcome.findings.push(format!("{more} MiB of memory, {} are allowed", attack.bound >> 20));
        }
        if let Some(process) = &mut subject.process
            && !process.is_alive()
        {
            outcome.findings.push(format!("the gateway has ended: {}", process.log()));
        }
        let (name, family) = (attack.name.clone(), attack.family);
        lines.push(Line { name, family, outcome, service, memory, took: begun.elapsed() });
        if subject.process.as_mut().is_some_and(|process| !process.is_alive()) {
            break;
        }
    }
    if let Some(watch) = watch {
        let begun = Instant::now();
        let outcome = watch.end().await;
        let (name, family) = ("time limits".to_owned(), Family::Slow);
        lines.push(Line { name, family, outcome, service: good.take(), memory: None, took: begun.elapsed() });
    }
    Ok(lines)
}
