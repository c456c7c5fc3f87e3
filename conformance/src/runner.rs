//! Drives a stack with the cases.

use crate::check::{self, Facts, Verdict};
use crate::fixture::{self, FIXTURES, Fate, Issue, WebConfig};
use crate::http1::{self, Answer, Response};
use crate::http2;
use crate::leak::Needles;
use crate::report::{CaseReport, Miss, Outcome, StackReport};
use crate::stack::{AdminError, Issued, Kind, NewWebConfig, Running, Stack, Variant};
use crate::table::{self, AdminStep, Case, Expect, Step};
use crate::template;
use crate::token::{self, Claims, Pantry};
use crate::upstream::Upstream;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How many cases run at once.
const AT_ONCE: usize = 8;

/// After this long what an upstream must not see is looked for once more.
const LATE: Duration = Duration::from_millis(100);

/// How long an upstream's record may take to become what it must be.
const RECORD: Duration = Duration::from_secs(5);

/// Runs every case that the stack can run, and says of the others why not.
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

/// The fields of an HTTP/2 request, pseudo-headers first.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request, ready to be sent.
struct Request {
    method: String,
    text: Vec<u8>,
    frames: Option<(Fields, Vec<u8>)>,
    after: Vec<u8>,
    origins: Vec<String>,
    asked: (String, String),
    below_base: bool,
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

    async fn request(&mut self, step: &Step) -> Result<Option<String>, String> {
        let request = self.build(step)?;
        let mut expect = step.expect.of(self.world.kind).clone();
        expect.minted.aud = self.text(&expect.minted.aud)?;
        expect.minted.api = expect.minted.api.map(|api| self.text(&api)).transpose()?;
        let expect = &expect;
        let port = match (&self.world.running.admin_port, step.admin_port) {
            (Some((addr, _)), true) => *addr,
            (None, true) => return Err("there is no admin port".to_owned()),
            (_, false) => self.world.running.addr,
        };
        let sent = template::now_rounded_up();
        let answer = match &request.frames {
            Some((headers, body)) => http2::exchange(port, headers, body).await,
            None => http1::exchange(port, &request.text, &request.method, &request.after).await,
        };
        let came = template::now();
        let answer = answer.map_err(|err| format!("{err}\nrequest:\n{}", show(&request)))?;

        let claims = self.claims(step);
        let claims = claims.as_ref().map(|(claims, config)| (claims, config));
        let minter = self.config(expect.minted.of.as_deref().unwrap_or("alpha")).ok();
        let secret = minter.and_then(|config| config.issue(None)).and_then(|issue| issue.secret.clone());
        if expect.is == table::Outcome::Minted && secret.is_none() && !expect.minted.unchecked {
            return Err("the runner does not know the secret of the minted token".to_owned());
        }
        let facts = Facts {
            kind: self.world.kind,
            method: &request.method,
            origins: &request.origins,
            asked: (&request.asked.0, &request.asked.1),
            below_base: request.below_base && !step.admin_port,
            claims,
            minter: minter.map(|config| (config, secret.as_deref())),
            times: (sent, came),
        };
        let like = match &expect.like {
            Some(name) => Some(self.saved.get(name).ok_or_else(|| format!("nothing saved as {name}"))?),
            None => None,
        };
        let mut verdict = check::judge(&answer, expect, &facts, like);
        if let Answer::Response(response) = &answer {
            if let Some(what) = self.leak(step, expect, response) {
                verdict = wrong(verdict, format!("the answer holds {what}"));
            }
            if let Some(name) = &step.save {
                self.saved.insert(name.clone(), response.clone());
            }
        }
        if let Some(expected) = &expect.upstream
            && let Some(what) = self.upstream(expected).await
        {
            verdict = wrong(verdict, what);
        }
        match verdict {
            Verdict::Right => Ok(None),
            Verdict::Parser(by) => Ok(Some(by)),
            Verdict::Wrong(differences) => {
                let text = format!(
                    "{}\nrequest:\n{}\ngot:\n{}",
                    differences.join("\n"),
                    show(&request),
                    match &answer {
                        Answer::Response(response) => response.describe(),
                        Answer::Closed(why) => why.clone(),
                    }
                );
                let (answer, accepts) = (check::brief(&answer), expect.is.accepts(expect));
                self.miss = Some(Miss { answer, accepts, differences });
                Err(text)
            }
        }
    }

