use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use test_servers::Fault;
use tokio::time::{Instant, sleep};
use voicegain_auth_core::Issuer;

use super::counted::{Calls, Counted, Kind, Made};
use super::text;
use super::traffic::{Tally, keep_asking, pass};
use crate::gateway::Gateway;
use crate::store::{Road, StoreKind};

/// What one gateway asks of its store while all is well, after an outage and after a restart.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// On which store; PostgreSQL alone counts its statements
    #[arg(long)]
    store: StoreKind,
    /// With how many web configs, one measurement after the other
    #[arg(long, value_delimiter = ',', default_value = "1000,100000")]
    web_configs: Vec<usize>,
    /// The gateway's `max_revocation_delay`, in seconds
    #[arg(long, default_value_t = 2)]
    bound: u64,
    /// For how long to count while all is well
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many connections send requests
    #[arg(long, default_value_t = 32)]
    connections: usize,
}

const OUTAGE: Duration = Duration::from_secs(10);
/// Changes that the gateway misses during the outage.
const MISSED: usize = 20;

/// What was asked in which time, and how the requests fared.
struct Column {
    name: String,
    seconds: f64,
    calls: Calls,
    tally: Tally,
    /// From the beginning to the first accept, and to the last 503.
    first_accept: f64,
    last_unavailable: f64,
}

impl Column {
    fn new(name: String, begun: Instant, calls: Calls, tally: Tally) -> Self {
        let after = |moment: Option<Instant>| {
            moment.map_or(0.0, |moment| moment.saturating_duration_since(begun).as_secs_f64())
        };
        let (first_accept, last_unavailable) = (after(tally.first_accept), after(tally.last_unavailable));
        Self { name, seconds: begun.elapsed().as_secs_f64(), calls, tally, first_accept, last_unavailable }
    }
}

/// One figure of a column, as it is printed.
type Figure<'a> = &'a dyn Fn(&Column) -> String;

