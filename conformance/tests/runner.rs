//! The runner against a tiny server that answers what it is told: it must see what is wrong.

use conformance::report::{Outcome, StackReport};
use conformance::stack::{
    Admin, AdminError, BoxFuture, Guard, Issued, Kind, NewWebConfig, Running, Stack, Variant,
};
use conformance::{fixture, runner, table, token};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Makes an answer out of a request.
type Answer = Arc<dyn Fn(&str) -> String + Send + Sync>;

struct Fake {
    kind: Kind,
    answer: Answer,
    log: &'static [u8],
}

struct Server {
    task: JoinHandle<()>,
    log: &'static [u8],
}

impl Guard for Server {
    fn stop(self: Box<Self>) -> BoxFuture<'static, Vec<u8>> {
        self.task.abort();
        Box::pin(async move { self.log.to_vec() })
    }
}

impl Stack for Fake {
    fn name(&self) -> &str {
        "fake"
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn http2(&self) -> bool {
        false
    }
    fn lacks(&self, variant: Variant) -> Option<&'static str> {
        (variant == Variant::Leeway).then_some("a clock without leeway")
    }
    fn start(&self, variant: Variant) -> BoxFuture<'_, Result<Running, String>> {
        Box::pin(async move {
            let listener =
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|err| err.to_string())?;
            let addr = listener.local_addr().map_err(|err| err.to_string())?;
            let answer = Arc::clone(&self.answer);
            let task = tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&answer)));
                }
            });
            Ok(Running {
                addr,
                admin: Box::new(FakeAdmin { url: variant.api_url(), generations: Mutex::default() }),
                admin_port: Some((addr, "the-admin-token-of-the-fake-server".to_owned())),
                upstream: None,
                guard: Box::new(Server { task, log: self.log }),
            })
        })
    }
}

async fn serve(mut stream: TcpStream, answer: Answer) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    let answer = answer(&String::from_utf8_lossy(&head));
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Issues tokens, and believes everything.
struct FakeAdmin {
    url: &'static str,
    generations: Mutex<HashMap<String, u64>>,
}

impl FakeAdmin {
    fn issue(&self, id: &str, secret: Option<Vec<u8>>) -> Result<Issued, AdminError> {
        let mut generations = self.generations.lock().unwrap();
        let generation = generations.entry(id.to_owned()).or_default();
        *generation += 1;
        let secret = secret.unwrap_or_else(|| generation.to_be_bytes().to_vec());
        let jwt = token::long_lived(id, self.url, &secret);
        Ok(Issued { id: id.to_owned(), generation: *generation, jwt, others: Vec::new() })
    }
}

impl Admin for FakeAdmin {
    fn create(&self, config: NewWebConfig) -> BoxFuture<'_, Result<Issued, AdminError>> {
        let id = config.id.unwrap_or_else(conformance::template::new_uuid);
        Box::pin(async move { self.issue(&id, config.secret) })
    }
    fn regenerate<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Issued, AdminError>> {
        Box::pin(async move { self.issue(id, None) })
    }
    fn allow<'a>(&'a self, _: &'a str, _: Vec<String>) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async { Ok(()) })
    }
    fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async { Ok(()) })
    }
}

