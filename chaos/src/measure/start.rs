mod usage;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use http::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep, timeout};

use self::usage::{Metrics, Usage};
use super::counted::{Counted, Kind, Made};
use super::text;
use super::traffic::{Tally, pass};
use crate::gateway::Gateway;
use crate::http::Http;

/// A gateway that starts on a store with this many web configs, and on one with a single one as the floor.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// On which stores, one after the other
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    store: Vec<Store>,
    /// With how many web configs
    #[arg(long, default_value_t = 1_000_000)]
    web_configs: usize,
    /// How many requests to send once it is ready
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// How often it is asked whether it is ready, and whether a token is good.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a start may take, and how long all requests.
const LIMIT: Duration = Duration::from_secs(600);
/// How many connections send requests once it is ready.
const CONNECTIONS: usize = 8;

/// Web configs in a SQLite file that nobody has open, and the tokens of some, from everywhere among them.
struct Rows {
    folder: TempDir,
    made: Vec<Made>,
}

const DATABASE: &str = "store.db";

impl Rows {
    async fn new(web_configs: usize, tokens: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        // Where a change need not wait for a disk, if there is such a place.
        let quick = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).map_err(text)?;
        let made = fill(&sqlite(quick.path()), quick.path(), web_configs, tokens).await?;
        block_in_place(|| copy(quick.path(), folder.path())).map_err(text)?;
        Ok(Self { folder, made })
    }

    /// What `sqlite3` prints for PostgreSQL's `COPY`.
    fn select(&self, sql: &str) -> Result<String, String> {
        let mut sqlite3 = Command::new("sqlite3");
        sqlite3.args(["-readonly", "-batch", "-separator", "\t", "-nullvalue", "\\N"]);
        let output = sqlite3.arg(self.folder.path().join(DATABASE)).arg(sql).output();
        let output = output.map_err(|error| format!("sqlite3, which takes the rows over: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        String::from_utf8(output.stdout).map_err(text)
    }
}

fn sqlite(folder: &Path) -> String {
    format!("sqlite://{}", folder.join(DATABASE).display())
}

/// Copies a database that is closed, and waits for the disk.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.join(format!("{DATABASE}-wal")).exists() {
        return Err(std::io::Error::other("the gateway that filled the file has left changes beside it"));
    }
    fs::copy(from.join(DATABASE), to.join(DATABASE))?;
    File::open(to.join(DATABASE))?.sync_all()
}

