//! The run itself.

mod changes;
mod configs;
mod exchanges;
mod faults;
mod load;
mod recorder;
mod report;

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use simulation::checker::{Promise, check};
use simulation::history::{Answer, Event, Fault, Token};
use tempfile::TempDir;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep};

use self::configs::Configs;
use self::exchanges::Sort;
use self::recorder::Recorder;
use self::report::Summary;
pub(crate) use self::report::percentile;
use crate::dice::Dice;
use crate::gateway::Gateway;
use crate::http::Http;
use crate::store::{Road, Servers, StoreKind};

/// The promise that the gateways are given.
const BOUND: Duration = Duration::from_secs(2);
/// For how long after a fault and the bound a 503 is still excused: servers and connections have to come back.
const GRACE: Duration = Duration::from_secs(5);
/// How much later than the bound an exchange may be seen to end.
const EXCHANGE_SLACK: Duration = Duration::from_secs(2);
/// How long everything may take to be as it should be once all faults are over.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);
const WEB_CONFIGS: usize = 24;

/// Runs three gateways under faults, and checks what they did.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// On which store
    #[arg(long)]
    store: StoreKind,
    /// For how long
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Which faults and requests; a random one by default
    #[arg(long)]
    seed: Option<u64>,
    /// Without any fault
    #[arg(long)]
    calm: bool,
    /// How long one connection of the load waits between two requests, in milliseconds
    #[arg(long, default_value_t = 10)]
    pause: u64,
    /// Writes the report there as well
    #[arg(long)]
    report: Option<PathBuf>,
    /// Keeps the gateways' logs in this folder
    #[arg(long)]
    logs: Option<PathBuf>,
    /// Writes the whole history there, one event a line
    #[arg(long)]
    history: Option<PathBuf>,
}

/// Everything there is in a run.
#[derive(Debug)]
pub struct World {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) roads: Vec<Road>,
    pub(crate) servers: Servers,
    pub(crate) configs: Configs,
    pub(crate) recorder: Recorder,
    over: AtomicBool,
    _folder: TempDir,
}

impl World {
    /// Whether everybody should come to an end.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    async fn start(kind: StoreKind, logs: Option<&Path>) -> Result<Self, String> {
        let servers = block_in_place(|| Servers::start(kind, true)).map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let upstream = exchanges::upstream().await.map_err(|error| error.to_string())?;
        let recorder = Recorder::default();
        let (mut gateways, mut roads) = (Vec::new(), Vec::new());
        for number in 0..3 {
            let road = servers.road().map_err(|error| error.to_string())?;
            let upstream = format!("http://{upstream}");
            let bound = format!("{}s", BOUND.as_secs());
            let arguments = ["--max-revocation-delay", &bound, "--upstream", &upstream];
            let logs = logs.unwrap_or(folder.path());
            gateways.push(Gateway::new(&format!("gateway-{number}"), &road.url, &arguments, logs)?);
            roads.push(road);
        }
        for gateway in &gateways {
            gateway.start().await?;
            // Until it has been up for a while, whatever it lacks is no fault.
            let (to, process) = (recorder.now(), Some(gateway.life()));
            recorder.push(Event::Fault(Fault {
                process,
                from: 0,
                to,
                what: "it starts".into(),
                stopped: false,
            }));
        }
        Ok(Self {
            gateways,
            roads,
            servers,
            configs: Configs::default(),
            recorder,
            over: AtomicBool::new(false),
            _folder: folder,
        })
    }

    /// Whether every gateway decides about every token, and all of them alike; what is wrong if not. Which of the two
    /// answers is the right one is the checker's to say: only the history knows what a change of unknown outcome leaves open.
    async fn is_well(self: &Arc<Self>) -> Result<(), String> {
        let tokens: Vec<_> = self.configs.lock().iter().flat_map(|config| config.tokens().cloned()).collect();
        let mut asked = JoinSet::new();
        for gateway in 0..self.gateways.len() {
            let http = Http::default();
            for held in &tokens {
                let (world, http, held) = (Arc::clone(self), http.clone(), held.clone());
                asked.spawn(async move {
                    let (_, decision) = load::put(&world, gateway, &http, &held, None, load::PATH).await;
                    (gateway, decision)
                });
            }
        }
        let mut answers = Vec::new();
        while let Some(answer) = asked.join_next().await {
            let (gateway, decision) = answer.map_err(|error| error.to_string())?;
            answers.push((gateway, decision.token, decision.answer));
            // A 503 is waited for here, within a limit of its own.
            if decision.answer != Answer::Unavailable {
                self.recorder.push(Event::Decision(decision));
            }
        }
        what_differs(&answers).map_or(Ok(()), Err)
    }

    async fn recovers(self: &Arc<Self>) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            match self.is_well().await {
                Ok(()) => return Ok(begun.elapsed()),
                Err(problem) if begun.elapsed() > RECOVERY_LIMIT => return Err(problem),
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }
}

