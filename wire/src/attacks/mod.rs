//! The attacks, each by its name.

mod case;
mod chunks;
mod connections;
mod crowd;
mod downgrade;
mod floods;
mod framing;
mod heads;
mod hidden;
mod limits;
mod paths;
mod requests;
mod slow;
mod swarm;
mod upgrades;
mod watch;
mod windows;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::good::Good;
use crate::subject::Subject;
use crate::upstream::Seen;
pub use watch::Watch;

/// The kinds of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Two readers of one message.
    Smuggling,
    /// HTTP/2 turned into HTTP/1.1.
    Downgrade,
    /// HTTP/2 that keeps a server busy.
    Denial,
    /// Much of something, or little of it for long.
    Slow,
    /// What is too large.
    Limits,
    /// Paths that two readers read differently.
    Paths,
}

/// What an attack may use.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// What is attacked.
    pub subject: &'a Subject,
    /// Who must not notice.
    pub good: &'a Good,
    /// Whether it speaks HTTP/2. To one that does not, HTTP/2 is nothing that may come to anything.
    pub http2: bool,
    /// At the large scale.
    pub full: bool,
    /// How many files this process may open.
    pub open_files: u64,
    /// How long a flood and a crowd go on at least.
    pub lasts: Duration,
    /// How many requests were under way at the upstream before, and how many connections there were to it.
    pub before: (usize, usize),
    /// How long the gateway may take to let go of what clients have left.
    pub let_go: Duration,
}

impl Stage<'_> {
    /// What has reached the upstream, once nothing more is under way.
    pub async fn seen(&self) -> Seen {
        self.good.settle().await;
        self.subject.upstream.record.take()
    }
}

/// How long exchanges may go on whose client is gone.
const LET_GO: Duration = Duration::from_secs(5);
/// How long they may where the upstream does not read: nothing is read of the client then either, nor its end seen, until the
/// gateway's minute of patience with its upstream is over.
const UPSTREAM_STUCK: Duration = Duration::from_secs(75);

/// What the upstream is still busy with, though its clients are gone.
pub async fn left_behind(stage: Stage<'_>) -> Option<String> {
    let record = &stage.subject.upstream.record;
    let (before, _) = stage.before;
    let let_go = stage.let_go;
    let limit = Instant::now() + let_go;
    while record.under_way() > before {
        if Instant::now() > limit {
            let left = record.under_way() - before;
            return Some(format!("{left} requests are under way {let_go:?} after their clients have gone"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    None
}

/// What came of an attack.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was sent.
    pub sent: String,
    /// What the attacker got.
    pub client: String,
    /// What the upstream saw.
    pub upstream: String,
    /// What is not as it should be.
    pub findings: Vec<String>,
    /// Why it is no attack on this subject, and says nothing of it.
    pub not_applicable: Option<&'static str>,
}

type Run = Box<dyn for<'a> Fn(Stage<'a>) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> + Send + Sync>;

/// One attack.
pub struct Attack {
    /// What it is called.
    pub name: String,
    /// What kind it is.
    pub family: Family,
    /// How much more memory it may cost the gateway at most, in bytes.
    pub bound: u64,
    /// How long the gateway may take to let go of what clients have left.
    pub let_go: Duration,
    run: Run,
}

/// Of attacks that need HTTP/2, where it is not spoken.
const NOT_SPOKEN: &str = "HTTP/2 is not spoken";

/// Enough for what one connection sends.
const ONE_CONNECTION: u64 = 64 << 20;

impl Attack {
    fn new<F>(name: impl Into<String>, family: Family, run: F) -> Self
    where
        F: for<'a> Fn(Stage<'a>) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        Self { name: name.into(), family, bound: ONE_CONNECTION, let_go: LET_GO, run: Box::new(run) }
    }

    fn bound(self, mib: u64) -> Self {
        Self { bound: mib << 20, ..self }
    }

    fn lets_go_within(self, let_go: Duration) -> Self {
        Self { let_go, ..self }
    }

    /// Does it.
    pub async fn run(&self, stage: Stage<'_>) -> Outcome {
        (self.run)(stage).await
    }
}

impl std::fmt::Debug for Attack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attack").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All of them, in the order they are done.
#[must_use]
pub fn all() -> Vec<Attack> {
    let mut all = over_http1();
    all.extend(downgrade::attacks());
    all.extend(floods::attacks());
    all.extend(windows::attacks());
    all.extend(slow::attacks());
    all.extend(connections::attacks());
    all
}

/// Those that need nothing but HTTP/1.1.
#[must_use]
pub fn over_http1() -> Vec<Attack> {
    let cases = [framing::cases(), chunks::cases(), heads::cases(), hidden::cases(), upgrades::cases()];
    let mut all: Vec<Attack> = cases.into_iter().flatten().map(case::Case::into_attack).collect();
    all.extend(limits::attacks());
    all.extend(paths::attacks());
    all
}