/// A PostgreSQL with the same rows, in the order in which they were made: one by one, each under the lock of the log's head,
/// a million would take an hour. A sealed secret is bound to its record and not to the store, so that it opens there too.
async fn taken_over(rows: &Rows, folder: &Path) -> Result<Counted, String> {
    const WEB_CONFIGS: &str = "SELECT hex(id), account_id, context_id, name, '{}', secret_format, key_id, \
         '\\\\x' || hex(secret), generation, revision, hex(entry), born, created_at, secret_created_at \
         FROM web_configs WHERE allowed_origins = '[]' ORDER BY revision";
    const CHANGE_LOG: &str = "SELECT revision, hex(entry), kind, hex(id), generation, account_id, context_id \
         FROM change_log WHERE kind = 'put' ORDER BY revision";
    // The log begins where SQLite's does, or with the entry that was there already.
    const HEAD: &str = "UPDATE voicegain_auth.log_head SET (revision, entry) = \
         (SELECT revision, entry FROM voicegain_auth.change_log ORDER BY revision DESC LIMIT 1); \
         DELETE FROM voicegain_auth.change_log WHERE kind = 'begin' \
         AND NOT EXISTS (SELECT FROM voicegain_auth.change_log WHERE revision = 1)";
    let begun = Instant::now();
    let counted = Counted::start()?;
    // It makes the tables, and has the store know the master key.
    let gateway = Gateway::new("first", &counted.servers.url(), &[], folder)?;
    gateway.start().await?;
    block_in_place(|| {
        gateway.end();
        counted.begin_filling()?;
        for (table, select) in [("web_configs", WEB_CONFIGS), ("change_log", CHANGE_LOG)] {
            counted.insert(&format!("voicegain_auth.{table}"), &rows.select(select)?)?;
        }
        counted.execute(HEAD)?;
        counted.end_filling()
    })?;
    eprintln!("taken over in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(counted)
}

/// A store that is filled.
enum Filled {
    /// By its URL.
    Sqlite(String),
    Postgres(Box<Counted>),
}

impl Filled {
    fn url(&self) -> String {
        match self {
            Self::Sqlite(url) => url.clone(),
            Self::Postgres(counted) => counted.servers.url(),
        }
    }

    /// How many web configs were looked up so far. What SQLite is asked nobody counts, but each look-up leaves one more in the
    /// cache.
    async fn look_ups(&self, gateway: &Gateway) -> Result<u64, String> {
        match self {
            Self::Sqlite(_) => Metrics::of(gateway).await.map(|metrics| metrics.cached),
            Self::Postgres(counted) => counted.calls().map(|calls| calls.of(Kind::LookUp)),
        }
    }
}

/// Creates web configs as an operator does: by a gateway's admin API.
async fn fill(store: &str, folder: &Path, web_configs: usize, tokens: usize) -> Result<Vec<Made>, String> {
    const AT_ONCE: usize = 64;
    let begun = Instant::now();
    let gateway = Gateway::new("filling", store, &["--max-revocation-delay", "1h"], folder)?;
    let gateway = Arc::new(gateway);
    gateway.start().await?;
    let every = (web_configs / tokens).max(1);
    let mut tasks = JoinSet::new();
    for first in 0..AT_ONCE {
        let gateway = Arc::clone(&gateway);
        tasks.spawn(async move {
            let mut kept = Vec::new();
            for number in (first..web_configs).step_by(AT_ONCE) {
                let made = create(&gateway, number).await?;
                if number % every == 0 {
                    kept.push(made);
                }
            }
            Ok::<_, String>(kept)
        });
    }
    let mut all = Vec::new();
    while let Some(kept) = tasks.join_next().await {
        all.extend(kept.map_err(text)??);
    }
    block_in_place(|| gateway.end());
    all.truncate(tokens);
    all.sort_unstable_by_key(|made| made.id);
    eprintln!("{web_configs} web configs created in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(all)
}

async fn create(gateway: &Gateway, number: usize) -> Result<Made, String> {
    let body = json!({
        "accountId": format!("account-{}", number / 20),
        "contextId": format!("context-{}", number / 2),
        "name": format!("web config {number}"),
    });
    let (status, body) = gateway.administer(Method::POST, "/api/web-configs", Some(body)).await?;
    let member = |name: &str| body.get(name).and_then(|value| value.as_str());
    match (member("id").and_then(|id| id.parse().ok()), member("jwt")) {
        (Some(id), Some(jwt)) => Ok(Made { id, jwt: jwt.to_owned() }),
        _ => Err(format!("a web config could not be created: {status}")),
    }
}

/// One start, and the requests after it.
struct Start {
    store: Store,
    web_configs: usize,
    preload: bool,
    /// After the start of the process, in seconds.
    first_accept: f64,
    ready: f64,
    /// When it was ready.
    usage: Usage,
    cached: u64,
    tally: Tally,
    look_ups: u64,
}

/// When this token is accepted first, asked again and again over one connection.
async fn first_accept(gateway: Arc<Gateway>, jwt: String) -> Instant {
    let http = Http::default();
    while !matches!(gateway.call(&http, "/v1/anything", &jwt, None).await, Ok((200, _))) {
        sleep(PAUSE).await;
    }
    Instant::now()
}

/// Waits until the gateway says that it is ready.
async fn ready(gateway: &Gateway) -> Result<Instant, String> {
    let begun = Instant::now();
    while !gateway.is_ready().await {
        if gateway.has_ended() || begun.elapsed() > LIMIT {
            return Err(gateway.did_not_start());
        }
        sleep(PAUSE).await;
    }
    Ok(Instant::now())
}

struct Site {
    store: Store,
    filled: Filled,
    web_configs: usize,
    /// Its token is asked for from the beginning on. In the order of ids, in which they are read, it is in the middle.
    middle: Made,
    requests: Arc<Vec<Made>>,
}

impl Site {
    async fn new(
        store: Store,
        rows: &Rows,
        web_configs: usize,
        requests: usize,
        folder: &Path,
    ) -> Result<Self, String> {
        let filled = match store {
            Store::Sqlite => Filled::Sqlite(sqlite(rows.folder.path())),
            Store::Postgres => Filled::Postgres(Box::new(taken_over(rows, folder).await?)),
        };
        let mut made = rows.made.clone();
        let middle = made.get(made.len() / 2).ok_or("there is nothing to ask for")?.clone();
        if made.len() > 1 {
            made.retain(|made| made.id != middle.id);
        }
        let requests = Arc::new(made.into_iter().cycle().take(requests).collect());
        Ok(Self { store, filled, web_configs, middle, requests })
    }

    async fn start(&self, preload: bool, folder: &Path) -> Result<Start, String> {
        let capacity = self.web_configs.to_string();
        let arguments: &[&str] = if preload { &["--preload", "--max-cached", &capacity] } else { &[] };
        let gateway = Arc::new(Gateway::new("starting", &self.filled.url(), arguments, folder)?);
        let begun = Instant::now();
        gateway.launch()?;
        let asking = tokio::spawn(first_accept(Arc::clone(&gateway), self.middle.jwt.clone()));
        let ready = ready(&gateway).await?;
        let usage = Usage::of(&gateway)?;
        let first_accept = timeout(LIMIT, asking).await.map_err(text)?.map_err(text)?;
        let metrics = Metrics::of(&gateway).await?;
        if metrics.living != self.web_configs as u64 {
            return Err(format!("{} live, and not {}", metrics.living, self.web_configs));
        }
        let before = self.filled.look_ups(&gateway).await?;
        let tally = timeout(LIMIT, pass(&gateway, &self.requests, CONNECTIONS)).await.map_err(text)??;
        let look_ups = self.filled.look_ups(&gateway).await?.saturating_sub(before);
        if tally.refused + tally.unavailable + tally.failed > 0 {
            return Err(format!("a good request was not accepted: {tally:?}"));
        }
        block_in_place(|| gateway.end());
        let after = |moment: Instant| moment.saturating_duration_since(begun).as_secs_f64();
        Ok(Start {
            store: self.store,
            web_configs: self.web_configs,
            preload,
            first_accept: after(first_accept),
            ready: after(ready),
            usage,
            cached: metrics.cached,
            tally,
            look_ups,
        })
    }
}

/// What one web config costs a start, by what it costs with a single one: in microseconds and bytes.
fn each(start: &Start, floor: &Start) -> (f64, f64) {
    let (this, floor, web_configs) = (&start.usage, &floor.usage, start.web_configs as f64);
    let bytes = this.resident as f64 - floor.resident as f64;
    ((this.processor - floor.processor) * 1e6 / web_configs, bytes / web_configs)
}

fn print(starts: &[Start]) {
    println!(
        "| store | web configs | start | seconds to the first good token | to ready | processor seconds | MB resident (at most) \
         | for each web config | cached | requests: p50, p99, ms | look-ups |"
    );
    println!("|{}", " --- |".repeat(11));
    for start in starts {
        let alike = |other: &&Start| other.store == start.store && other.preload == start.preload;
        let floor = starts.iter().find(|other| alike(other) && other.web_configs == 1);
        let each = floor.filter(|_| start.web_configs > 1).map_or_else(String::new, |floor| {
            let (micros, bytes) = each(start, floor);
            format!("{micros:.1} µs, {bytes:.0} bytes")
        });
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        println!(
            "| {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.0} ({:.0}) | {each} | {} | {:.2}, {:.2} | {} |",
            start.store.name(),
            start.web_configs,
            if start.preload { "`--preload`" } else { "plain" },
            start.first_accept,
            start.ready,
            start.usage.processor,
            megabytes(start.usage.resident),
            megabytes(start.usage.peak),
            start.cached,
            start.tally.percentile(0.5),
            start.tally.percentile(0.99),
            start.look_ups,
        );
    }
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    if args.web_configs < 2 || args.requests == 0 {
        return Err("two web configs and one request are the least".to_owned());
    }
    let folder = tempfile::tempdir().map_err(text)?;
    let mut starts = Vec::new();
    for web_configs in [1, args.web_configs] {
        let rows = Rows::new(web_configs, args.requests + 1).await?;
        for &store in &args.store {
            let site = Site::new(store, &rows, web_configs, args.requests, folder.path()).await?;
            for preload in [false, true] {
                starts.push(site.start(preload, folder.path()).await?);
            }
        }
    }
    starts.sort_by_key(|start| start.store);
    println!(
        "One start each, from the start of the process on; resident and processor time are those of the gateway when it is \
         ready. Then {} requests over {CONNECTIONS} connections, each with the token of another web config\n",
        args.requests
    );
    print(&starts);
    Ok(())
}