    /// A secret or a token that the answer holds and may not.
    fn leak(&self, step: &Step, expect: &Expect, response: &Response) -> Option<&'static str> {
        let mut own = Vec::new();
        if expect.is == table::Outcome::Minted {
            own = response.body.clone();
        } else if step.admin_port {
            let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let issuing = matches!(step.method.as_deref(), Some("POST"));
            if let Some(jwt) = body.get("jwt").and_then(serde_json::Value::as_str).filter(|_| issuing) {
                own = jwt.as_bytes().to_vec();
            }
        }
        let mut needles = self.world.needles();
        let found = needles.find(&response.raw, &[&own]);
        if !own.is_empty() {
            needles.token(&own);
        }
        found
    }

    /// What is wrong with the upstream's record of this case.
    async fn upstream(&self, expected: &table::UpstreamExpect) -> Option<String> {
        let Some(upstream) = &self.world.running.upstream else {
            return Some("there is no upstream whose record could be looked at".to_owned());
        };
        let began = Instant::now();
        let mut wrong = self.differences(upstream, expected);
        while !wrong.is_empty() && began.elapsed() <= RECORD {
            tokio::time::sleep(Duration::from_millis(5)).await;
            wrong = self.differences(upstream, expected);
        }
        if wrong.is_empty() && expected.forbids() {
            // What must not come could still be on its way.
            tokio::time::sleep(LATE).await;
            wrong = self.differences(upstream, expected);
        }
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    }

    /// In what the record of this case is not yet, or no more, as it must be.
    fn differences(&self, upstream: &Upstream, expected: &table::UpstreamExpect) -> Vec<String> {
        let record = upstream.record(&self.key);
        let text = String::from_utf8_lossy(&record.bytes).to_ascii_lowercase();
        let mut wrong = Vec::new();
        if expected.requests.is_some_and(|requests| requests != record.requests) {
            wrong.push(format!("the upstream saw {} requests", record.requests));
        }
        if expected.extra_bytes.is_some_and(|extra| extra != record.extra) {
            wrong.push(format!("the upstream saw {} bytes after the head", record.extra));
        }
        for part in expected.lacks.iter().filter(|part| text.contains(&part.to_ascii_lowercase())) {
            wrong.push(format!("the upstream saw {part:?}"));
        }
        for part in expected.has.iter().filter(|part| !text.contains(&part.to_ascii_lowercase())) {
            wrong.push(format!("the upstream did not see {part:?}"));
        }
        if expected.closed && !record.closed {
            wrong.push("the upstream's connection is open".to_owned());
        }
        wrong
    }

    /// What the token that counts says, and its web config.
    fn claims(&self, step: &Step) -> Option<(Claims, WebConfig)> {
        let name = match (&step.bearer, &step.token) {
            (Some(name), _) => name.as_str(),
            (None, Some(_)) => "",
            (None, None) => step.tokens.keys().next()?,
        };
        let claims = Claims::read(self.tokens.get(name)?)?;
        let mut all = self.configs.values().chain(self.world.fixtures.values());
        let config = all.find(|config| config.id == claims.id)?.clone();
        Some((claims, config))
    }

    fn config(&self, name: &str) -> Result<&WebConfig, String> {
        self.configs
            .get(name)
            .or_else(|| self.world.fixtures.get(name))
            .ok_or_else(|| format!("no web config is called {name:?}"))
    }

    fn build(&mut self, step: &Step) -> Result<Request, String> {
        self.tokens.clear();
        let named = step.tokens.iter().map(|(name, recipe)| (name.as_str(), recipe));
        let recipes: Vec<_> = named.chain(step.token.as_ref().map(|recipe| ("", recipe))).collect();
        for (name, recipe) in recipes {
            let token = recipe.make(self)?;
            self.world.needles().token(&token);
            self.tokens.insert(name.to_owned(), token);
        }

        let method = self.text(step.method.as_deref().unwrap_or("GET"))?;
        let target = self.expand(step.target.as_deref().unwrap_or("${base}/echo"))?;
        let authority = if step.admin_port { "${admin_authority}" } else { "${authority}" };
        let host = self.expand(step.host.as_deref().unwrap_or(authority))?;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        if step.admin_port && !step.bare {
            lines.push(self.expand("Authorization: Bearer ${admin_token}")?);
        } else if step.token.is_some() && !step.bare {
            lines.push(self.expand("Authorization: Bearer ${token}")?);
        }
        if let Some(origin) = &step.origin {
            lines.push(self.expand(&format!("Origin: {origin}"))?);
        }
        if step.websocket {
            lines.extend(WEBSOCKET.map(|line| line.as_bytes().to_vec()));
        }
        for line in &step.headers {
            lines.push(self.expand(line)?);
        }
        let mut body = self.expand(step.raw_body.as_deref().unwrap_or_default())?;
        if let Some(text) = &step.body {
            body = self.expand(text)?;
            lines.push(format!("Content-Length: {}", body.len()).into_bytes());
        }
        let all = |name: &str| -> Vec<String> { lines.iter().filter_map(|line| value(line, name)).collect() };
        let origins = all("origin");
        let asked =
            (all("access-control-request-method").concat(), all("access-control-request-headers").join(","));
        let connection = !all("connection").is_empty();
        let below_base = below(&String::from_utf8_lossy(&target), self.world.variant.base());
        let after = self.expand(step.after.as_deref().unwrap_or_default())?;

        let version = step.http.as_deref().unwrap_or("1.1");
        let mut text = Vec::new();
        let mut frames = None;
        if let Some(raw) = &step.raw {
            text = self.expand(raw)?;
        } else if version == "2" {
            let mut headers = vec![(b":method".to_vec(), method.clone().into_bytes())];
            headers.push((b":scheme".to_vec(), b"http".to_vec()));
            if !step.no_host {
                headers.push((b":authority".to_vec(), host));
            }
            headers.push((b":path".to_vec(), target));
            for line in &lines {
                let colon =
                    line.iter().position(|byte| *byte == b':').ok_or("a header line without a colon")?;
                let name = line[..colon].to_ascii_lowercase();
                headers.push((name, line[colon + 1..].trim_ascii_start().to_vec()));
            }
            for (name, value) in &headers {
                text.extend([name, b": ".as_slice(), value, b"\r\n"].concat());
            }
            frames = Some((headers, body));
        } else {
            text.extend([method.as_bytes(), b" ", &target, b" HTTP/", version.as_bytes(), b"\r\n"].concat());
            if !step.no_host {
                text.extend([b"Host: ", host.as_slice(), b"\r\n"].concat());
            }
            for line in &lines {
                text.extend([line.as_slice(), b"\r\n"].concat());
            }
            if !connection {
                text.extend_from_slice(b"Connection: close\r\n");
            }
            text.extend_from_slice(b"\r\n");
            text.extend(body);
        }
        Ok(Request { method, text, frames, after, origins, asked, below_base })
    }

    fn text(&self, text: &str) -> Result<String, String> {
        String::from_utf8(self.expand(text)?).map_err(|_| format!("{text:?} is no text"))
    }

    fn lookup(&self, name: &str) -> Option<Vec<u8>> {
        let running = &self.world.running;
        let text = match name {
            "base" => self.world.variant.base().to_owned(),
            "api_url" => self.world.variant.api_url().to_owned(),
            "authority" => running.addr.to_string(),
            "host" => running.addr.ip().to_string(),
            "port" => running.addr.port().to_string(),
            "admin_authority" => running.admin_port.as_ref()?.0.to_string(),
            "admin_token" => running.admin_port.as_ref()?.1.clone(),
            "key" => self.key.clone(),
            "token" => return self.tokens.get("").cloned(),
            _ => {
                if let Some(name) = name.strip_prefix("token.") {
                    return self.tokens.get(name).cloned();
                }
                if let Some(name) = name.strip_prefix("saved.") {
                    return self.saved.get(name).map(|response| response.body.clone());
                }
                if let Some(length) = name.strip_prefix("random.") {
                    let secret = random_secret(length.parse().ok()?);
                    self.world.needles().secret(&secret);
                    return Some(token::encode(&secret).into_bytes());
                }
                let (config, what) = name.rsplit_once('.')?;
                let config = self.config(config).ok()?;
                match what {
                    "id" => config.id.clone(),
                    "ID" => config.id.to_ascii_uppercase(),
                    "bare" => config.id.replace('-', ""),
                    "account" => config.account.clone(),
                    "context" => config.context.clone(),
                    "secret" => token::encode(config.issue(None)?.secret.as_deref()?),
                    _ => return None,
                }
            }
        };
        Some(text.into_bytes())
    }

    async fn administrate(&mut self, step: &AdminStep, expect: &Expect) -> Result<Option<String>, String> {
        let result = match step.what.as_str() {
            "create" => self.create(step).await,
            "regenerate" => self.regenerate(step).await,
            "allow" => {
                let id = self.config(&step.config)?.id.clone();
                self.world.running.admin.allow(&id, step.allowed_origins.clone()).await
            }
            "delete" => {
                let id = self.config(&step.config)?.id.clone();
                self.world.running.admin.delete(&id).await
            }
            other => return Err(format!("no such change: {other}")),
        };
        match (result, &expect.is) {
            (Ok(()), table::Outcome::Done) | (Err(AdminError::Denied(_)), table::Outcome::Denied) => Ok(None),
            (Ok(()), _) => Err(format!("{} {:?} was done, and may not be", step.what, step.config)),
            (Err(AdminError::Denied(why) | AdminError::Failed(why)), _) => {
                Err(format!("{} {:?}: {why}", step.what, step.config))
            }
        }
    }

    async fn create(&mut self, step: &AdminStep) -> Result<(), AdminError> {
        let failed = AdminError::Failed;
        let secret = match (&step.secret_of, step.secret_bytes) {
            (Some(name), _) => {
                let config = self.config(name).map_err(failed)?;
                config.issued.first().and_then(|issue| issue.secret.clone())
            }
            (None, length) => length.map(random_secret),
        };
        let id = match step.id.as_deref() {
            Some("none") => None,
            Some(id) => Some(self.text(id).map_err(failed)?),
            None => secret.as_ref().map(|_| template::new_uuid()),
        };
        let (account, context) = match &step.beside {
            Some(name) => {
                let config = self.config(name).map_err(failed)?;
                (config.account.clone(), config.context.clone())
            }
            None => (format!("acct-{}", self.key), format!("ctx-{}-{}", self.key, step.config)),
        };
        if let Some(secret) = &secret {
            self.world.needles().secret(secret);
        }
        let known = self.config(&step.config).ok().cloned();
        let new = NewWebConfig {
            id: id.clone(),
            secret: secret.clone(),
            account_id: account.clone(),
            context_id: context.clone(),
            name: step.config.clone(),
            allowed_origins: step.allowed_origins.clone(),
            revive: step.revive,
        };
        let issued = self.world.running.admin.create(new).await?;
        if id.is_some_and(|id| !id.eq_ignore_ascii_case(&issued.id)) {
            return Err(failed("another id than the imported one (rule W7)".to_owned()));
        }
        let last = known.as_ref().and_then(|config| config.issue(None)).map_or(0, |issue| issue.generation);
        let goes_on = known.as_ref().is_some_and(|config| config.id == issued.id);
        if goes_on && issued.generation <= last || !goes_on && issued.generation != 1 {
            return Err(failed(format!("generation {} (rules W7 and M1)", issued.generation)));
        }
        let mut config = WebConfig {
            id: issued.id.clone(),
            account,
            context,
            issued: known.filter(|_| goes_on).map(|config| config.issued).unwrap_or_default(),
        };
        let issue = self.issue(issued, secret)?;
        config.issued.push(issue);
        self.configs.insert(step.config.clone(), config);
        Ok(())
    }

    async fn regenerate(&mut self, step: &AdminStep) -> Result<(), AdminError> {
        let failed = AdminError::Failed;
        let mut config = self.config(&step.config).map_err(failed)?.clone();
        let admin = &self.world.running.admin;
        let mut all = Vec::new();
        match step.at_once.unwrap_or(1) {
            1 => all.push(admin.regenerate(&config.id).await?),
            2 => {
                let (one, two) = tokio::join!(admin.regenerate(&config.id), admin.regenerate(&config.id));
                all.extend([one?, two?]);
            }
            other => return Err(failed(format!("{other} at once is not supported"))),
        }
        all.sort_by_key(|issued| issued.generation);
        for issued in all {
            let last = config.issue(None).map_or(0, |issue| issue.generation);
            if issued.generation != last + 1 {
                return Err(failed(format!("generation {} after {last} (rule M1)", issued.generation)));
            }
            for name in &step.others {
                let other = &self.config(name).map_err(failed)?.id;
                if !issued.others.contains(other) {
                    return Err(failed(format!("Regenerate does not name {name} (rule M1)")));
                }
            }
            if issued.others.contains(&config.id) {
                return Err(failed("Regenerate names the web config itself (rule M1)".to_owned()));
            }
            config.issued.push(self.issue(issued, None)?);
        }
        self.configs.insert(step.config.clone(), config);
        Ok(())
    }

    /// Keeps what was issued, having judged its form (rule W2).
    fn issue(&self, issued: Issued, secret: Option<Vec<u8>>) -> Result<Issue, AdminError> {
        let Issued { id, generation, jwt, .. } = issued;
        let url = self.world.variant.api_url();
        // Without the secret, all but the signature can be told.
        let want = token::long_lived(&id, url, secret.as_deref().unwrap_or_default());
        let part = |token: &str| match &secret {
            Some(_) => token.to_owned(),
            None => token.rsplit_once('.').map(|(input, _)| input.to_owned()).unwrap_or_default(),
        };
        if part(&jwt) != part(&want) {
            return Err(AdminError::Failed("the long-lived token is not rule W2's".to_owned()));
        }
        let issue = Issue { generation, secret, jwt };
        self.world.keep(&issue);
        Ok(issue)
    }
}

