//! Real threads, for what no schedule on one thread can show: the order in which a change is forgotten and a proof published.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Builder;
use voicegain_auth_core::clock::Reading;
use voicegain_auth_core::{Clock, Policy, Progress, Secret, SecretCache, Verifier};

use super::clock::Universal;
use super::head::{Head, long_lived};
use super::store::{Model, Road, Roads};
use crate::checker::Promise;
use crate::history::{Answer, Decision, Event, Fault, History, SecretName, Time, Token};
use crate::world::rng::Rng;
use crate::world::store::{Branch, Op, web_config};
use crate::world::{GRACE, Run, SECONDS};

/// How many web configs change at once: the feed is busy forgetting them for as long as it takes others to look.
const IDS: usize = 250;
const BOUND: Time = 2 * SECONDS;

/// A clock that is set by hand, for everybody.
#[derive(Debug, Clone)]
struct Set(Arc<AtomicU64>);

impl Set {
    fn now(&self) -> Time {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for Set {
    fn read(&self) -> Reading {
        let boot = Duration::from_nanos(self.now());
        Reading { boot, wall: boot + Duration::from_secs(1_700_000_000) }
    }
}

/// A feed comes back after more than the bound, while threads ask for what has changed meanwhile.
#[must_use]
pub fn race(seed: u64) -> Run {
    let promise = Promise { bound: BOUND, grace: GRACE, exchange_slack: SECONDS };
    let mut history = History::default();
    if let Ok(runtime) = Builder::new_multi_thread().worker_threads(1).enable_time().build() {
        let clock = Set(Arc::new(AtomicU64::new(10 * SECONDS)));
        let played = runtime.block_on(play(seed, clock));
        history = played.unwrap_or_default();
        runtime.shutdown_background();
    }
    Run { history, promise, events: 1 }
}

async fn play(seed: u64, clock: Set) -> Option<History> {
    let mut rng = Rng::new(seed);
    let model = Model {
        branches: vec![Branch::new(&mut rng)],
        primary: 0,
        isolated: None,
        secrets: Vec::new(),
        ids: IDS,
        page: 1000,
        proof_interval: Duration::ZERO,
        seed: rng.next(),
        history: History::default(),
        changes: 0,
        news: tokio::sync::watch::Sender::new(()),
    };
    let road = Road {
        model: Arc::new(Mutex::new(model)),
        roads: Arc::new(Mutex::new(Roads::default())),
        clock: Universal::new(),
        process: 1,
        direct: true,
    };
    let change = |id: usize, create: bool| {
        let secret = Secret::generate().ok()?;
        let mut model = road.model();
        model.secrets.push((id, secret));
        let secret = model.secrets.len() as SecretName - 1;
        drop(model);
        let op = if create {
            Op::Create { id, owner: 0, secret, origins: 0, revive: false }
        } else {
            Op::Regenerate { id, secret }
        };
        road.change_now(&op);
        Some(())
    };
    for id in 0..IDS {
        change(id, true)?;
    }
    let cache = SecretCache::builder(road.clone())
        .clock(clock.clone())
        .max_revocation_delay(Duration::from_nanos(BOUND))
        .build()
        .ok()?;
    let verifier = Verifier::new(cache.clone(), Policy::default());
    cache.ready().await;
    // The one that is forgotten last is asked for.
    let target = IDS - 1;
    let jwt = long_lived(web_config(target), &road.model().secrets[target].1);
    let token = Token { web_config: web_config(target), secret: target as SecretName, minted: false };
    let head = Head::new(&jwt, None);
    verifier.authorize(&head).await.ok()?;

    road.roads().cut = true;
    for id in 0..IDS {
        change(id, false)?;
    }
    // Whatever was changed was changed by then.
    let changed = clock.now();
    clock.0.fetch_add(BOUND + SECONDS, Ordering::SeqCst);
    let stop = Arc::new(AtomicBool::new(false));
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..1)
        .map(|_| {
            let (verifier, head, clock) = (verifier.clone(), head.clone(), clock.clone());
            let (stop, accepted) = (Arc::clone(&stop), Arc::clone(&accepted));
            let handle = tokio::runtime::Handle::current();
            std::thread::spawn(move || {
                let _guard = handle.enter();
                while !stop.load(Ordering::Relaxed) {
                    let sent = clock.now();
                    if let Progress::Decided(Ok(_)) = verifier.decide(&head) {
                        let mut accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner);
                        accepted.push((sent, clock.now()));
                    }
                }
            })
        })
        .collect();
    road.roads().cut = false;
    cache.ready().await;
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        let _ = thread.join();
    }
    let mut history = std::mem::take(&mut road.model().history);
    for event in &mut history.events {
        if let Event::Change(change) = event {
            (change.asked, change.returned) = (change.asked.min(changed - 1), Some(changed));
        }
    }
    let what = "a dead feed".into();
    let to = clock.now();
    history.push(Event::Fault(Fault { process: None, from: 0, to, what, stopped: false }));
    for (sent, decided) in accepted.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().take(10) {
        let answer = Answer::Accepted;
        history.push(Event::Decision(Decision { process: 1, sent, decided, token, origin: None, answer }));
    }
    history.push(Event::End { at: to });
    Some(history)
}
