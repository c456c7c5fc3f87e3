use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use voicegain_auth_core::WebConfigId;

use super::counted::{Calls, Counted, Kind, Made};
use super::text;
use super::traffic::{Tally, keep_asking, pass};
use crate::dice::Dice;
use crate::gateway::Gateway;
use crate::http::Http;
use crate::store::StoreKind;

/// Tokens that nobody made, as fast as they are answered, beside good requests.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// On which store; PostgreSQL alone counts its statements
    #[arg(long)]
    store: StoreKind,
    /// For how long each
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How many connections flood
    #[arg(long, default_value_t = 256)]
    connections: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flood {
    None,
    /// Each of another id that there is not.
    MadeUp,
    /// All of one web config, each with another signature.
    Forged,
}

impl Flood {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "no flood",
            Self::MadeUp => "made-up ids",
            Self::Forged => "forged tokens of one web config",
        }
    }

    /// One more token.
    fn token(self, real: &Made, dice: &mut Dice) -> Option<String> {
        let mut signature = [0; 32];
        for chunk in signature.chunks_mut(8) {
            chunk.copy_from_slice(&dice.throw().to_be_bytes());
        }
        let signature = URL_SAFE_NO_PAD.encode(signature);
        let mut parts = real.jwt.split('.');
        let (header, payload) = (parts.next()?, parts.next()?);
        if self == Self::Forged {
            return Some(format!("{header}.{payload}.{signature}"));
        }
        let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let payload = payload.replace(&real.id.to_string(), &WebConfigId::generate().ok()?.to_string());
        Some(format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(payload)))
    }
}

/// How often which answer came; 0 is none.
type Answers = BTreeMap<u16, u64>;

struct Phase {
    flood: Flood,
    seconds: f64,
    calls: Calls,
    cached: Tally,
    new: Tally,
    answers: Answers,
}

async fn flood(gateway: Arc<Gateway>, flood: Flood, real: Made, seed: u64, over: Arc<AtomicBool>) -> Answers {
    let (http, mut dice, mut answers) = (Http::default(), Dice::new(seed), Answers::new());
    while !over.load(Ordering::Relaxed) {
        let Some(token) = flood.token(&real, &mut dice) else { break };
        let reply = gateway.call(&http, "/v1/anything", &token, None).await;
        *answers.entry(reply.map_or(0, |(status, _)| status)).or_default() += 1;
    }
    answers
}

struct Site {
    counted: Counted,
    gateway: Arc<Gateway>,
    cached: Arc<Vec<Made>>,
}

impl Site {
    /// `new` are tokens that were never asked about.
    async fn phase(&self, kind: Flood, new: Vec<Made>, args: &Args) -> Result<Phase, String> {
        let over = Arc::new(AtomicBool::new(false));
        let (before, begun) = (self.counted.calls()?, Instant::now());
        let cached = keep_asking(&self.gateway, &self.cached, 4, Duration::from_millis(10), &over);
        let pause = Duration::from_millis(args.seconds * 1_000 / new.len() as u64);
        let new = keep_asking(&self.gateway, &Arc::new(new), 1, pause, &over);
        let mut floods = JoinSet::new();
        let connections = if kind == Flood::None { 0 } else { args.connections };
        for (seed, real) in self.cached.iter().take(1).cycle().take(connections).enumerate() {
            let (gateway, real, over) = (Arc::clone(&self.gateway), real.clone(), Arc::clone(&over));
            floods.spawn(flood(gateway, kind, real, seed as u64, over));
        }
        sleep(Duration::from_secs(args.seconds)).await;
        over.store(true, Ordering::Relaxed);
        let (cached, new) = (Tally::of(cached).await?, Tally::of(new).await?);
        let mut answers = Answers::new();
        while let Some(of_one) = floods.join_next().await {
            for (status, number) in of_one.map_err(text)? {
                *answers.entry(status).or_default() += number;
            }
        }
        let calls = self.counted.calls()?.since(&before);
        let seconds = begun.elapsed().as_secs_f64();
        Ok(Phase { flood: kind, seconds, calls, cached, new, answers })
    }
}

fn row(phases: &[Phase], name: &str, value: impl Fn(&Phase) -> String) {
    let values: Vec<_> = phases.iter().map(value).collect();
    println!("| {name} | {} |", values.join(" | "));
}