impl Pantry for Run<'_> {
    fn expand(&self, text: &str) -> Result<Vec<u8>, String> {
        template::expand(text, &|name| self.lookup(name))
    }

    fn id(&self, config: &str) -> Result<String, String> {
        Ok(self.config(config)?.id.clone())
    }

    fn secret(&self, config: &str, generation: Option<u64>) -> Result<Vec<u8>, String> {
        let issue = self.config(config)?.issue(generation).ok_or("no such generation")?;
        issue.secret.clone().ok_or_else(|| format!("the runner does not know the secret of {config:?}"))
    }

    fn issued(&self, config: &str, generation: Option<u64>) -> Result<String, String> {
        let issue = self.config(config)?.issue(generation).ok_or("no such generation")?;
        Ok(issue.jwt.clone())
    }
}

const WEBSOCKET: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn random_secret(length: usize) -> Vec<u8> {
    let mut secret = vec![0; length];
    getrandom::fill(&mut secret).expect("random bytes from the operating system");
    secret
}

fn wrong(verdict: Verdict, what: String) -> Verdict {
    match verdict {
        Verdict::Wrong(mut all) => {
            all.push(what);
            Verdict::Wrong(all)
        }
        Verdict::Right | Verdict::Parser(_) => Verdict::Wrong(vec![what]),
    }
}

/// The value of a header line, if it has this name.
fn value(line: &[u8], name: &str) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let (have, value) = line.split_once(':')?;
    have.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
}

/// Whether a target is literally below the base path.
fn below(target: &str, base: &str) -> bool {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("", |at| &rest[at..]),
        _ => target,
    };
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

fn show(request: &Request) -> String {
    let text: String = String::from_utf8_lossy(&request.text).chars().take(3000).collect();
    text.replace("\r\n", "\n")
        .chars()
        .flat_map(|c| if c == '\n' { vec![c] } else { c.escape_debug().collect() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_knows_its_border() {
        for (target, want) in [
            ("/v1", true),
            ("/v1/x", true),
            ("/v1?x", true),
            ("http://h/v1/x", true),
            ("/v1x", false),
            ("/x?u=http://h/v1/x", false),
            ("http://h", false),
        ] {
            assert_eq!(below(target, "/v1"), want, "{target}");
        }
    }
}