async fn run(
    kind: Kind,
    cases: &str,
    log: &'static [u8],
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> StackReport {
    let stack = Fake { kind, answer: Arc::new(answer), log };
    runner::run(&stack, &table::parse(cases).unwrap()).await
}

fn failure(report: &StackReport, id: &str) -> String {
    match &report.cases.iter().find(|case| case.id == id).unwrap().outcome {
        Outcome::Failed(what) => what.clone(),
        other => panic!("{id}: {other:?}"),
    }
}

const MISSING: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 59\r\n\
    WWW-Authenticate: Bearer realm=\"voicegain\"\r\nCache-Control: no-store\r\nVary: Origin\r\n\r\n\
    {\"error\":{\"reason\":\"missing_token\",\"detail\":\"Send a token.\"}}";

fn missing() -> String {
    let (head, body) = MISSING.split_once("\r\n\r\n").unwrap();
    format!("{}\r\n\r\n{body}", head.replace("59", &body.len().to_string()))
}

const CASE: &str = "[[case]]\nid='x'\nrules=['V1']\ntitle='t'\n";

#[tokio::test]
async fn a_right_answer_passes() {
    let report = run(Kind::Layer, &format!("{CASE}expect='missing_token'"), b"started", |_| missing()).await;
    // The case, and the search of the log.
    assert_eq!((report.count().passed, report.count().failed), (2, 0), "{}", report.describe());
}

#[tokio::test]
async fn a_wrong_answer_fails_and_is_told_without_the_token() {
    let case = format!("{CASE}token='alpha'\nexpect='accept'");
    let report = run(Kind::Layer, &case, b"started", |_| missing()).await;
    let what = failure(&report, "x");
    assert!(what.contains("status 401, expected 200"), "{what}");
    assert!(what.contains("GET /v1/echo HTTP/1.1") && what.contains("‹token›"), "{what}");
    let jwt = fixture::FIXTURES[0].web_config(fixture::API_URL).issued[0].jwt.clone();
    assert!(!what.contains(jwt.rsplit('.').next().unwrap()), "{what}");
}

#[tokio::test]
async fn an_answer_that_gives_the_token_back_fails() {
    let case = format!("{CASE}token='alpha'\nexpect={{is='status',code=200}}");
    let report = run(Kind::Layer, &case, b"started", |request| {
        let line =
            request.lines().find(|line| line.starts_with("Authorization")).unwrap_or_default().to_owned();
        format!("HTTP/1.1 200 OK\r\nX-Debug: {line}\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    assert!(failure(&report, "x").contains("the answer holds a token's signature"));
}

#[tokio::test]
async fn a_log_that_holds_a_secret_fails() {
    let secret = token::encode(&fixture::FIXTURES[1].secret());
    let log = format!("loaded {secret} for beta").leak().as_bytes();
    let report = run(Kind::Layer, &format!("{CASE}expect='missing_token'"), log, |_| missing()).await;
    assert!(failure(&report, "log").contains("the log holds a secret"));
    // Nor is one good in which nothing could be found.
    let report = run(Kind::Layer, &format!("{CASE}expect='missing_token'"), b"", |_| missing()).await;
    assert_eq!(failure(&report, "log"), "nothing was logged");
}

#[tokio::test]
async fn an_identity_of_another_account_fails() {
    let case = format!("{CASE}token='alpha'\nexpect='accept'");
    let report = run(Kind::Layer, &case, b"started", |_| {
        let body = r#"{"method":"GET","path":"/v1/echo","query":"","bodyBytes":0,"headers":{"x-voicegain-account-id":["acct-beta"]}}"#;
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
    .await;
    let what = failure(&report, "x");
    assert!(what.contains("\"acct-beta\"") && what.contains("expected \"acct-alpha\""), "{what}");
}

#[tokio::test]
async fn every_step_must_hold() {
    let case = format!("{CASE}steps=[{{expect='missing_token'}},{{token='alpha',expect='accept'}}]");
    let report = run(Kind::Layer, &case, b"started", |_| missing()).await;
    assert!(failure(&report, "x").starts_with("step 2: "));
}

#[tokio::test]
async fn a_server_that_hangs_up_fails() {
    let report =
        run(Kind::Layer, &format!("{CASE}expect='missing_token'"), b"started", |_| String::new()).await;
    assert!(failure(&report, "x").contains("closed"));
}

#[tokio::test]
async fn what_cannot_be_run_is_named_with_its_reason() {
    let cases = "
        [[case]]\nid='leeway'\nrules=['V4']\ntitle='t'\nvariants=['leeway']\nexpect='accept'
        [[case]]\nid='gateway'\nrules=['P4']\ntitle='t'\nstacks='gateway'\nexpect='accept'
        [[case]]\nid='http2'\nrules=['E']\ntitle='t'\nhttp='2'\nexpect='accept'
        [[case]]\nid='fake'\nrules=['E']\ntitle='t'\nnot_for={fake='it is a fake'}\nexpect='accept'
    ";
    let report = run(Kind::Layer, cases, b"started", |_| missing()).await;
    assert_eq!((report.count().passed, report.count().failed, report.count().not_applicable), (0, 0, 4));
    let text = report.describe();
    for reason in ["a clock without leeway", "a rule for gateways", "no HTTP/2", "it is a fake"] {
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_agrees_to_everything_fails_nearly_everything() {
    let cases = table::built_in().unwrap();
    let refusing = cases.iter().filter(|case| {
        case.stacks != Some(Kind::Gateway)
            && case.steps.iter().any(|step| {
                let expect = step.expect.of(Kind::Layer);
                step.admin.is_none() && expect.is.accepts(expect) == Some(false)
            })
    });
    let refusing: Vec<_> = refusing.cloned().collect();
    let answer = |_: &str| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned();
    let stack = Fake { kind: Kind::Layer, answer: Arc::new(answer), log: b"started" };
    let report = runner::run(&stack, &refusing).await;
    for case in &report.cases {
        let passed = matches!(case.outcome, Outcome::Passed(_));
        assert!(!passed || case.id == "log", "{} passes though nothing was refused", case.id);
    }
}

#[tokio::test]
async fn every_request_of_the_table_can_be_built() {
    for kind in [Kind::Layer, Kind::Gateway] {
        let stack = Fake { kind, answer: Arc::new(|_| String::new()), log: b"started" };
        let mut cases = table::built_in().unwrap();
        cases.retain(|case| case.stacks.is_none_or(|only| only == kind));
        // The fake Regenerate names no others.
        cases.retain(|case| case.id != "M1-others");
        let wrong = runner::rehearse(&stack, &cases).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
