//! Drives a stack with the cases.

mod change;
mod exchange;
mod request;

use crate::fixture::{self, FIXTURES, Fate, Issue, WebConfig};
use crate::http1::Response;
use crate::leak::Needles;
use crate::report::{CaseReport, Miss, Outcome, StackReport};
use crate::stack::{AdminError, Issued, Kind, NewWebConfig, Running, Stack, Variant};
use crate::table::{self, Case};
use crate::template;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;

/// How many cases run at once.
const AT_ONCE: usize = 8;

pub async fn run(stack: &dyn Stack, cases: &[Case]) -> StackReport {
    let began = Instant::now();
    let mut report = StackReport { stack: stack.name().to_owned(), cases: Vec::new(), seconds: 0.0 };
    for variant in Variant::ALL {
        let mut ready = Vec::new();
        for case in cases.iter().filter(|case| case.variants.contains(&variant)) {
            match not_applicable(stack, variant, case) {
                Some(why) => report.cases.push(CaseReport::new(case, variant, Outcome::NotApplicable(why))),
                None => ready.push(case.clone()),
            }
        }
        if !ready.is_empty() {
            report.cases.extend(run_variant(stack, variant, ready).await);
        }
    }
    report.seconds = began.elapsed().as_secs_f64();
    report
}

/// Why a stack cannot run a case.
fn not_applicable(stack: &dyn Stack, variant: Variant, case: &Case) -> Option<String> {
    if let Some(kind) = case.stacks.filter(|kind| *kind != stack.kind()) {
        return Some(match kind {
            Kind::Gateway => "a rule for gateways".to_owned(),
            Kind::Layer => "a rule for layers".to_owned(),
        });
    }
    if let Some(why) = case.not_for.get(stack.name()) {
        return Some(why.clone());
    }
    if let Some(why) = stack.lacks(variant) {
        return Some(why.to_owned());
    }
    let http2 = case.steps.iter().any(|step| step.http.as_deref() == Some("2"));
    (http2 && !stack.http2()).then(|| "it takes no HTTP/2 without TLS".to_owned())
}

async fn run_variant(stack: &dyn Stack, variant: Variant, cases: Vec<Case>) -> Vec<CaseReport> {
    let world = match World::start(stack, variant).await {
        Ok(world) => Arc::new(world),
        Err(why) => {
            let failed = |case| CaseReport::new(case, variant, Outcome::Failed(format!("no start: {why}")));
            return cases.iter().map(failed).collect();
        }
    };
    let mut reports = Vec::new();
    let mut set = JoinSet::new();
    for (at, case) in cases.into_iter().enumerate() {
        if set.len() >= AT_ONCE
            && let Some(done) = set.join_next().await
        {
            reports.push(done);
        }
        let world = Arc::clone(&world);
        set.spawn(async move {
            let mut run = Run::new(&world, &case);
            let outcome = run.run().await;
            (at, CaseReport { miss: run.miss, ..CaseReport::new(&case, world.variant, outcome) })
        });
    }
    while let Some(done) = set.join_next().await {
        reports.push(done);
    }
    let mut reports: Vec<_> =
        reports.into_iter().map(|done| done.expect("a case that panics is a fault of the runner")).collect();
    reports.sort_by_key(|(at, _)| *at);
    let mut reports: Vec<_> = reports.into_iter().map(|(_, report)| report).collect();
    let world = Arc::into_inner(world).expect("every case has ended, and each had it for as long");
    reports.push(world.stop().await);
    reports
}

/// Builds every request of every case, sends none, and says what cannot be built. The stack's admin interface is used.
pub async fn rehearse(stack: &dyn Stack, cases: &[Case]) -> Vec<String> {
    let mut wrong = Vec::new();
    for variant in Variant::ALL {
        let world = match World::start(stack, variant).await {
            Ok(world) => world,
            Err(why) => return vec![why],
        };
        for case in cases.iter().filter(|case| case.variants.contains(&variant)) {
            if let Err(what) = Run::new(&world, case).rehearse().await {
                wrong.push(format!("{}: {what}", case.id));
            }
        }
    }
    wrong
}

/// A stack that runs, with its fixtures.
struct World {
    kind: Kind,
    variant: Variant,
    running: Running,
    fixtures: HashMap<String, WebConfig>,
    needles: Mutex<Needles>,
}

impl World {
    async fn start(stack: &dyn Stack, variant: Variant) -> Result<Self, String> {
        let running = stack.start(variant).await?;
        let mut world = Self {
            kind: stack.kind(),
            variant,
            running,
            fixtures: HashMap::new(),
            needles: Mutex::default(),
        };
        if let Some((_, token)) = &world.running.admin_port {
            world.needles().text(token.as_bytes());
        }
        for fixture in FIXTURES {
            let config =
                world.make(fixture).await.map_err(|err| format!("fixture {}: {err:?}", fixture.name))?;
            world.fixtures.insert(fixture.name.to_owned(), config);
        }
        Ok(world)
    }