fn print(phases: &[Phase]) {
    row(phases, "", |phase| phase.flood.name().to_owned());
    row(phases, "---", |_| "---".to_owned());
    row(phases, "seconds", |phase| format!("{:.1}", phase.seconds));
    for (status, name) in [(401, "`invalid_token`"), (503, "503"), (0, "no answer")] {
        let rate = |phase: &Phase| phase.answers.get(&status).map_or(0.0, |n| *n as f64 / phase.seconds);
        row(phases, &format!("flood: {name}, a second"), |phase| format!("{:.0}", rate(phase)));
    }
    row(phases, "flood: any other answer, in all", |phase| {
        let others = phase.answers.iter().filter(|(status, _)| ![0, 401, 503].contains(*status));
        others.map(|(_, number)| number).sum::<u64>().to_string()
    });
    for kind in Kind::ALL {
        let rate = |phase: &Phase| format!("{:.1}", phase.calls.of(kind) as f64 / phase.seconds);
        row(phases, &format!("store: {}, a second", kind.name()), rate);
    }
    good(phases, "cached", |phase| &phase.cached);
    good(phases, "never asked before", |phase| &phase.new);
}

fn good(phases: &[Phase], name: &str, of: impl Fn(&Phase) -> &Tally) {
    row(phases, &format!("good, {name}: accepted"), |phase| of(phase).accepted.to_string());
    row(phases, &format!("good, {name}: 503, refused, no answer"), |phase| {
        let tally = of(phase);
        format!("{}, {}, {}", tally.unavailable, tally.refused, tally.failed)
    });
    row(phases, &format!("good, {name}: ms p50, p99, max"), |phase| {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| of(phase).percentile(share));
        format!("{p50:.1}, {p99:.1}, {max:.1}")
    });
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    const CACHED: usize = 100;
    const NEW: usize = 150;
    if args.store != StoreKind::Postgres {
        return Err("only PostgreSQL counts its statements: --store postgres".to_owned());
    }
    let folder = tempfile::tempdir().map_err(text)?;
    let (counted, _issuer, made) = Counted::filled(CACHED + 3 * NEW).await?;
    let (cached, mut new) = (made.iter().take(CACHED).cloned(), made.iter().skip(CACHED).cloned());
    let gateway =
        Gateway::new("gateway", &counted.servers.url(), &["--max-revocation-delay", "2s"], folder.path())?;
    let site = Site { counted, gateway: Arc::new(gateway), cached: Arc::new(cached.collect()) };
    site.gateway.start().await?;
    pass(&site.gateway, &site.cached, 4).await?;
    let mut phases = Vec::new();
    for kind in [Flood::None, Flood::MadeUp, Flood::Forged] {
        let new = new.by_ref().take(NEW).collect();
        phases.push(site.phase(kind, new, &args).await?);
    }
    println!(
        "One gateway on PostgreSQL, bound 2 s; {} connections flood, each as fast as it is answered; 4 connections \
         send good requests for {CACHED} cached web configs, one more for {NEW} that were never asked about before\n",
        args.connections
    );
    print(&phases);
    let refused = phases.iter().any(|phase| phase.cached.refused + phase.new.refused > 0);
    if refused { Err("a good request was refused".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_never_repeats_itself() {
        let id = WebConfigId::from_bytes([7; 16]);
        let payload = URL_SAFE_NO_PAD.encode(format!("{{\"sub\":\"{id}\"}}"));
        let real = Made { id, jwt: format!("e30.{payload}.signature") };
        let mut dice = Dice::new(1);
        let mut two =
            |flood: Flood| [flood.token(&real, &mut dice).unwrap(), flood.token(&real, &mut dice).unwrap()];
        let forged = two(Flood::Forged);
        assert_ne!(forged[0], forged[1]);
        assert!(forged.iter().all(|token| token.starts_with(&format!("e30.{payload}."))));
        let made_up = two(Flood::MadeUp);
        assert!(made_up.iter().all(|token| !token.contains(&payload)));
        let payload_of = |token: &str| token.split('.').nth(1).map(str::to_owned);
        assert_ne!(payload_of(&made_up[0]), payload_of(&made_up[1]));
    }
}
