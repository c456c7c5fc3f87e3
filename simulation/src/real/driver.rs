//! Plays a schedule on real caches.

mod troubles;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use voicegain_auth_core::store::Scope;
use voicegain_auth_core::{
    CreateRequest, Issuer, Policy, Reason, Secret, SecretCache, Verifier, WebConfigPatch,
};

use self::troubles::{ANY, HARMLESS, Trouble};
use super::clock::{Own, Universal};
use super::head::{API_URL, Head, long_lived};
use super::store::{Model, Road, Roads};
use crate::checker::Promise;
use crate::history::{
    Answer, Decision, Event, Exchange, Fault, History, Process, Rollback, SecretName, Time, Token,
};
use crate::world::rng::Rng;
use crate::world::store::{Branch, ORIGINS, OWNERS, Op, origin_names, owner, web_config};
use crate::world::{GRACE, MILLIS, Run, SECONDS};

/// Runs the schedule of a seed.
#[must_use]
pub fn run(seed: u64) -> Run {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { return nothing() };
    runtime.block_on(play(seed))
}

fn nothing() -> Run {
    Run { history: History::default(), promise: Promise { bound: 0, grace: 0, exchange_slack: 0 }, events: 0 }
}

/// A process, with everything a client can reach.
struct Gateway {
    process: Process,
    road: Road,
    clock: Own,
    issuer: Issuer,
    verifier: Verifier,
    /// Its long exchanges, which end with it.
    exchanges: Vec<AbortHandle>,
}

/// Tokens that were minted, with the secret of whoever asked for them.
type Minted = Arc<Mutex<Vec<(usize, SecretName, String)>>>;

struct Play {
    rng: Rng,
    clock: Universal,
    bound: Time,
    end: Time,
    model: Arc<Mutex<Model>>,
    gateways: Vec<Gateway>,
    lives: u32,
    minted: Minted,
    tasks: JoinSet<()>,
    actions: u64,
    /// Faults in force, and until when.
    troubles: Vec<(Time, usize, Trouble)>,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Change,
    Request,
    Trouble(Trouble),
}