    async fn make(&self, fixture: &fixture::Fixture) -> Result<WebConfig, AdminError> {
        let mut config = fixture.web_config(self.variant.api_url());
        for issue in &config.issued {
            self.keep(issue);
        }
        if fixture.fate == Fate::NeverMade {
            return Ok(config);
        }
        let admin = &self.running.admin;
        let new = NewWebConfig {
            id: Some(config.id.clone()),
            secret: Some(fixture.secret()),
            account_id: config.account.clone(),
            context_id: config.context.clone(),
            name: fixture.name.to_owned(),
            allowed_origins: fixture.allowed_origins.iter().map(|origin| (*origin).to_owned()).collect(),
            revive: false,
        };
        let issued = admin.create(new).await?;
        if issued.jwt != config.issued[0].jwt || issued.id != config.id {
            return Err(AdminError::Failed("the long-lived token is not rule W2's".to_owned()));
        }
        match fixture.fate {
            Fate::Deleted => admin.delete(&config.id).await?,
            Fate::Regenerated => {
                let Issued { generation, jwt, .. } = admin.regenerate(&config.id).await?;
                let issue = Issue { generation, secret: None, jwt };
                self.keep(&issue);
                config.issued.push(issue);
            }
            Fate::Kept | Fate::NeverMade => {}
        }
        Ok(config)
    }

    fn needles(&self) -> MutexGuard<'_, Needles> {
        self.needles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, issue: &Issue) {
        let mut needles = self.needles();
        needles.token(issue.jwt.as_bytes());
        if let Some(secret) = &issue.secret {
            needles.secret(secret);
        }
    }

    /// Ends the stack and searches what it has written.
    async fn stop(self) -> CaseReport {
        let Self { variant, running, needles, .. } = self;
        let needles = needles.into_inner().unwrap_or_else(PoisonError::into_inner);
        let log = running.guard.stop().await;
        let outcome = match needles.find(&log, &[]) {
            Some(what) => Outcome::Failed(format!("the log holds {what}")),
            // In one that is not kept nothing would be found.
            None if log.is_empty() => Outcome::Failed("nothing was logged".to_owned()),
            None if log.ends_with(crate::stacks::gateway::DIED.as_bytes()) => {
                let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned();
                Outcome::Failed(needles.redact(&tail))
            }
            None => Outcome::Passed(None),
        };
        CaseReport {
            id: "log".to_owned(),
            variant,
            rules: vec!["V1".to_owned(), "E".to_owned()],
            title: "no secret and no token in the log".to_owned(),
            outcome,
            miss: None,
        }
    }
}

/// One case, being run.
struct Run<'a> {
    world: &'a World,
    case: &'a Case,
    key: String,
    configs: HashMap<String, WebConfig>,
    saved: HashMap<String, Response>,
    tokens: HashMap<String, Vec<u8>>,
    miss: Option<Miss>,
}

impl<'a> Run<'a> {
    fn new(world: &'a World, case: &'a Case) -> Self {
        let key = template::hex(&template::random::<8>());
        let (configs, saved, tokens) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { world, case, key, configs, saved, tokens, miss: None }
    }

    async fn run(&mut self) -> Outcome {
        let mut parser = None;
        for (at, step) in self.case.steps.iter().enumerate() {
            for _ in 0..step.times.unwrap_or(1) {
                let verdict = match &step.admin {
                    Some(admin) => self.administrate(admin, step.expect.of(self.world.kind)).await,
                    None => self.request(step).await,
                };
                match verdict {
                    Ok(by) => parser = by.or(parser),
                    Err(what) => {
                        let what = self.world.needles().redact(&what);
                        let step = if self.case.steps.len() > 1 {
                            format!("step {}: ", at + 1)
                        } else {
                            String::new()
                        };
                        return Outcome::Failed(step + &what);
                    }
                }
            }
        }
        Outcome::Passed(parser)
    }

    /// Builds every request of the case and sends none.
    async fn rehearse(mut self) -> Result<(), String> {
        for step in &self.case.steps {
            let expect = step.expect.of(self.world.kind);
            match &step.admin {
                Some(admin) if expect.is == table::Outcome::Done => {
                    for _ in 0..step.times.unwrap_or(1) {
                        self.administrate(admin, expect).await?;
                    }
                }
                Some(_) => {}
                None => {
                    self.build(step)?;
                    self.text(&expect.minted.aud)?;
                    if let Some(name) = &step.save {
                        let body = self.tokens.get("").cloned().unwrap_or_default();
                        self.saved.insert(name.clone(), Response { body, ..Response::default() });
                    }
                    if expect.like.as_ref().is_some_and(|name| !self.saved.contains_key(name)) {
                        return Err(format!("nothing is saved as {:?}", expect.like));
                    }
                    if expect.is == table::Outcome::Accept && self.claims(step).is_none() {
                        return Err("an accepted token has a web config".to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    fn config(&self, name: &str) -> Result<&WebConfig, String> {
        self.configs
            .get(name)
            .or_else(|| self.world.fixtures.get(name))
            .ok_or_else(|| format!("no web config is called {name:?}"))
    }
}

fn random_secret(length: usize) -> Vec<u8> {
    let mut secret = vec![0; length];
    getrandom::fill(&mut secret).expect("random bytes from the operating system");
    secret
}