/// What is wrong with these answers, if anything: one that decides nothing, or two gateways that do not agree.
fn what_differs(answers: &[(usize, Token, Answer)]) -> Option<String> {
    let mut first = HashMap::new();
    answers.iter().find_map(|(gateway, token, answer)| {
        if !matches!(answer, Answer::Accepted | Answer::InvalidToken) {
            return Some(format!("gateway {gateway} answers {answer:?} for {token:?}"));
        }
        let (before, other) = first.entry(*token).or_insert((*gateway, *answer));
        (other != answer).then(|| {
            format!("gateway {gateway} answers {answer:?} for {token:?}, and gateway {before} {other:?}")
        })
    })
}

/// Runs it, and prints the report. The exit code says whether the promise was kept.
///
/// # Errors
/// If something could not be run at all.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => {
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
            u64::from(u32::from_be_bytes(bytes))
        }
    };
    println!("three gateways on {:?} for {} minutes, seed {seed}", args.store, args.minutes);
    let world = Arc::new(World::start(args.store, args.logs.as_deref()).await?);
    let mut dice = Dice::new(seed);
    for _ in 0..WEB_CONFIGS * 4 {
        if world.configs.lock().len() < WEB_CONFIGS {
            changes::create(&world, &mut dice).await;
        }
    }
    if world.configs.lock().is_empty() {
        return Err("no web config could be created".to_owned());
    }

    let mut tasks = JoinSet::new();
    for gateway in 0..world.gateways.len() {
        for _ in 0..6 {
            let pause = Duration::from_millis(args.pause);
            tasks.spawn(load::send(Arc::clone(&world), gateway, dice.throw(), pause));
        }
        for sort in [Sort::Stream, Sort::WebSocket, Sort::Upload] {
            tasks.spawn(exchanges::keep(Arc::clone(&world), gateway, sort, dice.throw()));
        }
    }
    for _ in 0..2 {
        tasks.spawn(changes::make(Arc::clone(&world), dice.throw(), Duration::from_millis(150)));
    }
    let (calm, fault_seed) = (args.calm, dice.throw());
    let faults = tokio::spawn({
        let world = Arc::clone(&world);
        async move { if calm { Ok(()) } else { faults::happen(world, fault_seed).await } }
    });
    sleep(Duration::from_secs_f64(args.minutes * 60.0)).await;
    world.over.store(true, Ordering::SeqCst);
    let ended = world.recorder.now();
    faults.await.map_err(|error| error.to_string())??;
    while tasks.join_next().await.is_some() {}
    let recovery = world.recovers().await;

    world.recorder.push(Event::End { at: ended });
    let history = world.recorder.history();
    if let Some(path) = &args.history {
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        history.write(BufWriter::new(file)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let promise = Promise { bound: nanos(BOUND), grace: nanos(GRACE), exchange_slack: nanos(EXCHANGE_SLACK) };
    let checked = check(&history, &promise);
    let summary =
        Summary { kind: args.store, seed, minutes: args.minutes, promise, recovery: recovery.clone() };
    let text = report::write(&summary, &history, &checked);
    print!("{text}");
    if let Some(path) = &args.report {
        std::fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(if checked.findings.is_empty() && recovery.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use voicegain_auth_core::WebConfigId;

    use super::*;

    #[test]
    fn all_is_well_only_if_every_gateway_decides_and_all_alike() {
        let web_config = WebConfigId::generate().unwrap();
        let of = |gateway, secret, answer| (gateway, Token { web_config, secret, minted: false }, answer);
        let well = [
            of(0, 1, Answer::Accepted),
            of(0, 2, Answer::InvalidToken),
            of(1, 1, Answer::Accepted),
            of(1, 2, Answer::InvalidToken),
        ];
        assert_eq!(what_differs(&well), None);
        for wrong in
            [of(2, 2, Answer::Accepted), of(2, 1, Answer::InvalidToken), of(2, 3, Answer::Unavailable)]
        {
            let mut answers = well.to_vec();
            answers.push(wrong);
            assert!(what_differs(&answers).is_some_and(|what| what.contains("gateway 2")), "{wrong:?}");
        }
    }
}