/// A row for each figure, a column for each measurement.
fn print(columns: &[Column], more: &[(&str, Figure<'_>)]) {
    let row = |name: &str, figure: Figure<'_>| {
        let figures: Vec<_> = columns.iter().map(figure).collect();
        println!("| {name} | {} |", figures.join(" | "));
    };
    row("", &|column| column.name.clone());
    row("---", &|_| "---".to_owned());
    row("seconds", &|column| format!("{:.1}", column.seconds));
    row("good requests accepted", &|column| column.tally.accepted.to_string());
    row("answered 503", &|column| column.tally.unavailable.to_string());
    row("refused otherwise", &|column| column.tally.refused.to_string());
    for kind in Kind::ALL {
        if columns.iter().any(|column| column.calls.of(kind) > 0) {
            row(kind.name(), &|column| column.calls.of(kind).to_string());
        }
    }
    for (name, figure) in more {
        row(name, figure);
    }
    println!();
}

struct Site {
    counted: Counted,
    issuer: Issuer,
    made: Arc<Vec<Made>>,
    road: Road,
    connections: usize,
}

impl Site {
    fn gateway(&self, args: &Args, preload: bool, folder: &Path) -> Result<Arc<Gateway>, String> {
        let bound = format!("{}s", args.bound);
        let mut arguments = vec!["--max-revocation-delay", bound.as_str()];
        if preload {
            arguments.push("--preload");
        }
        let name = if preload { "preloading" } else { "plain" };
        Gateway::new(name, &self.road.url, &arguments, folder).map(Arc::new)
    }

    /// While all is well and every token is cached.
    async fn at_rest(&self, gateway: &Arc<Gateway>, seconds: u64) -> Result<Column, String> {
        let over = Arc::new(AtomicBool::new(false));
        let tasks = keep_asking(gateway, &self.made, self.connections, Duration::from_millis(1), &over);
        let (before, begun) = (self.counted.calls()?, Instant::now());
        sleep(Duration::from_secs(seconds)).await;
        let calls = self.counted.calls()?.since(&before);
        let mut column = Column::new(self.made.len().to_string(), begun, calls, Tally::default());
        over.store(true, Ordering::Relaxed);
        column.tally = Tally::of(tasks).await?;
        Ok(column)
    }

    /// From the end of an outage until every token was accepted once.
    async fn after_outage(&mut self, gateway: &Arc<Gateway>) -> Result<Column, String> {
        let over = Arc::new(AtomicBool::new(false));
        let asking = keep_asking(gateway, &self.made, 8, Duration::from_millis(5), &over);
        self.road.set(Fault::Stall);
        let until = Instant::now() + OUTAGE;
        let mut made = self.made.to_vec();
        for missed in made.iter_mut().take(MISSED) {
            missed.jwt = self.issuer.regenerate(missed.id).await.map_err(text)?.jwt;
        }
        self.made = Arc::new(made);
        tokio::time::sleep_until(until).await;
        let (before, begun) = (self.counted.calls()?, Instant::now());
        self.road.set(Fault::None);
        over.store(true, Ordering::Relaxed);
        let tally = pass(gateway, &self.made, self.connections).await?;
        let calls = self.counted.calls()?.since(&before);
        drop(asking);
        Ok(Column::new(self.made.len().to_string(), begun, calls, tally))
    }

    /// From the start of a gateway's process until every token was accepted once.
    async fn restarted(&self, gateway: &Arc<Gateway>, name: &str, patient: bool) -> Result<Column, String> {
        let (before, begun) = (self.counted.calls()?, Instant::now());
        gateway.launch()?;
        while patient && !gateway.is_ready().await {
            sleep(Duration::from_millis(10)).await;
        }
        let tally = pass(gateway, &self.made, self.connections).await?;
        let calls = self.counted.calls()?.since(&before);
        gateway.kill();
        Ok(Column::new(format!("{}, {name}", self.made.len()), begun, calls, tally))
    }
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    if args.store != StoreKind::Postgres {
        return Err("only PostgreSQL counts its statements: --store postgres".to_owned());
    }
    let folder = tempfile::tempdir().map_err(text)?;
    let (mut at_rest, mut after_outage, mut restarts) = (Vec::new(), Vec::new(), Vec::new());
    for &web_configs in &args.web_configs {
        let begun = Instant::now();
        let (counted, issuer, made) = Counted::filled(web_configs).await?;
        eprintln!("{web_configs} web configs created in {:.0} s", begun.elapsed().as_secs_f64());
        let road = counted.road()?;
        let mut site = Site { counted, issuer, made, road, connections: args.connections };
        let gateway = site.gateway(&args, false, folder.path())?;
        let preloading = site.gateway(&args, true, folder.path())?;

        restarts.push(site.restarted(&gateway, "under load", false).await?);
        restarts.push(site.restarted(&preloading, "under load, --preload", false).await?);
        restarts.push(site.restarted(&preloading, "load once ready, --preload", true).await?);
        gateway.start().await?;
        pass(&gateway, &site.made, site.connections).await?;
        at_rest.push(site.at_rest(&gateway, args.seconds).await?);
        after_outage.push(site.after_outage(&gateway).await?);
    }

    println!(
        "One gateway on PostgreSQL, bound {} s; {} connections send good requests with the tokens of all web \
         configs, one after the other\n",
        args.bound, args.connections
    );
    println!("In steady state, all of them cached\n");
    let per_second = |column: &Column| format!("{:.1}", column.calls.all() as f64 / column.seconds);
    print(&at_rest, &[("**statements a second**", &per_second)]);
    println!(
        "After an outage of {} s (connections stalled) during which {MISSED} web configs were regenerated: until \
         each token was accepted\n",
        OUTAGE.as_secs()
    );
    let first: Figure<'_> = &|column| format!("{:.2}", column.first_accept);
    let last: Figure<'_> = &|column| format!("{:.2}", column.last_unavailable);
    print(&after_outage, &[("seconds to the first accept", first), ("seconds to the last 503", last)]);
    println!("From the start of its process until each token was accepted, the process's start included\n");
    let wait = |share: f64| move |column: &Column| format!("{:.0}", column.tally.percentile(share));
    print(
        &restarts,
        &[
            ("seconds to the first accept", first),
            ("seconds to the last 503", last),
            ("a good token waited, ms: p99", &wait(0.99)),
            ("the longest", &wait(1.0)),
        ],
    );
    Ok(())
}