async fn play(seed: u64) -> Run {
    let mut play = Play::new(seed);
    play.begin().await;
    for (at, action) in play.plan() {
        play.settle_until(at).await;
        // What an action before has set off happens first.
        sleep(Duration::from_millis(1)).await;
        play.actions += 1;
        match action {
            Action::Change => play.change(),
            Action::Request => {
                let token = play.any_token();
                play.request(token);
            }
            Action::Trouble(trouble) => play.begin_trouble(trouble),
        }
    }
    let end = play.end;
    play.settle_until(end).await;
    play.finish().await
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let clock = Universal::new();
        let bound = rng.pick(&[2, 2, 2, 3, 4]) * SECONDS;
        let model = Model {
            branches: vec![Branch::new(&mut rng)],
            primary: 0,
            isolated: None,
            secrets: Vec::new(),
            ids: rng.between(1, 3) as usize,
            page: rng.pick(&[1, 2, 1000]),
            proof_interval: Duration::from_millis(rng.pick(&[0, 100, 100])),
            seed: rng.next(),
            history: History::default(),
            changes: 0,
            news: tokio::sync::watch::Sender::new(()),
        };
        Self {
            end: clock.now() + bound * rng.between(3, 6),
            rng,
            clock,
            bound,
            model: Arc::new(Mutex::new(model)),
            gateways: Vec::new(),
            lives: 0,
            minted: Minted::default(),
            tasks: JoinSet::new(),
            actions: 0,
            troubles: Vec::new(),
        }
    }

    async fn begin(&mut self) {
        self.start_gateway(None);
        for id in 0..self.with_model(|model| model.ids) {
            let Ok(secret) = Secret::generate() else { return };
            let name = self.with_model(|model| {
                model.secrets.push((id, secret));
                model.secrets.len() as SecretName - 1
            });
            let (of, origins) = (self.rng.index(OWNERS), self.rng.below(8) as u8);
            let op = Op::Create { id, owner: of, secret: name, origins, revive: false };
            self.gateways[0].road.change_now(&op);
        }
        for _ in 0..self.rng.below(2) {
            self.start_gateway(None);
        }
        sleep(Duration::from_millis(100)).await;
        for _ in 0..6 {
            let token = self.any_token();
            self.request(token);
        }
    }

    fn with_model<T>(&self, with: impl FnOnce(&mut Model) -> T) -> T {
        with(&mut self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, event: Event) {
        self.with_model(|model| model.history.push(event));
    }

    fn plan(&mut self) -> Vec<(Time, Action)> {
        let harmless = self.rng.percent(25);
        let mut plan = Vec::new();
        let now = self.clock.now();
        let left = self.end.saturating_sub(now);
        for _ in 0..self.rng.between(2, 6) {
            let at = now + self.rng.below(left * 3 / 5);
            for _ in 0..self.rng.pick(&[1, 1, 2]) {
                plan.push((at, Action::Change));
            }
            // Around the moments that matter.
            for after in [10 * MILLIS, self.bound / 2, self.bound + 20 * MILLIS, self.bound + 60 * MILLIS] {
                for _ in 0..self.rng.between(0, 3) {
                    plan.push((at + after + self.rng.below(self.bound / 5), Action::Request));
                }
            }
            // What goes wrong goes wrong around a change, mostly.
            if self.rng.percent(60) {
                let trouble = if harmless { self.rng.pick(&HARMLESS) } else { self.rng.pick(&ANY) };
                plan.push((
                    (at + self.rng.below(SECONDS)).saturating_sub(400 * MILLIS),
                    Action::Trouble(trouble),
                ));
            }
        }
        for _ in 0..self.rng.below(15) {
            plan.push((now + self.rng.below(left), Action::Request));
        }
        for _ in 0..self.rng.below(3) {
            let trouble = if harmless { self.rng.pick(&HARMLESS) } else { self.rng.pick(&ANY) };
            plan.push((now + self.rng.below(left), Action::Trouble(trouble)));
        }
        plan.sort_by_key(|(at, _)| *at);
        plan
    }

    /// Lets everything run until then, and ends the faults that are over before.
    async fn settle_until(&mut self, at: Time) {
        loop {
            let due = self.troubles.iter().map(|(to, ..)| *to).min().filter(|to| *to <= at);
            let until = due.unwrap_or(at);
            let wait = until.saturating_sub(self.clock.now());
            sleep_until(Instant::now() + Duration::from_nanos(wait)).await;
            if due.is_none() {
                return;
            }
            let now = self.clock.now();
            let (over, lasting) = self.troubles.drain(..).partition(|(to, ..)| *to <= now);
            self.troubles = lasting;
            for (_, gateway, trouble) in over {
                self.end_trouble(gateway, trouble);
            }
        }
    }

    fn start_gateway(&mut self, again: Option<usize>) {
        self.lives += 1;
        let clock = Own::new(self.clock.clone(), self.rng.below(1000 * SECONDS) as i64);
        let branch = self.with_model(|model| model.primary);
        let road = Road {
            model: Arc::clone(&self.model),
            roads: Arc::new(Mutex::new(Roads { branch, ..Roads::default() })),
            clock: self.clock.clone(),
            process: u64::from(self.lives),
            direct: false,
        };
        let built = SecretCache::builder(road.clone())
            .clock(clock.clone())
            .max_revocation_delay(Duration::from_nanos(self.bound))
            .preload(self.rng.percent(30))
            .build()
            .ok()
            .and_then(|cache| Some((Issuer::new(cache.clone(), API_URL).ok()?, cache)));
        let Some((issuer, cache)) = built else { return };
        let verifier = Verifier::new(cache, Policy::default());
        let now = self.clock.now();
        self.fault(Some(self.lives), now, now + 500 * MILLIS, "start", false);
        let gateway = Gateway { process: self.lives, road, clock, issuer, verifier, exchanges: Vec::new() };
        match again {
            Some(index) => {
                for exchange in &self.gateways[index].exchanges {
                    exchange.abort();
                }
                self.gateways[index] = gateway;
            }
            None => self.gateways.push(gateway),
        }
    }

    fn fault(&self, process: Option<Process>, from: Time, to: Time, what: &'static str, stopped: bool) {
        self.record(Event::Fault(Fault { process, from, to, what: what.into(), stopped }));
    }

    /// Any token: one that lives, one that has ended, or one that was minted.
    fn any_token(&mut self) -> Option<(Token, String)> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Those of the same instant may have come in any order.
        minted.sort_by_key(|(id, secret, _)| (*id, *secret));
        if !minted.is_empty() && self.rng.percent(25) {
            let (id, secret, jwt) = &minted[self.rng.index(minted.len())];
            return Some((Token { web_config: web_config(*id), secret: *secret, minted: true }, jwt.clone()));
        }
        let many = self.with_model(|model| model.secrets.len());
        let recent = if self.rng.percent(60) { many.min(4) } else { many };
        let name = many - recent + self.rng.index(recent);
        self.with_model(|model| {
            let (id, secret) = model.secrets.get(name)?;
            let web_config = web_config(*id);
            let jwt = long_lived(web_config, secret);
            Some((Token { web_config, secret: name as SecretName, minted: false }, jwt))
        })
    }

    fn request(&mut self, token: Option<(Token, String)>) {
        let Some((token, jwt)) = token else { return };
        let index = self.rng.index(self.gateways.len());
        let origin = self.rng.percent(30).then(|| ORIGINS[self.rng.index(ORIGINS.len())]);
        let origin = origin.filter(|_| !token.minted);
        let (long, mint) = (self.rng.percent(20), self.rng.percent(15));
        let gateway = &self.gateways[index];
        let (verifier, issuer) = (gateway.verifier.clone(), gateway.issuer.clone());
        let (process, clock) = (gateway.process, self.clock.clone());
        let (model, minted) = (Arc::clone(&self.model), Arc::clone(&self.minted));
        let sent = clock.now();
        let task = async move {
            let head = Head::new(&jwt, origin);
            let decision = verifier.authorize(&head).await;
            let decided = clock.now();
            let record = |event| model.lock().unwrap_or_else(PoisonError::into_inner).history.push(event);
            let answer = match &decision {
                Ok(_) => Answer::Accepted,
                Err(rejection) => match rejection.reason() {
                    Reason::InvalidToken => Answer::InvalidToken,
                    Reason::OriginNotAllowed => Answer::OriginNotAllowed,
                    Reason::TemporarilyUnavailable => Answer::Unavailable,
                    _ => Answer::Other,
                },
            };
            let origin = origin.map(Into::into);
            record(Event::Decision(Decision { process, sent, decided, token, origin, answer }));
            let Ok(admitted) = decision else { return };
            let Some(identity) = admitted.caller().identity() else { return };
            if mint && !token.minted {
                let query = "aud=https://page.example&expInSec=3600";
                if let Ok(jwt) = issuer.mint(identity, Some(query)) {
                    let id = crate::world::store::number(token.web_config);
                    let mut minted = minted.lock().unwrap_or_else(PoisonError::into_inner);
                    minted.push((id, token.secret, jwt));
                }
            }
            if long {
                let revoked = verifier.cache().revoked(identity);
                // Holds nothing of the process but what an exchange holds.
                drop((verifier.clone(), issuer));
                let begun = decided;
                let mut open = OpenExchange { process, token, begun, ended: None, model, clock };
                revoked.await;
                open.ended = Some(open.clock.now());
            }
        };
        let handle = self.tasks.spawn(task);
        self.gateways[index].exchanges.push(handle);
    }

    /// An administrator's change, through any process.
    fn change(&mut self) {
        let id = self.rng.index(self.with_model(|model| model.ids));
        let gateway = &self.gateways[self.rng.index(self.gateways.len())];
        let (issuer, id) = (gateway.issuer.clone(), web_config(id));
        let (account, context) = owner(self.rng.index(OWNERS)).clone();
        let origins = origin_names(self.rng.below(8) as u8);
        let choice = self.rng.below(100);
        self.tasks.spawn(async move {
            match choice {
                0..45 => drop(issuer.regenerate(id).await),
                45..60 => {
                    let patch =
                        WebConfigPatch { allowed_origins: Some(origins), ..WebConfigPatch::default() };
                    drop(issuer.update(id, patch).await);
                }
                60..72 => drop(issuer.delete(id).await),
                72..88 => {
                    let mut request = CreateRequest::new(account, context, "simulated");
                    request.allowed_origins = origins;
                    request.secret = Secret::generate().ok();
                    request.id = Some(id);
                    request.revive = true;
                    drop(issuer.create(request).await);
                }
                88..94 => drop(issuer.end(Scope::Account(account)).await),
                _ => drop(issuer.end(Scope::Context(account, context)).await),
            }
        });
    }

    async fn finish(mut self) -> Run {
        // Changes without an answer and exchanges that are still open record themselves when they are dropped.
        let at = self.clock.now();
        self.tasks.shutdown().await;
        self.gateways.clear();
        let mut history = self.with_model(|model| std::mem::take(&mut model.history));
        history.push(Event::End { at });
        let promise = Promise { bound: self.bound, grace: GRACE, exchange_slack: SECONDS + 300 * MILLIS };
        Run { history, promise, events: self.actions }
    }
}

/// Records an exchange when it ends, however it does.
struct OpenExchange {
    process: Process,
    token: Token,
    begun: Time,
    ended: Option<Time>,
    model: Arc<Mutex<Model>>,
    clock: Universal,
}

impl Drop for OpenExchange {
    fn drop(&mut self) {
        let ended = Some(self.ended.unwrap_or_else(|| self.clock.now()));
        let Self { process, token, begun, .. } = *self;
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        model.history.push(Event::Exchange(Exchange { process, token, begun, ended }));
    }
}
